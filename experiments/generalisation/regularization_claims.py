"""The claims of the experiment on regularisation, from its figures."""

from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.generalisation.regularization_ridge import COPIES
from experiments.generalisation.regularization_training import (
    CONNECT,
    DROPOUT,
    L1,
    MAPS,
    MOVED,
    NONE,
    STRENGTHS,
    TIED,
    UNTIED,
    WINDOW,
    window_pixels,
)
from experiments.intervals import interval, points

SHARES = tuple(i / 10 for i in range(10))
"""The shares of units and of weights that are removed."""

HALF, MOST = SHARES.index(0.5), SHARES.index(0.8)
EXACT, CLOSE, SLOPE = 1e-12, 0.05, 0.1
"""Relative error of an identity; distance of weights from ridge; how far a slope may be from −½."""


def of_accuracy(ways: dict[str, Any]) -> list[Claim]:
    """Those on the test accuracy."""
    tested = {way: np.array(found["tested"]) for way, found in ways.items()}
    # Windows of their own are what tied ones are compared with.
    gains = {way: each - tested[NONE] for way, each in tested.items() if way not in (NONE, UNTIED)}
    found = [helps(way, ways[way], gain, len(gains)) for way, gain in gains.items()]
    if MOVED in tested:
        others = {way: interval(tested[MOVED] - each) for way, each in tested.items() if way != MOVED}
        closest = min(others, key=lambda way: others[way][0])
        found.append(
            judge(
                "Augmentation helps most",
                rule="its mean gain over every other way is above 0, by its 95 % interval",
                figure=f"{points(*others[closest])} points over {closest}, the closest",
                holds=all(middle > half for middle, half in others.values()),
            )
        )
    if TIED in tested and UNTIED in tested:
        middle, half = interval(tested[TIED] - tested[UNTIED])
        shared = MAPS * (WINDOW**2 + 1)
        found.append(
            judge(
                "Windows that share their weights are better than windows that do not",
                rule="the mean gain of tying is above 0, by its 95 % interval",
                figure=f"{points(middle, half)} points to {tested[TIED].mean():.1%}, with {shared} parameters for"
                f" {len(window_pixels()) * shared:,}",
                holds=middle > half,
            )
        )
    return found


def helps(way: str, found: dict[str, Any], gain: np.ndarray, comparisons: int) -> Claim:
    """The claim that a way raises the test accuracy."""
    middle, half = interval(gain, comparisons)
    strength = "" if found["strength"] is None else f" at {found['strength']:.3g}"
    return judge(
        f"Accuracy: {way} helps",
        rule="the mean gain in test accuracy over none is above 0, by its 95 % interval (all ways at once)",
        figure=f"{points(middle, half)} points to {np.mean(found['tested']):.1%}{strength}; {(gain > 0).sum()} of"
        f" {len(gain)} seeds gain",
        holds=middle > half,
    )


def of_weights(figures: dict[str, Any]) -> list[Claim]:
    """Those on how many weights there have to be."""
    near = {way: np.array(found) for way, found in figures["near zero"].items()}
    zero, by_strength = np.array(figures["zero"][L1]), np.array(figures["by strength"][L1])
    sparse = [s for i, s in enumerate(STRENGTHS[L1]) if (by_strength[i:] > 0.5).all()]
    means = ", ".join(f"{way} {found.mean():.0%}" for way, found in near.items())
    strengths = f"; L1 at {listed(STRENGTHS[L1])}: {', '.join(f'{each:.0%}' for each in by_strength.mean(1))}"
    losses = {way: lost(found, MOST) for way, found in figures["without weights"].items()}
    rule = "at the strength that is best for the accuracy, more than half are near 0 in every seed"
    return [
        judge(
            "L1 sets weights to exactly 0",
            rule="under L1, at least 1 % of the weights of the hidden layer are 0 in every seed",
            figure=f"{zero.min():.1%} to {zero.max():.1%} are 0",
            holds=zero.min() >= 0.01,
        ),
        judge(
            "L1 leaves most weights near 0",
            rule=rule,
            figure=f"{near[L1].min():.0%} at least; means: {means}{strengths}",
            holds=near[L1].min() > 0.5,
            only_when=f"its strength is {min(sparse, default=0):g} or more",
            there=sparse,
        ),
        judge(
            "DropConnect leaves most weights near 0",
            rule=rule,
            figure=f"{near[CONNECT].min():.1%} to {near[CONNECT].max():.1%}; none: {near[NONE].min():.1%} to"
            f" {near[NONE].max():.1%}",
            holds=near[CONNECT].min() > 0.5,
        ),
        *(
            judge(
                f"With {way}, most weights can be removed",
                rule=f"without the smallest {SHARES[MOST]:.0%} of the hidden layer's weights, it loses less accuracy"
                " than none does, by the 95 % interval of the mean difference",
                figure=f"{100 * losses[way].mean():.1f} points lost, {100 * losses[NONE].mean():.1f} with none:"
                f" {points(*interval(losses[way] - losses[NONE]))}",
                holds=sum(interval(losses[way] - losses[NONE])) < 0,
            )
            for way in (L1, CONNECT)
        ),
    ]


def of_units(without: dict[str, Any], by_rate: list) -> Claim:
    """That on redundant units, from the accuracies without some, and by dropout's rate with all and half of them."""
    losses = {way: lost(found, HALF) for way, found in without.items()}
    differences = [interval(lost(found, 1) - losses[NONE]) for found in by_rate]
    enough = [s for i, s in enumerate(STRENGTHS[DROPOUT]) if all(sum(each) < 0 for each in differences[i:])]
    means = ", ".join(f"{way} {100 * found.mean():.1f}" for way, found in losses.items())
    chosen = interval(losses[DROPOUT] - losses[NONE])
    return judge(
        "Dropout makes hidden units redundant",
        rule="without a random half of the hidden units, it loses less accuracy than none does, by the 95 % interval of"
        " the mean difference, at the rate that is best for the accuracy",
        figure=f"points lost: {means}; dropout less none: {points(*chosen)}; at {listed(STRENGTHS[DROPOUT])}:"
        f" {', '.join(points(*each) for each in differences)}",
        holds=sum(chosen) < 0,
        only_when=f"its rate is {min(enough, default=0):g} or more",
        there=enough,
    )


def of_ridge(ridge: dict[str, Any]) -> list[Claim]:
    """Those on noise and ridge regression."""
    medians = np.median(ridge["copies"], 0)
    slope = float(np.polyfit(np.log(COPIES), np.log(medians), 1)[0])
    away = {times: np.array(found) for times, found in ridge["trained"].items()}
    return [
        judge(
            "For a linear neuron, the expected loss under noise is the loss + σ²‖w‖²",
            rule=f"they agree within {EXACT:g}, relatively, for 20 random weights, in float64",
            figure=f"at most {ridge['identity']:.1e} apart",
            holds=ridge["identity"] <= EXACT,
        ),
        judge(
            "The least squares of K noisy copies tend to ridge with λ = N σ²",
            rule=f"the median distance falls with K, with a slope within {SLOPE:g} of −½ in the logarithms",
            figure=f"slope {slope:.2f}; {medians[0]:.2g} for 1 copy, {medians[-1]:.2g} for {COPIES[-1]}",
            holds=(np.diff(medians) < 0).all() and abs(slope + 0.5) <= SLOPE,
        ),
        judge(
            "A neuron that is trained with noise ends there",
            rule=f"within {CLOSE:g} of ridge with N σ², and closer to it than with half or twice that, in every seed",
            figure=f"{away['1'].max():.2g} away at most; {away['0.5'].min():.2g} from half, {away['2'].min():.2g}"
            f" from twice, {away['0'].min():.2g} from least squares, at least",
            holds=away["1"].max() <= CLOSE and (away["1"] < np.minimum(away["0.5"], away["2"])).all(),
        ),
    ]


def lost(accuracies: Any, index: int) -> np.ndarray:
    """By seed, the accuracy lost from the first to the share with this index."""
    accuracies = np.array(accuracies)
    return accuracies[:, 0] - accuracies[:, index]


def listed(values: Any) -> str:
    """The values, with commas."""
    return ", ".join(f"{value:.3g}" for value in values)
