"""Descent: what do batches, the learning rate and momentum do to gradient descent?

Claims: as the notes have it, batch descent lowers the loss at every step, smaller batches do not, and get near the
minimum after fewer gradients; the gradient of one sample is a biased estimate; its variance falls as one over the batch
size; on a quadratic descent converges for rates below 2/λ, λ the largest eigenvalue of the Hessian, and diverges above;
momentum escapes local minima.

Measure: batches of 60, 10 and 1 of 60 samples on the loss surface of a linear neuron with two weights, all at rate
0.05. The gradient of a random network 3-8-1 on 256 samples in float64, against random batches drawn with replacement.
Rates from 0.9 to 1.1 of 2/λ in float64, all in one program. Momentum: a double well w⁴/4 − w²/2 + w/10 with N(0, 1.2²)
noise on its slope, rate 0.05, 1000 steps, from starts around the shallow minimum, until w < −0.5; with v ← βv + g, and
with the notes' mean v ← βv + (1 − β)g.

Result: no update of batch descent raises the loss, 40 % of those in mini-batches and 49 % of those from one sample do.
Until the excess loss is 5 % of the first, they compute 1530, 255 and 26 gradients of samples in the median, and fewer
the smaller the batch in every seed. The mean of the single-sample gradients is the full gradient to 4e-16: there is no
bias, but a variance of 3.5 times the full gradient's square. It falls as the batch size to the power −0.999 ± 0.002
(−1.007 to −0.993). Descent converges up to 0.9975 of 2/λ and diverges from 1.0025, in every seed. Without momentum 10 %
of 4000 starts escape; with v ← βv + g 84 % at β = 0.5 and all at 0.8, with the mean 8 % at 0.9. Seeds 0 to 19, 16 s of
processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import Claim, judge
from experiments.intervals import wilson
from experiments.optimisation import descent_plots
from experiments.optimisation.descent_runs import (
    NETWORK,
    TARGET,
    edges,
    escapes,
    estimates,
    line,
    network,
    paths,
    slope,
)
from experiments.study import GRADIENTS, Figures, Study, compared

SAMPLES, RATE, KINDS = 60, 0.05, {"batch": 60, "mini-batch": 10, "stochastic": 1}
"""On the surface: the samples, the learning rate, and the samples in a batch."""

SIZES = (1, 2, 4, 8, 16, 32, 64)
"""The batch sizes whose variance is measured."""

SHARES = np.round(np.arange(0.9025, 1.1, 0.005), 4)
"""The learning rates, as shares of 2/λ; at 1 itself, which is left out, descent neither converges nor diverges."""

BETAS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
"""The strengths of momentum."""

EXACT, NEAR, CLOSE = 1e-12, 0.05, 0.01
"""How far apart equal values may be in float64; the slope from −1; the edge from 2/λ, relatively."""


@dataclasses.dataclass(frozen=True)
class Descent(Study):
    """The options of the experiment."""

    name = "descent"
    quick_options: ClassVar = {"seeds": 4, "passes": 60, "draws": 512, "starts": 400}

    seeds: int = 20
    """How many draws of the samples, and random networks, with the seeds seed, seed + 1, …"""

    passes: int = 100
    """Passes over the samples on the surface."""

    draws: int = 4096
    """Random batches of each size."""

    edge_steps: int = 500
    """Steps at each rate around 2/λ."""

    starts: int = 4000
    """Starts in the double well, each with its own noise."""

    def measure(self) -> Figures:
        random = np.random.default_rng(self.seed)
        starts, noise = random.uniform(0.5, 1.5, self.starts), 1.2 * random.normal(size=(1000, self.starts))
        params, x, y = network(self.seed)
        surface = line(self.seed, SAMPLES)
        options = {"samples": SAMPLES, "passes": self.passes, "rate": RATE}
        return {
            "surface": [each.tolist() for each in surface],
            "paths": {kind: paths(self.seed, self.seeds, size=size, **options) for kind, size in KINDS.items()},
            "estimates": [estimates(self.seed + i, SIZES, self.draws) for i in range(self.seeds)],
            "edges": edges(self.seed, self.seeds, SHARES, self.edge_steps),
            "escapes": escapes(BETAS, noise, starts, RATE),
            "starts": self.starts,
            GRADIENTS: compared(NETWORK, jax.tree.map(jnp.asarray, params), {}, (x, y)),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        paths, found = figures["paths"], figures["estimates"]
        rises = {kind: np.array(each["rises"]) for kind, each in paths.items()}
        costs = {kind: np.array(each["cost"], float) for kind, each in paths.items()}
        slopes = np.array([slope(SIZES, each["variance"]) for each in found])
        half = 1.96 * slopes.std(ddof=1) / np.sqrt(len(slopes))
        bias, single = max(each["bias"] for each in found), np.median([each["variance"][0] for each in found])
        below, above = brackets(np.array(figures["edges"]))
        low, high = (
            np.array([wilson(figures["escapes"][form], figures["starts"])[i] for form in FORMS]) for i in range(2)
        )
        risen = {form: bool((low[i, 1:] > high[i, 0]).all()) for i, form in enumerate(FORMS)}
        reached = all((each > 0).all() for each in costs.values())
        return [
            judge(
                "Batch descent lowers the loss at every step, and smaller batches do not",
                rule="no update of batch descent raises the loss on all samples, in any seed, and some of the other"
                " kinds do in every seed",
                figure=", ".join(
                    f"{each.mean() / paths[kind]['updates']:.0%} of the updates raise it ({kind})"
                    for kind, each in rises.items()
                ),
                holds=rises["batch"].max() == 0 < min(rises["mini-batch"].min(), rises["stochastic"].min()),
            ),
            judge(
                "Smaller batches get near the minimum after fewer gradients of samples",
                rule=f"until the excess loss is {TARGET:.0%} of the first, stochastic descent computes fewer than"
                " mini-batch descent, and that fewer than batch descent, in every seed",
                figure=", ".join(f"{np.median(each):.0f} ({kind})" for kind, each in costs.items()) + " in the median",
                holds=reached
                and (costs["stochastic"] < costs["mini-batch"]).all()
                and (costs["mini-batch"] < costs["batch"]).all(),
            ),
            judge(
                "The gradient of one random sample is a biased estimate of the full gradient",
                rule=f"its mean over all samples differs by more than {EXACT:g}, relatively, in some network",
                figure=f"{bias:.0e} at most; its variance is {single:.1f} times the full gradient's square in the"
                " median",
                holds=bias > EXACT,
            ),
            judge(
                "The variance of the estimate falls as one over the batch size",
                rule=f"the exponent is within {NEAR:g} of −1 in every network",
                figure=f"{slopes.min():.3f} to {slopes.max():.3f}, mean {slopes.mean():.4f} ± {half:.4f}",
                holds=np.abs(slopes + 1).max() <= NEAR,
            ),
            judge(
                "On a quadratic, descent converges below a rate of 2/λ and diverges above",
                rule=f"the largest rate up to which all converge is below 2/λ, by {CLOSE:.0%} at most, and the next is"
                f" above it, by {CLOSE:.0%} at most, in every seed",
                figure=f"converges up to {below.min():g} to {below.max():g} of it, diverges from {above.min():g} to"
                f" {above.max():g}",
                holds=1 - CLOSE <= below.min() <= below.max() < 1 < above.min() <= above.max() <= 1 + CLOSE,
            ),
            judge(
                "Momentum escapes from a local minimum",
                rule="at every β above 0 the 95 % interval of the share that escapes lies above that at β = 0",
                figure=f"{figures['escapes']['velocity'][0]:.1%} without; at β = {BETAS[-3]:g}"
                f" {figures['escapes']['velocity'][-3]:.1%} with v ← βv + g, {figures['escapes']['mean'][-3]:.1%} with"
                " the mean",
                holds=risen["velocity"] and risen["mean"],
                only_when="the velocity is a sum, which lengthens the steps",
                there=risen["velocity"],
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        surface = np.array(figures["surface"][0]), np.array(figures["surface"][1])
        descent_plots.surface(folder / "surface.png", surface, figures["paths"], KINDS)
        descent_plots.estimates(folder / "estimates.png", SIZES, figures["estimates"])
        shares = {
            form: (figures["escapes"][form], wilson(figures["escapes"][form], figures["starts"])) for form in FORMS
        }
        descent_plots.edges(folder / "edges.png", SHARES, np.array(figures["edges"]), BETAS, shares)
        return {
            "surface.png": "The loss surface with the paths of the first seed, three passes of the smaller batches; the"
            " excess loss, median and range over the seeds.",
            "estimates.png": "The estimates of the gradient from random samples, one line a network.",
            "edges.png": "Where descent diverges, one line a seed, and how often it escapes, with 95 % intervals.",
        }


FORMS = ("velocity", "mean")


def brackets(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In every seed: the largest share of 2/λ up to which the excess falls everywhere, and the next, where it grows.

    If it falls everywhere the next is infinite; if nowhere, the former is 0.
    """
    grown = logs >= 0
    first = np.where(grown.any(1), grown.argmax(1), len(SHARES))
    ends = np.concatenate([[0.0], SHARES, [np.inf]])
    return ends[first], ends[first + 1]
