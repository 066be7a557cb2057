"""Claims of the experiment on batch norm that follow from the map of learning rates."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.depth.batchnorm_claims import POINT
from experiments.depth.batchnorm_networks import AFTER, BEFORE, MOVED, WITHOUT
from experiments.study import Figures

LEVEL = 0.9
"""The test accuracy from which a rate is usable."""


def of_rates(figures: Figures, per_decade: int) -> list[Claim]:
    """Which rates are usable with and without it, and whether smaller shifts are why; with so many rates a decade."""
    tested = figures["tested"]
    ranges = {way: {name: usable(each) for name, each in found.items()} for way, found in tested.items()}
    decades = {way: {name: each.sum(0) / per_decade for name, each in found.items()} for way, found in ranges.items()}
    names = list(tested[WITHOUT])
    learning = [name for name in names if ranges[WITHOUT][name].any()]

    def medians(way: str) -> str:
        return ", ".join(f"{name} {np.median(decades[way][name]):.3g}" for name in names)

    def for_every(claim: str, rule: str, figure: str, holds: Mapping[str, Any]) -> Claim:
        there = [name for name, each in holds.items() if each]
        condition = f"the activation is {' or '.join(there)}"
        every = bool(there) and len(there) == len(holds)
        return judge(claim, rule=rule, figure=figure, holds=every, only_when=condition, there=there)

    def edge(claim: str, which: str, better: str, place: int, sign: int) -> Claim:
        plain, normed = ({name: edges(ranges[way][name])[place] for name in names} for way in (WITHOUT, BEFORE))
        gained = {name: sign * (normed[name] - plain[name]) / per_decade for name in names}
        # A seed without a usable rate has no edge.
        had, has = ({name: ranges[way][name].any(0) for name in names} for way in (WITHOUT, BEFORE))
        both = {name: had[name] & has[name] for name in names}
        middles = {name: np.median(gained[name][seeds]) for name, seeds in both.items() if seeds.any()}
        return for_every(
            claim,
            f"the {which} usable rate is {better} with it, in every seed, for every activation",
            "by (medians): "
            + ", ".join(f"{name} {each:.3g} decades" for name, each in middles.items())
            + "".join(f"; without it, {name} has none" for name in names if name not in learning),
            {name: (((gained[name] > 0) | ~had[name]) & has[name]).all() for name in names},
        )

    def at_best(way: str, name: str) -> float:
        return float(np.mean(tested[way][name][figures["best"][way][name]]))

    apart = {name: abs(at_best(BEFORE, name) - at_best(AFTER, name)) for name in names}
    ranged = {name: abs(np.median(decades[BEFORE][name]) - np.median(decades[AFTER][name])) for name in names}
    moved = {way: {name: np.array(found[name]) for name in learning} for way, found in figures["shift"].items()}
    gains = {name: np.median(decades[BEFORE][name] - decades[WITHOUT][name]) for name in learning}
    losses = {name: np.median(decades[BEFORE][name] - decades[MOVED][name]) for name in learning}
    return [
        for_every(
            "Batch norm widens the range of usable learning rates",
            f"more decades of rates lead to at least {LEVEL:.0%} of the test digits with it (before the activation)"
            f" than without, in every seed, for every activation; rates lie {1 / per_decade:.2g}"
            " decades apart, and each usable one counts for as much, a single one too",
            f"decades (medians): {medians(BEFORE)}; without: {medians(WITHOUT)}",
            {name: (decades[BEFORE][name] > decades[WITHOUT][name]).all() for name in names},
        ),
        edge("Larger rates are usable with it", "largest", "larger", 1, 1),
        edge("Smaller rates are usable with it", "smallest", "smaller", 0, -1),
        for_every(
            "It does not matter whether it stands before or after the activation",
            f"at the best rate of each, the mean accuracies are at most {100 * POINT:g} point apart, and the median"
            " ranges at most half a decade, for every activation",
            "; ".join(
                f"{name}: {at_best(BEFORE, name):.1%} before, {at_best(AFTER, name):.1%} after, ranges"
                f" {ranged[name]:.2g} apart"
                for name in names
            ),
            {name: apart[name] <= POINT and ranged[name] <= 0.5 for name in names},
        ),
        for_every(
            "It lessens the shift of the layers' inputs in training (internal covariate shift)",
            "at the rate that is best without it, the shift from epoch to epoch is smaller with it in every seed,"
            " for every activation that learns without it",
            "shift with and without (medians): "
            + ", ".join(
                f"{name} {np.median(moved[BEFORE][name]):.2g}, {np.median(moved[WITHOUT][name]):.2g}"
                for name in learning
            ),
            {name: (moved[BEFORE][name] < moved[WITHOUT][name]).all() for name in learning},
        ),
        for_every(
            "The range is wider because that shift is smaller",
            "shifts are added after it until there is more shift than without it, in every seed; then at least half"
            " of the decades gained are lost (medians), for every activation that learns without it",
            "; ".join(
                f"{name}: shift {np.median(moved[MOVED][name]):.2g} (at least {moved[MOVED][name].min():.2g};"
                f" without it at most {moved[WITHOUT][name].max():.2g}), {losses[name]:.2g} of {gains[name]:.2g}"
                " decades lost"
                for name in learning
            ),
            {
                name: (moved[MOVED][name] > moved[WITHOUT][name]).all() and losses[name] >= gains[name] / 2 > 0
                for name in learning
            },
        ),
    ]


def usable(tested: Any) -> np.ndarray:
    """Which rates are usable, (rates, seeds)."""
    return np.array(tested) >= LEVEL


def edges(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the first and of the last usable rate of each seed; meaningless if there is none."""
    return found.argmax(0), len(found) - 1 - found[::-1].argmax(0)
