"""The claims of the experiment on symmetries, from its figures."""

import math

import numpy as np

from experiments.claims import Claim, judge
from experiments.networks.symmetry_units import barrier, most
from experiments.study import Figures

ROUNDING, CHANGED, HALF = 1e-12, 0.01, 0.5
"""The bounds of the rules: relative changes that are rounding errors, or real ones; what counts as much lower."""


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    small, lines = figures["small"], figures["lines"]
    permuted = [each["permuted"] for part in ("small", "trained") for each in figures[part].values()]
    signs = {name: most(each["signs changed"]) for name, each in small.items()}
    scaled = {name: each["scaled"]["loss"][2] for name, each in small.items()}
    flippable = [name for name, change in signs.items() if change <= ROUNDING]
    scalable = [name for name, change in scaled.items() if change <= ROUNDING]
    norms = np.array([small[name]["scaled"]["gradient"] for name in scalable] or [[0.0] * 3])
    barriers = {name: {kind: [barrier(line) for line in each[kind]] for kind in each} for name, each in lines.items()}
    ends = {name: float(np.max(np.array(each["before"])[:, [0, -1]])) for name, each in lines.items()}
    return [
        judge(
            "Permuting hidden units changes neither the loss nor the norm of its gradient",
            rule=f"the largest relative change is at most {ROUNDING:.0e}, for all permutations",
            figure=f"{max(map(most, permuted)):.1e} in all {math.factorial(figures['units'])} permutations of"
            f" {figures['units']} units, and in random ones of trained networks",
            holds=max(map(most, permuted)) <= ROUNDING,
        ),
        judge(
            "Nor does changing all signs around hidden units",
            rule=f"the largest relative change is at most {ROUNDING:.0e}, for all choices of units",
            figure=", ".join(f"{name} {change:.1e}" for name, change in signs.items()),
            holds=len(flippable) == len(small),
            only_when=f"the activation is {' or '.join(flippable)}",
            there=flippable,
        ),
        judge(
            "Scaling a unit's inputs by a > 0 and its outputs by 1/a leaves the loss",
            rule=f"the largest relative change of the loss is at most {ROUNDING:.0e}, for all scalings",
            figure=", ".join(f"{name} {change:.1e}" for name, change in scaled.items()),
            holds=len(scalable) == len(small),
            only_when=f"the activation is {' or '.join(scalable)}",
            there=scalable,
        ),
        judge(
            "Where it leaves the loss, it still changes the norm of the gradient",
            rule=f"it changes by at least {CHANGED:.0%} in the median, and by more than {ROUNDING:.0e} every time",
            figure=f"{' and '.join(scalable)}: median {norms[:, 1].min():.0%}, least {norms[:, 0].min():.1%}",
            holds=norms[:, 1].min() >= CHANGED and norms[:, 0].min() > ROUNDING,
        ),
        judge(
            "Between two trained networks the loss has a high barrier",
            rule="the barrier is higher than the loss at the ends, in every pair",
            figure=", ".join(
                f"{name} {span(barriers[name]['before'])}, ends at most {ends[name]:.3f}" for name in barriers
            ),
            holds=all(min(barriers[name]["before"]) > ends[name] for name in barriers),
        ),
        judge(
            "Matching the hidden units lowers it much",
            rule=f"the barrier is at most {HALF:.0%} of what it was, in every pair",
            figure=", ".join(
                f"{name} {span(each['after'])}, {np.median(np.divide(each['after'], each['before'])):.0%} of it in"
                " the median"
                for name, each in barriers.items()
            ),
            holds=all(
                after <= HALF * before
                for each in barriers.values()
                for before, after in zip(each["before"], each["after"], strict=True)
            ),
        ),
    ]


def span(values: list[float]) -> str:
    """The lowest and the highest in words."""
    return f"{min(values):.3f} to {max(values):.3f}"
