"""Literal: do the algorithms of the notes work as they are printed?

Claims: as the notes have it, w ← w + α ∂L/∂w descends; weights may change before the error passes back through them;
AdaGrad may sum its squares up to the step before; softmax, sigmoid and their losses are computed by their formulas; a
mini-batch loop runs over 0 … m and a softmax sums over 0 … K; the gradient of λ‖w‖² is λw; w ← w − η∇ − λw is a penalty
of strength λ/η.

Measure: the printed listings stand in optimisation/literal_listings.py, in plain NumPy and JAX; beside them runs fnn.
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

from experiments.claims import Claim
from experiments.optimisation import literal_decay, literal_plots
from experiments.optimisation import literal_listings as printed
from experiments.optimisation import literal_right as right
from experiments.optimisation.literal_claims import RATES, judged
from experiments.optimisation.literal_right import LOGITS, NETWORK, rounded
from experiments.study import GRADIENTS, Figures, Study, compared

SAMPLES, RATE, SIZES = 40, 0.05, {"batch": 40, "stochastic": 1, "mini-batch": 8}
"""Of the three kinds of descent: the samples, the learning rate, and the samples in a batch."""


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
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        literal_plots.signs(folder / "signs.png", figures["signs"], np.median(figures["least"]))
        literal_plots.order(folder / "order.png", RATES, {k: np.array(v) for k, v in figures["order"].items()})
        literal_plots.reach(folder / "formulas.png", figures["reach"], float(LOGITS[-1]))
        return {
            "signs.png": "The printed sign and the right one: medians, and bands over all seeds.",
            "order.png": "Weights updated before the error passes back through them, against the gradient.",
            "formulas.png": "How large a logit may be in float32 before a formula is wrong.",
        }
