"""Literal: do the algorithms of the notes work as they are printed?

Claims: as the notes have it, w ← w + α ∂L/∂w descends; weights may change before the error passes back through them;
AdaGrad may sum its squares up to the step before; softmax, sigmoid and their losses are computed by their formulas; a
mini-batch loop runs over 0 … m and a softmax sums over 0 … K; the gradient of λ‖w‖² is λw; w ← w − η∇ − λw is a penalty
of strength λ/η.

Measure: the printed listings stand in experiments/literal_listings.py, in plain NumPy and JAX; beside them runs fnn.
Signs: a linear neuron on random samples from zero weights, batches of 40, 1 and 8 of its 40 samples, the same batches
for both. Order of updates: networks 4-8-2 of sigmoids with N(0, 1) weights and random samples, float64; both orders
train from the same start. Formulas: float32, logits of both signs, against float64. Decay: a linear neuron in float64.

Result: with plus the loss grows 10¹¹-fold at least in 200 updates, where minus leaves 0.2 % of the excess at most; plus
is right with δ = target − output. Updating the output weights first turns the hidden weights' direction from the
gradient, by 0.2, 1.9 and 19 % in the median at rates 0.1, 1 and 10 (cosine from 0.71), but after 500 steps the gradient
ends lower in only 65, 25 and 66 % of 200 networks: at rate 10 by a factor of up to 12, at the lower rates by less than
0.5 % either way. AdaGrad's first step is infinite. In float32 softmax and cross-entropy are NaN or infinite beyond
±88.5, the binary cross-entropy of a sigmoid beyond 16.5 (0 log 0); the sigmoid by its formula is right everywhere, as
is all of fnn up to 10⁶. The loop's last turn has no samples; the probabilities add up to 0.83 to 0.98; the gradient is
2λw; with Adam, decay and penalty end 5 % apart. Seeds 0 to 19, 17 s of processor time, two CPU cores, Python 3.11.7,
jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import Claim, judge
from experiments.optimisation import literal_decay, literal_plots
from experiments.optimisation import literal_listings as printed
from experiments.optimisation import literal_right as right
from experiments.optimisation.literal_right import LOGITS, NETWORK, RIGHT, rounded
from experiments.study import GRADIENTS, Figures, Study, compared

SAMPLES, RATE, SIZES = 40, 0.05, {"batch": 40, "stochastic": 1, "mini-batch": 8}
"""Of the three kinds of descent: the samples, the learning rate, and the samples in a batch."""

RATES = (0.1, 1.0, 10.0)
"""The learning rates at which the orders of updates are compared."""

SAME, REMAINS, MOST = 1e-9, 0.05, 0.95
"""How far apart equal values may be in float64; the excess loss that may remain; the share of networks asked for."""


@dataclasses.dataclass(frozen=True)
class Literal(Study):
    """The options of the experiment."""

    name = "literal"
    quick_options: ClassVar = {"seeds": 3, "networks": 20, "updates": 80, "steps": 50}

    seeds: int = 20
    """How many draws of the samples, with the seeds seed, seed + 1, …"""

    updates: int = 200
    """Updates of each kind of descent."""

    networks: int = 200
    """Random networks on which the orders of updates are compared."""

    steps: int = 500
    """Steps of training these networks, and of the decay."""

    def measure(self) -> Figures:
        draws = np.random.default_rng(self.seed).normal(size=(1000, 10))
        params, batch = right.random_network(self.seed)
        drawn = [right.samples(self.seed + i, SAMPLES) for i in range(self.seeds)]
        return {
            "signs": {kind: right.signs(drawn, self.seed, size, RATE, self.updates) for kind, size in SIZES.items()},
            "least": [float(np.mean(np.square(x @ np.linalg.lstsq(x, y)[0] - y)) / np.mean(y**2)) for x, y in drawn],
            "order": self.order(),
            "adagrad": right.adagrad_steps(draws),
            "reach": right.reaches(),
            "minibatches": {"printed": printed.minibatches(100, 32), "fnn": right.updates_of_fnn(100, 32)},
            "softmax": right.softmax_sums(draws),
            "slopes": literal_decay.penalty_slopes(draws[0], 0.1),
            "decay": literal_decay.decays(
                *right.samples(self.seed, SAMPLES), rate=0.01, strength=0.001, steps=self.steps
            ),
            GRADIENTS: compared(NETWORK, jax.tree.map(jnp.asarray, params), {}, batch),
        }

    def order(self) -> dict[str, list]:
        """Of every rate and network (rates, networks): see ``both_orders``."""
        with jax.enable_x64(True):
            networks = [right.random_network(self.seed + i) for i in range(self.networks)]
            stacked = jax.tree.map(lambda *each: np.stack(each), *networks)
            run = jax.vmap(jax.vmap(right.both_orders, (0, 0, None, None)), (None, None, 0, None))
            params, batch = stacked
            found = jax.jit(run, static_argnums=3)(params, batch, jnp.array(RATES), self.steps)
            return {name: rounded(each, 8) for name, each in found.items()}

    def claims(self, figures: Figures) -> list[Claim]:
        ends = {kind: {k: np.array(v["last"]) for k, v in each.items()} for kind, each in figures["signs"].items()}
        least = np.array(figures["least"])
        excess = {name: max(((e[name] - least) / (1 - least)).max() for e in ends.values()) for name in ("δ", "fnn")}
        smallest = min(each["printed"].min() for each in ends.values())
        order = {name: np.array(each) for name, each in figures["order"].items()}
        lower = (order["losses"][..., 1] < order["losses"][..., 0]).mean(1)
        adagrad, batches, sums = figures["adagrad"], figures["minibatches"], figures["softmax"]
        reach, slopes, decay = figures["reach"], figures["slopes"], figures["decay"]
        limits = {kind: min(each[kind]["right up to"] for each in reach.values()) for kind in ("printed", "fnn")}
        m = -(-100 // 32)
        off = {name: max(abs(bound - 1) for bound in each) for name, each in sums.items()}
        return [
            judge(
                "w ← w + α ∂L/∂w descends: in batch, stochastic and mini-batch descent",
                rule="the loss ends lower than that of the first weights, with every kind of batch, in every seed",
                figure=f"the loss grows at least {smallest:.1e}-fold; with δ = target − output for ∂L/∂w,"
                f" {excess['δ']:.1%} of the excess remains at most",
                holds=smallest < 1 and max(each["printed"].max() for each in ends.values()) < 1,
                only_when="δ = target − output stands for the gradient",
                there=max(each["δ"].max() for each in ends.values()) < 1,
            ),
            judge(
                "w ← w − α ∂L/∂w does",
                rule=f"at most {REMAINS:.0%} of the excess over least squares remains, everywhere",
                figure=f"{excess['fnn']:.1%} remains at most",
                holds=excess["fnn"] <= REMAINS,
            ),
            judge(
                "Weights may be updated before the error passes back through them",
                rule=f"the hidden weights' direction is their gradient within {SAME:g}, at every rate and network",
                figure="; ".join(
                    f"at rate {rate:g} {np.median(off):.1%} off in the median, cosine at least {cosine.min():.4f}"
                    for rate, off, cosine in zip(RATES, order["off"], order["cosine"], strict=True)
                ),
                holds=order["off"].max() <= SAME,
            ),
            judge(
                "Updating them first costs loss",
                rule=f"training by the gradient ends lower in at least {MOST:.0%} of the networks, at every rate",
                figure=", ".join(f"at rate {rate:g} in {share:.0%}" for rate, share in zip(RATES, lower, strict=True)),
                holds=lower.min() >= MOST,
            ),
            judge(
                "AdaGrad may sum the squares up to the step before",
                rule="no entry of the first step is infinite, or longer than η, which bounds AdaGrad's steps",
                figure=f"{adagrad['printed']['infinite']} of 10000 infinite; with ε = 1e-8 up to"
                f" {adagrad['ε']['largest']:.0f} η; with the step's own square {adagrad['fnn']['largest']:g} η",
                holds=adagrad["printed"]["infinite"] == 0 and adagrad["printed"]["largest"] <= 1 + RIGHT,
                only_when="ε stands under the root",
                there=adagrad["ε"]["infinite"] == 0 and adagrad["ε"]["largest"] <= 1 + RIGHT,
            ),
            judge(
                "Softmax, sigmoid and their losses are computed by their formulas",
                rule=f"each is finite and within {RIGHT:g} of the exact value in float32, up to ±{LOGITS[-1]:g}",
                figure="right up to "
                + ", ".join(f"±{each['printed']['right up to']:g} ({name})" for name, each in reach.items()),
                holds=limits["printed"] >= LOGITS[-1],
                only_when=f"no logit exceeds ±{limits['printed']:g}",
                there=limits["printed"] > 0,
            ),
            judge(
                "Those of fnn are right for any logit up to a million",
                rule="by the same rule",
                figure=f"up to ±{limits['fnn']:g}",
                holds=limits["fnn"] >= LOGITS[-1],
            ),
            judge(
                "A mini-batch loop over 0 … m makes m updates",
                rule=f"{m} turns for 100 samples in batches of 32, none of them without samples",
                figure=f"{len(batches['printed'])} turns, of {batches['printed']} samples; fnn makes {batches['fnn']}",
                holds=len(batches["printed"]) == m and min(batches["printed"]) > 0,
            ),
            judge(
                "A softmax with a sum over 0 … K gives probabilities",
                rule=f"they add up to 1 within {RIGHT:g} for every draw of 10 logits",
                figure=f"{sums['printed'][0]:.2f} to {sums['printed'][1]:.4f}; over K terms 1 within {off['fnn']:.0e}",
                holds=off["printed"] <= RIGHT,
            ),
            judge(
                "The gradient of λ‖w‖² is λ w",
                rule="by differences it is 1 λ w, within 1e-6",
                figure=f"{slopes['‖w‖²']:.6f} λ w; of ½ λ‖w‖², which is fnn.L2, {slopes['L2']:.6f} λ w",
                holds=abs(slopes["‖w‖²"] - 1) <= RIGHT,
                only_when="½ stands before it",
                there=abs(slopes["L2"] - 1) <= RIGHT,
            ),
            judge(
                "w ← w − η d − λ w equals a penalty of strength λ/η",
                rule=f"the weights end within {SAME:g} of each other, relatively, for descent and for Adam",
                figure=f"{decay['descent'][0]:.0e} apart for descent, {decay['Adam'][0]:.2g} for Adam",
                holds=max(decay["descent"][0], decay["Adam"][0]) <= SAME,
                only_when="d is the gradient itself",
                there=decay["descent"][0] <= SAME,
            ),
            judge(
                "It is decoupled decay of strength λ/η",
                rule=f"the weights end within {SAME:g} of those of decay_weights and adamw, relatively",
                figure=f"{decay['descent'][1]:.0e} and {decay['Adam'][1]:.0e} apart",
                holds=max(decay["descent"][1], decay["Adam"][1]) <= SAME,
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        literal_plots.signs(folder / "signs.png", figures["signs"], np.median(figures["least"]))
        literal_plots.order(folder / "order.png", RATES, {k: np.array(v) for k, v in figures["order"].items()})
        literal_plots.reach(folder / "formulas.png", figures["reach"], float(LOGITS[-1]))
        return {
            "signs.png": "The printed sign and the right one: medians, and bands over all seeds.",
            "order.png": "Weights updated before the error passes back through them, against the gradient.",
            "formulas.png": "How large a logit may be in float32 before a formula is wrong.",
        }
