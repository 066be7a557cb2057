"""The claims of the experiment on XOR, from its figures."""

import numpy as np

from experiments.claims import Claim, judge
from experiments.intervals import wilson
from experiments.study import Figures

CORNERS = 4
"""How many points XOR has, the corners of a square."""

SOME, NEARLY_ALL, ROUNDING = 0.05, 0.95, 1e-12
"""The bounds of the rules: a share that is more than none, one that is nearly all, and a rounding error."""


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    without, widths = figures["without"], figures["widths"]
    few, many = ({name: with_interval(n[i], len(without)) for name, n in figures["solved"].items()} for i in (0, -1))
    some = [name for name, (_, low, high) in few.items() if low >= SOME and high <= 1 - SOME]
    nearly_all = [name for name, (_, low, _) in many.items() if low >= NEARLY_ALL]
    errors = {name: each["error"] for name, each in figures["worked"].items()}
    steps = {n: (np.array(each["right"]), np.array(each["swapped"])) for n, each in figures["falls"].items()}
    return [
        judge(
            "A network without a hidden layer never solves XOR",
            rule="at most three of the four points are reached, in every seed",
            figure=f"{max(without)} of 4 reached in the best of {len(without)} seeds",
            holds=max(without) < CORNERS,
        ),
        judge(
            f"With {widths[0]} hidden units some seeds solve it and some get stuck",
            rule=f"the interval of the share lies between {SOME:.0%} and {1 - SOME:.0%}, for every activation",
            figure=shares(few),
            holds=len(some) == len(few),
            only_when=f"the activation is {' or '.join(some)}",
            there=some,
        ),
        judge(
            f"With {widths[-1]} hidden units nearly all solve it",
            rule=f"the interval of the share lies above {NEARLY_ALL:.0%}, for every activation",
            figure=shares(many),
            holds=len(nearly_all) == len(many),
            only_when=f"the activation is {' or '.join(nearly_all)}",
            there=nearly_all,
        ),
        judge(
            "δ = (Wᵀδ) ⊙ f' gives the gradient of the worked networks",
            rule=f"no derivative differs from fnn's by more than {ROUNDING:.0e} of the largest of its matrix",
            figure=", ".join(f"{name}: {error:.1e}" for name, error in errors.items()),
            holds=max(errors.values()) <= ROUNDING,
        ),
        judge(
            "The hidden update with swapped indices lowers the loss as well as the right one",
            rule="it lowers it wherever the right one does, and in the median by no less",
            figure="; ".join(
                f"{n} sample{'s' * (n != '1')}: right in {np.mean(right > 0):.1%} of {len(right)}, swapped in"
                f" {np.mean(swapped > 0):.1%}, by {np.median(swapped / right):.0%} of the right one's fall"
                for n, (right, swapped) in steps.items()
            ),
            holds=all(
                (swapped[right > 0] > 0).all() and np.median(swapped / right) >= 1 for right, swapped in steps.values()
            ),
        ),
    ]


def with_interval(hits: int, count: int) -> tuple[float, float, float]:
    """A share and the ends of its 95 % interval."""
    low, high = wilson(hits / count, count)
    return hits / count, float(low), float(high)


def shares(found: dict[str, tuple[float, float, float]]) -> str:
    """Shares and their intervals in words."""
    return ", ".join(f"{name} {share:.0%} ({low:.0%} to {high:.0%})" for name, (share, low, high) in found.items())
