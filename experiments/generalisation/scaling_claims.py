"""The claims of the experiment on amounts of data, from its figures."""

import itertools
from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.intervals import interval, points
from experiments.study import Figures

NETWORK, LOGISTIC, LINEAR, RADIAL = "network", "logistic regression", "linear SVM", "radial SVM"
CONVERGED, STRAIGHT = 1e-3, 0.15
"""The norm of the gradient, and the relative distance from the minimum, of a fit that has converged; how far, as a
part, errors may be from a line in the logarithms."""


def judged(figures: Figures, amounts: tuple[int, ...]) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures; ``amounts`` are numbers of digits."""
    errors = {name: np.array(found) for name, found in figures["errors"].items()}
    return [
        converged(figures["gradients"], figures["above"]),
        *(falls(name, amounts, found) for name, found in errors.items()),
        power(amounts, errors),
        faster(amounts, errors),
        *(needs_more(name, amounts, errors[NETWORK] - errors[name]) for name in (LOGISTIC, LINEAR, RADIAL)),
        leads(amounts, errors),
    ]


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
