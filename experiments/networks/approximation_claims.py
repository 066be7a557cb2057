"""The claims of the experiment on approximation, from its figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.study import Figures

CONSTRUCTED = tuple(2**i for i in range(1, 11))
"""The widths of the networks that are written down."""

FROM, SLOPE, NEAR, ROUNDING = 32, -2.0, 0.1, 1e-10
"""The widths from which the written-down networks have this slope, how nearly, and how exactly they interpolate."""


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    widths, trained, drawn = figures["widths"], figures["errors"]["trained"], figures["errors"]["random"]
    medians = {name: np.median(each, 1) for name, each in trained.items()}
    falling = min(first_no(np.diff(each) < 0) for each in medians.values())
    better = min(first_no(medians[name] < np.median(drawn[name], 1)) for name in medians)
    slopes = {
        f"{name} {kind}": slope_interval(widths, each)
        for kind, found in figures["errors"].items()
        for name, each in found.items()
    }
    late = [(n, error) for n, error in zip(CONSTRUCTED, figures["constructed"], strict=True) if n >= FROM]
    steepness = float(np.log([error for _, error in late]) @ slope_weights([n for n, _ in late]))
    best = {name: min(each[-1]) for name, each in trained.items()}
    known = {name: least_known(figures, name) for name in trained}
    return [
        judge(
            "The error of trained networks falls with the width",
            rule="the median over seeds is lower at every larger width, for every activation",
            figure="; ".join(f"{name} {', '.join(f'{x:.2g}' for x in each)}" for name, each in medians.items()),
            holds=falling == len(widths) - 1,
            only_when=f"there are at most {widths[falling]} hidden units",
            there=falling,
        ),
        judge(
            "The slope of log error against log width is negative, trained or with random hidden units",
            rule="the 95 % interval over seeds lies below 0, for every activation",
            figure=", ".join(
                f"{name} {middle:.2f} ({low:.2f} to {high:.2f})" for name, (middle, low, high) in slopes.items()
            ),
            holds=all(high < 0 for _, _, high in slopes.values()),
        ),
        judge(
            "Training the hidden units beats drawing them at random",
            rule="the median error of trained networks is lower at every width, for every activation",
            figure=f"at {widths[-1]} units: "
            + ", ".join(f"{name} {medians[name][-1]:.1e} against {np.median(drawn[name][-1]):.1e}" for name in medians),
            holds=better == len(widths),
            only_when=f"there are at most {widths[better - 1]} hidden units",
            there=better,
        ),
        judge(
            "A ReLU network of n units can interpolate linearly between n + 1 points, with an error like n⁻²",
            rule=f"its weights, written down, give the interpolation to {ROUNDING:.0e}, and the slope from {FROM}"
            f" units on is within {NEAR} of {SLOPE:.0f}",
            figure=f"difference {figures['apart']:.1e}, slope {steepness:.3f}",
            holds=figures["apart"] <= ROUNDING and abs(steepness - SLOPE) <= NEAR,
        ),
        judge(
            "Where trained networks stop improving, the optimisation fails, not the approximation",
            rule=f"at {widths[-1]} hidden units, a network with an error below that of every trained seed is known:"
            " the written-down one, or one with random hidden units",
            figure=", ".join(f"{name}: best seed {best[name]:.1e}, known {known[name]:.1e}" for name in best),
            holds=all(known[name] < best[name] for name in best),
        ),
    ]


def least_known(figures: Figures, activation: str) -> float:
    """The least error that is known without training for at most the largest width."""
    least = min(min(each) for each in figures["errors"]["random"][activation])
    if activation != "ReLU":
        return least
    built = zip(CONSTRUCTED, figures["constructed"], strict=True)
    return min(least, *(error for width, error in built if width <= figures["widths"][-1]))


def first_no(answers: Any) -> int:
    """The place of the first that is not true; their number if all are."""
    return int(np.argmin([*answers, False]))


def slope_weights(widths: Sequence[int]) -> np.ndarray:
    """The weights w with which Σ w y is the slope of the least-squares line through (log width, y)."""
    x = np.log(widths) - np.mean(np.log(widths))
    return x / (x @ x)


def slope_interval(widths: Sequence[int], errors: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The slope of log error against log width, and its 95 % bootstrap interval over the seeds of each width."""
    logs, random = np.log(errors), np.random.default_rng(0)
    drawn = random.integers(0, logs.shape[1], (2000, *logs.shape))
    again = np.take_along_axis(logs[None], drawn, -1)
    low, high = np.quantile(again.mean(-1) @ slope_weights(widths), (0.025, 0.975))
    return float(logs.mean(-1) @ slope_weights(widths)), float(low), float(high)
