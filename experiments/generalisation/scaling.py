"""Scaling: how does the test error fall with the amount of training data, and which model is best at few and at many?

Claims: the error of a network, of logistic regression and of support vector machines (SVMs), linear and with a radial
kernel, falls with every doubling of the data, as a power of the amount; the network's falls faster than that of the
linear models, so that it needs more data than they do to be better, and is the best with all of it.

Measure: 20 to 1280 digits; for each seed all 1797 are split anew into those to train on, 144 to validate and 360 to
test. Network: 64 ReLUs and a softmax, L2, as many steps of Adam at every amount, in batches of 32, the rate falling to
0 along a cosine. Logistic regression: one dense layer, a softmax and L2 of 1/(C N), by L-BFGS on all its digits until
the objective falls no longer, at most a given number of steps; whether it has converged is checked by the norm of its
gradient in every run, and by scikit-learn's minimum in those of the first split. SVMs: scikit-learn's SVC, one against
one. The strength of L2, or C, is for each model and amount the one of three with the least mean validation error.
Intervals are 95 % ones of Student's t over splits, of differences between models on the same split; the splits share
digits, so they are rather too narrow. The slope is that of a line through the logarithms of the mean error and of the
amount; its interval is a bootstrap over splits.

Result: every model's error falls with every doubling, within 14 % of a line: as N^−0.59 for logistic regression, −0.65
for the network, −0.73 for the linear and −0.96 for the radial SVM. At 20 digits all are alike, at 36 to 38 %; at 1280
the network has 2.4 %, logistic regression 3.2, the linear SVM 1.9 and the radial one 0.8. The network is better than
logistic regression from 160 digits on, by 0.6 to 1.4 points, and never worse; its error falls faster than that one's,
and more slowly than the linear SVM's, which is better from 40 to 640 digits. It is not the best with any amount. The
logistic regression has converged: its gradients have norms up to 2.8e-4, and its objectives are at most 7e-5 above the
minimum. Seeds 0 to 9, 45 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments import runs
from experiments.claims import Claim, judge
from experiments.generalisation import scaling_plots
from experiments.generalisation.scaling_models import (
    BATCH,
    COSTS,
    DECAYS,
    logistic,
    machines,
    minimum,
    networks,
    objective,
    splits,
)
from experiments.intervals import interval, points
from experiments.study import GRADIENTS, Figures, Study, compared

NETWORK, LOGISTIC, LINEAR, RADIAL = "network", "logistic regression", "linear SVM", "radial SVM"
CONVERGED, STRAIGHT = 1e-3, 0.15
"""The norm of the gradient, and the relative distance from the minimum, of a fit that has converged; how far, as a
part, errors may be from a line in the logarithms."""


@dataclasses.dataclass(frozen=True)
class Scaling(Study):
    """The options of the experiment."""

    name = "scaling"
    quick_options: ClassVar = {"amounts": (40, 80, 160), "seeds": 3, "steps": 300, "convex_steps": 100}

    amounts: tuple[int, ...] = (20, 40, 80, 160, 320, 640, 1280)
    """How many digits to train on, in increasing order; there are 1293."""

    seeds: int = 10
    """Splits of the digits, with the seeds seed, seed + 1, …"""

    steps: int = 1000
    """Steps of Adam of the network."""

    convex_steps: int = 300
    """The most steps of L-BFGS of the logistic regression."""

    def measure(self) -> Figures:
        seeds = range(self.seed, self.seed + self.seeds)
        split = splits(seeds, max(self.amounts))
        trained, fitted = (
            networks(seeds, split, self.amounts, self.steps),
            logistic(split, self.amounts, self.convex_steps),
        )
        errors = {
            NETWORK: trained[..., 1:],
            LOGISTIC: fitted.errors,
            LINEAR: machines(split, self.amounts, "linear"),
            RADIAL: machines(split, self.amounts, "rbf"),
        }
        best = {name: found[..., 0].mean(2).argmin(0) for name, found in errors.items()}
        strengths = {name: DECAYS if name == NETWORK else COSTS for name in errors}
        (x, labels), first = (each[0] for each in split.train), jax.random.key(self.seed)
        least = np.array([[minimum(x[:n], labels[:n], cost) for n in self.amounts] for cost in COSTS])
        return {
            "errors": {
                name: [found[i, n, :, 1].astype(float).round(5).tolist() for n, i in enumerate(best[name])]
                for name, found in errors.items()
            },
            "strengths": {name: [strengths[name][i] for i in found] for name, found in best.items()},
            "seen": [trained[i, n, :, 0].astype(float).tolist() for n, i in enumerate(best[NETWORK])],
            "gradients": fitted.norms.max((0, 2)).astype(float).tolist(),
            "above": (fitted.values[..., 0] / least - 1).max(0).tolist(),
            GRADIENTS: compared(objective, *objective.init(first, x), (jnp.asarray(x[:BATCH]), labels[:BATCH])),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        errors = {name: np.array(found) for name, found in figures["errors"].items()}
        return [
            converged(figures["gradients"], figures["above"]),
            *(falls(name, self.amounts, found) for name, found in errors.items()),
            power(self.amounts, errors),
            faster(self.amounts, errors),
            *(needs_more(name, self.amounts, errors[NETWORK] - errors[name]) for name in (LOGISTIC, LINEAR, RADIAL)),
            leads(self.amounts, errors),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        errors = {name: np.array(found) for name, found in figures["errors"].items()}
        scaling_plots.errors(folder / "errors.png", self.amounts, errors)
        return {
            "errors.png": f"Test errors (means of {self.seeds} splits), and how much larger the network's is than the"
            " others'. With 95 % intervals of the mean."
        }

    def tables(self, figures: Figures) -> list[str]:
        rows = [
            (str(n), *(f"{value:g}" for value in each), f"{np.mean(seen):.2%}")
            for n, *each, seen in zip(self.amounts, *figures["strengths"].values(), figures["seen"], strict=True)
        ]
        headings = ("digits", *figures["strengths"], "training error of the network")
        return ["## Chosen strengths\n\nL2 of the network, C of the others.\n\n" + runs.markdown_table(headings, rows)]


def converged(gradients: list[float], above: list[float]) -> Claim:
    """The claim that logistic regression is trained to the end."""
    return judge(
        "The logistic regression has converged",
        rule=f"every gradient has a norm of at most {CONVERGED:g}, and every objective of the first split is within"
        f" {CONVERGED:g} of scikit-learn's minimum, relatively",
        figure=f"norms up to {max(gradients):.1e}; {min(above):.1e} to {max(above):.1e} above the minimum",
        holds=max(gradients) <= CONVERGED and np.abs(above).max() <= CONVERGED,
    )


def falls(name: str, amounts: tuple[int, ...], errors: np.ndarray) -> Claim:
    """The claim that the error of a model falls with every doubling."""
    steps = [interval(more - less) for less, more in itertools.pairwise(errors)]
    # Until the first step without a fall.
    reached = len(list(itertools.takewhile(lambda step: sum(step) < 0, steps)))
    return judge(
        f"More data, less error: {name}",
        rule="from each amount to the next, the mean difference of the errors is below 0, by its 95 % interval",
        figure=", ".join(f"{each:.1%}" for each in errors.mean(1)) + f" for {', '.join(map(str, amounts))} digits",
        holds=reached == len(steps),
        only_when=f"there are at most {amounts[reached]} digits",
        there=reached,
    )


def power(amounts: tuple[int, ...], errors: dict[str, np.ndarray]) -> Claim:
    """The claim that errors are powers of the amount."""
    off = {name: np.abs(residuals(amounts, found)).max() for name, found in errors.items()}
    straight = [name for name, each in off.items() if each <= STRAIGHT]
    slopes = {name: (slope(amounts, found.mean(1)), *bootstrap(amounts, found)) for name, found in errors.items()}
    return judge(
        "The error is a power of the amount",
        rule=f"every mean error is within {STRAIGHT:.0%} of a straight line in the logarithms, for every model",
        figure=", ".join(
            f"{name} N^{middle:.2f} [{low:.2f}, {high:.2f}], off by up to {off[name]:.0%}"
            for name, (middle, low, high) in slopes.items()
        ),
        holds=len(straight) == len(errors),
        only_when=f"the model is the {' or the '.join(straight)}",
        there=straight,
    )


def faster(amounts: tuple[int, ...], errors: dict[str, np.ndarray]) -> Claim:
    """The claim that the network's error falls faster than those of the linear models."""
    found = {name: bootstrap(amounts, errors[NETWORK], errors[name]) for name in (LOGISTIC, LINEAR)}
    than = [name for name, (_, high) in found.items() if high < 0]
    return judge(
        "The network's error falls faster than that of the linear models",
        rule="the 95 % interval of its slope less theirs is below 0, for logistic regression and for the linear SVM",
        figure=", ".join(f"{low:+.2f} to {high:+.2f} against {name}" for name, (low, high) in found.items()),
        holds=len(than) == len(found),
        only_when=f"the linear model is the {' or the '.join(than)}",
        there=than,
    )


def needs_more(name: str, amounts: tuple[int, ...], differences: np.ndarray) -> Claim:
    """The claim that the network is worse at first, and better in the end."""
    found = [interval(each) for each in differences]
    better = [n for n, each in zip(amounts, found, strict=True) if sum(each) < 0]
    worse = [n for n, (middle, half) in zip(amounts, found, strict=True) if middle > half]
    words = [f"{kind} at {', '.join(map(str, each))}" for kind, each in (("better", better), ("worse", worse)) if each]
    return judge(
        f"The network needs more data than the {name} to be better",
        rule=f"its error less that of the {name} is above 0 at {amounts[0]} digits and below 0 at {amounts[-1]}, by the"
        " 95 % intervals of the mean",
        figure=f"{points(*found[0])} points at {amounts[0]}, {points(*found[-1])} at {amounts[-1]};"
        f" {', '.join(words) or 'never better or worse'}",
        holds=amounts[0] in worse and amounts[-1] in better,
    )


def leads(amounts: tuple[int, ...], errors: dict[str, np.ndarray]) -> Claim:
    """The claim that the network is the best with all data."""
    rivals = {name: interval(errors[NETWORK][-1] - found[-1]) for name, found in errors.items() if name != NETWORK}
    return judge(
        "With all data, the network is the best",
        rule=f"its error less each of the others' is below 0 at {amounts[-1]} digits, by the 95 % intervals",
        figure=", ".join(f"{points(*each)} points of {name}" for name, each in rivals.items()),
        holds=all(sum(each) < 0 for each in rivals.values()),
    )


def residuals(amounts: Any, errors: np.ndarray) -> np.ndarray:
    """How far, as a part of it, the mean errors are above the line through the logarithms."""
    x, y = np.log(amounts), np.log(errors.mean(1))
    return np.exp(y - np.polyval(np.polyfit(x, y, 1), x)) - 1


def slope(amounts: Any, means: np.ndarray) -> np.ndarray:
    """The slopes of the lines through the logarithms of the amounts and of mean errors (amounts, …)."""
    x = np.log(amounts) - np.log(amounts).mean()
    return np.tensordot(x, np.log(means), 1) / (x @ x)


def bootstrap(
    amounts: Any, errors: np.ndarray, less: np.ndarray | None = None, count: int = 1000
) -> tuple[float, float]:
    """The 95 % interval of the slope of errors (amounts, splits), or of that less another one on the same splits."""
    draws = np.random.default_rng(0).integers(0, errors.shape[1], (count, errors.shape[1]))
    found = slope(amounts, errors[:, draws].mean(-1))
    if less is not None:
        found = found - slope(amounts, less[:, draws].mean(-1))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
