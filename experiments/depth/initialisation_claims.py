"""The claims of the experiment on initial weights, from its figures."""

from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.depth.initialisation_sizes import KINDS, change, ends
from experiments.study import Figures

VARIANCES = [f"1e{power}" for power in range(-5, 6)]
"""σ² of the weights that are drawn from N(0, σ²), as they are named."""

VANISHED, EXPLODED, KEPT = 1e-6, 1e6, 10
"""Below and above which size something has vanished or exploded; within which factor it is kept."""


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    plain, normed, units = figures["plain"], figures["batch norm"], figures["units"]

    def both(kind: str, activation: str) -> bool:
        tiny, large = (ends(plain[activation][name], kind) for name in (VARIANCES[0], VARIANCES[-1]))
        return bool(tiny.max() < VANISHED and large.min() > EXPLODED)

    def extremes(kind: str) -> str:
        medians = {
            name: [np.median(ends(found[variance], kind)) for variance in (VARIANCES[0], VARIANCES[-1])]
            for name, found in plain.items()
        }
        return ", ".join(f"{name} {tiny:.1g} and {large:.1g}" for name, (tiny, large) in medians.items())

    def kept(claim: str, found: dict[str, Any], weights: str, *there: str) -> Claim:
        changes = {name: max(change(found[name][weights][kind]) for kind in KINDS) for name in found}
        return judge(
            claim,
            rule=f"in every seed, neither changes by a factor of {KEPT} or more across the layers",
            figure="by at most: " + ", ".join(f"{name} {each:.2g}" for name, each in changes.items()),
            holds=max(changes.values()) < KEPT,
            only_when=f"the activation is {' or '.join(there)}",
            there=max(changes[name] for name in there) < KEPT,
        )

    lost = [name for name in VARIANCES if min(plain["tanh"][name]["lost"]) == 1]
    most = max(VARIANCES, key=lambda name: ends(plain["tanh"][name], "deltas").max())
    half = np.abs(np.array(plain["sigmoid"][VARIANCES[0]]["activations"]) - 0.5).max()
    over = [[[found[name][kind] for name in VARIANCES] for kind in KINDS] for found in normed.values()]
    independent = change(np.moveaxis(np.array(over), 2, -1))
    bias = max(max(each["bias"]) for found in normed.values() for each in found.values())
    return [
        *(
            judge(
                f"Tiny σ² makes {kind} vanish, large σ² makes them explode",
                rule=f"for every activation and seed, they are below {VANISHED:g} at the far end for σ² ="
                f" {VARIANCES[0]}, and above {EXPLODED:g} for {VARIANCES[-1]}",
                figure=f"medians: {extremes(kind)}",
                holds=all(both(kind, name) for name in plain),
                only_when="the activation is ReLU",
                there=both(kind, "ReLU"),
            )
            for kind in KINDS
        ),
        judge(
            "Large σ² saturates tanh, so that no delta gets through",
            rule="for σ² = 1 and all larger ones, that of the first layer is exactly 0 in every sample and seed",
            figure=f"0 for {', '.join(lost) or 'none'}; largest, {ends(plain['tanh'][most], 'deltas').max():.0g},"
            f" for {most}",
            holds=lost and lost == VARIANCES[-len(lost) :] and float(lost[0]) <= 1,
            only_when=f"σ² is at least {lost[0] if lost else ''}",
            there=lost and lost == VARIANCES[-len(lost) :],
        ),
        judge(
            "Tiny σ² leaves the activations of sigmoids at ½",
            rule=f"for σ² = {VARIANCES[0]}, their size is within 0.01 of ½ in every layer and seed",
            figure=f"within {half:.1g}",
            holds=half < 0.01,
        ),
        kept("He weights keep activations and deltas", plain, "He", "ReLU", "tanh"),
        kept("Glorot weights keep activations and deltas", plain, "Glorot", "tanh"),
        kept("Batch norm keeps activations and deltas", normed, "He", "tanh", "sigmoid"),
        judge(
            "With batch norm, activations and deltas do not depend on σ²",
            rule="in every layer and seed, neither changes by a factor of 2 or more over all σ²",
            figure=f"by at most {independent:.2g}",
            holds=independent < 2,
        ),
        judge(
            "A bias before a batch norm has gradient exactly 0",
            rule="it is 0 in every layer and seed as computed; set aside rounding, it is below 1e-13 of what it sums",
            figure=f"{bias:.0e} of the sum of the sizes at most",
            holds=bias == 0,
            only_when="rounding is set aside",
            there=bias < 1e-13,
        ),
        judge(
            "Units that start with constant weights stay identical",
            rule="after training, the weights of two units of a hidden layer never differ, in any seed, while those"
            " of two inputs do; set aside rounding, they differ by less than 1e-6",
            figure=f"units differ by {max(units['differ']):.0g} at most, inputs by {min(units['learned']):.2f}",
            holds=max(units["differ"]) == 0 < min(units["learned"]),
            only_when="rounding is set aside",
            there=max(units["differ"]) < 1e-6 < min(units["learned"]),
        ),
    ]
