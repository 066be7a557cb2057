"""Optimizers: how much do the learning rate and the optimiser matter, and do they do what the notes say?

Claims: as the notes have it, Adam tolerates more learning rates than plain descent, and is better than momentum and
RMSProp, which it combines; without bias correction its first steps are too short, and it ends worse; Nesterov with the
rate inside the velocity is the usual form; RMSProp and AdaGrad reduce the rate near a minimum.

Measure: a network 64-32-10 on the 1293 training digits, batches of 64, cross-entropy, at 11 rates from 1e-4 to 10; all
rates and seeds of an optimiser in one program, the same starts (N(0, 2/inputs)) and batches for all. Judged is the loss
on the training digits at the end. A rate counts as usable if it ends at a quarter of the loss of guessing or below. The
other claims: a linear neuron with two weights on 60 samples, all in every step, from zero weights; the effective rate
of an entry is its step over its gradient, compared with the edge 2/λ beyond which plain descent diverges.

Result: Adam learns at rates over 1.5 decades, plain descent over 1, in every seed. At its own best rate Adam ends at
0.053 in the mean, momentum at 0.065, RMSProp at 0.069 and plain descent at 0.081, but not in every seed in that order;
the lowest of all are Muon and schedule-free AdamW at 0.017 and Nesterov at 0.020. Without bias correction Adam's steps
are 3.2 to 6.6 times too long at first, not too short, and it ends lower, at 0.037, with a third of the rate. Nesterov
with the rate inside ends at the same place at a constant rate, and up to 2 % away at a decaying one. RMSProp's
effective rate grows 13- to 180-fold, to 1.2 to 2.5 times 2/λ; AdaGrad's falls to 0.73 to 0.85 of the first. Seeds 0
to 4, and 0 to 19 for the neurons, 70 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments import data, runs
from experiments.claims import Claim, judge
from experiments.optimisation import optimizers_plots
from experiments.optimisation import optimizers_runs as running
from experiments.optimisation import optimizers_steps as steps
from experiments.optimisation.literal_right import shuffled
from experiments.optimisation.optimizers_runs import DIGITS, LEARNED, OPTIMIZERS, best, usable
from experiments.study import GRADIENTS, Figures, Study, compared

SPACING = 0.5
RATES = 10.0 ** np.arange(-4, 1 + SPACING / 2, SPACING)
"""The learning rates, half a decade apart."""

JUDGED = ("sgd", "momentum", "rmsprop", "adam", "adam, uncorrected")
"""The optimisers that the claims are about."""

SAME = 1e-9
"""How far apart equal paths may end in float64, relatively."""


@dataclasses.dataclass(frozen=True)
class Optimizers(Study):
    """The options of the experiment."""

    name = "optimizers"
    quick_options: ClassVar = {"every": False, "seeds": 2, "passes": 4}

    every: bool = True
    """All optimisers that take a rate, or only those that the claims are about."""

    seeds: int = 5
    """How many networks to train at each rate, with the seeds seed, seed + 1, …"""

    passes: int = 8
    """Passes over the digits."""

    neurons: int = 20
    """How many linear neurons, with the seeds seed, seed + 1, …"""

    def measure(self) -> Figures:
        digits = data.load_digits().train
        samples = jnp.asarray(digits.images.reshape(len(digits.images), -1)), jnp.asarray(digits.labels)
        starts = running.networks(self.seed, self.seeds)
        updates, count = len(samples[1]) // 64, self.seeds
        rows = [shuffled(self.seed + i, len(samples[1]), 64, self.passes * updates) for i in range(count)]
        batches = np.stack(rows).reshape(count, self.passes, updates, 64)
        names = OPTIMIZERS if self.every else JUDGED
        lengths = steps.lengths(self.seed, self.neurons, 300)
        effective = steps.effective_rates(self.seed, self.neurons, 500)
        first = jax.tree.map(lambda each: jnp.asarray(each[0]), starts)
        return {
            "swept": {name: running.swept(OPTIMIZERS[name], RATES, samples, starts, batches) for name in names},
            "lengths": steps.summary(lengths) | {"earliest": lengths[:, :10].tolist()},
            "nesterov": steps.nesterov_apart(self.seed, self.neurons, 200),
            "effective": {name: steps.summary(each) for name, each in effective.items()},
            GRADIENTS: compared(DIGITS, first, {}, tuple(part[:64] for part in samples)),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        losses = {name: np.array(each["last"]) for name, each in figures["swept"].items()}
        spans = {name: usable(each, SPACING) for name, each in losses.items()}
        ends = {name: each[best(each)] for name, each in losses.items()}
        early, effective = np.array(figures["lengths"]["earliest"]), figures["effective"]
        apart = {name: np.max(each, axis=0) for name, each in figures["nesterov"].items()}
        first, last = ({name: np.array(each[at]) for name, each in effective.items()} for at in ("first", "last"))
        shown = ", ".join(f"{ends[name].mean():.3g} ({name})" for name in ("adam", "momentum", "rmsprop", "sgd"))
        return [
            judge(
                "Adam tolerates more learning rates than plain descent",
                rule="its usable rates span more decades, in every seed",
                figure=f"{spans['adam'].min():g} to {spans['adam'].max():g} decades against"
                f" {spans['sgd'].min():g} to {spans['sgd'].max():g}",
                holds=(spans["adam"] > spans["sgd"]).all(),
            ),
            judge(
                "Adam is better than momentum and RMSProp",
                rule="each at its own best rate, it ends at a lower loss than either, in every seed",
                figure=f"mean losses {shown}",
                holds=(ends["adam"] < np.minimum(ends["momentum"], ends["rmsprop"])).all(),
            ),
            judge(
                "Without bias correction Adam's first steps are too short",
                rule="the first ten are shorter than with it, for the same gradients, in every seed",
                figure=f"{early[:, 0].min():.2f} to {early[:, 0].max():.2f} times as long at the first step, up to"
                f" {max(figures['lengths']['high']):.2f} times later",
                holds=early.max() < 1,
            ),
            judge(
                "Without bias correction Adam ends worse",
                rule="each at its own best rate, it ends at a higher loss, in every seed",
                figure=f"{ends['adam, uncorrected'].mean():.3g} against {ends['adam'].mean():.3g} in the mean",
                holds=(ends["adam, uncorrected"] > ends["adam"]).all(),
            ),
            judge(
                "Nesterov with the rate inside the velocity is the usual form",
                rule=f"they end within {SAME:g} of each other, relatively, at a constant and at a decaying rate",
                figure=f"at most {apart['constant'][0]:.0e} apart at a constant rate, {apart['decaying'][0]:.1g} at a"
                f" decaying one, there {apart['decaying'][1]:.0e} with fnn's rate moved inside",
                holds=max(apart["constant"][0], apart["decaying"][0]) <= SAME,
                only_when="the rate is constant",
                there=apart["constant"][0] <= SAME,
            ),
            *(
                judge(
                    f"{name} reduces the rate near the minimum",
                    rule="the mean effective rate over the last tenth of the steps is below that over the first tenth,"
                    " in every seed",
                    figure=f"{(last[name] / first[name]).min():.2g} to {(last[name] / first[name]).max():.2g} times the"
                    f" first; {last[name].min():.2g} to {last[name].max():.2g} of 2/λ at the end",
                    holds=(last[name] < first[name]).all(),
                )
                for name in ("RMSProp", "AdaGrad")
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        optimizers_plots.rates(folder / "rates.png", RATES, figures["swept"])
        optimizers_plots.curves(folder / "curves.png", RATES, figures["swept"])
        optimizers_plots.peculiarities(folder / "steps.png", figures["effective"], figures["lengths"])
        return {
            "rates.png": "The loss at the end by learning rate, the mean over the seeds; a dot marks the best rate.",
            "curves.png": "Every optimiser at its best rate, which the legend gives: mean and range over the seeds.",
            "steps.png": "Effective rates near a minimum, and Adam's steps without bias correction: medians, and the"
            " range over the seeds.",
        }

    def tables(self, figures: Figures) -> list[str]:
        rows = []
        for name, each in figures["swept"].items():
            losses = np.array(each["last"])
            place, span = best(losses), usable(losses, SPACING)
            ends = losses[place]
            loss = f"{ends.mean():.3g} ({ends.min():.3g} to {ends.max():.3g})"
            rows.append((float(ends.mean()), (name, f"{RATES[place]:.2g}", loss, f"{np.median(span):g}")))
        headings = ("optimiser", "best rate", "loss at it (lower is better)", f"decades with a loss ≤ {LEARNED:.2f}")
        return [runs.markdown_table(headings, [row for _, row in sorted(rows)])]
