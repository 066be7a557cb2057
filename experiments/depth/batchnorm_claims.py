"""Claims of the experiment on batch norm that do not depend on the map of rates: scaled weights, and the two modes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.depth.pretraining_networks import BATCH
from experiments.study import Figures

POINT, EXACT, EPSILON, ROOM = 0.01, 1e-10, 1e-5, 100
"""How far apart accuracies are equally good; below which change in float64 nothing changes; batch norm's ε; how many ε
the variances must exceed for 1 %."""

SCALES = tuple(10.0 ** (power / 2) for power in range(-8, 9))
"""By what the weights before a batch norm are multiplied."""


def of_scaling(figures: Figures) -> list[Claim]:
    """What scaled weights before a batch norm change, and what ε is for."""
    found = {
        epsilon: {kind: np.array(each) for kind, each in kinds.items()} for epsilon, kinds in figures["scaled"].items()
    }
    exact, usual = found["0"], found[f"{EPSILON:g}"]
    most = {name: max(each["output"].max(), each["gradient"].max()) for name, each in found.items()}
    inside = usual["variance"] > ROOM * EPSILON
    changed = np.maximum(usual["output"], usual["gradient"])
    pixels, others = zip(*figures["finite"].values(), strict=True)
    return [
        judge(
            "Scaling the weights before it by c leaves the output as it is and divides their gradient by c",
            rule=f"for c from {SCALES[0]:g} to {SCALES[-1]:g}, in every seed, neither the output nor c times the"
            f" gradient changes by {EXACT:g} of itself or more, in float64",
            figure=", ".join(f"ε = {name}: by at most {each:.2g}" for name, each in most.items()),
            holds=max(most.values()) < EXACT,
            only_when="ε is 0",
            there=max(exact["output"].max(), exact["gradient"].max()) < EXACT,
        ),
        judge(
            f"With ε it does so to 1 %, where the variances exceed {ROOM} ε",
            rule=f"with ε = {EPSILON:g}, both change by less than 1 % at every c and seed where every unit's variance"
            f" before it is above {ROOM} ε",
            figure=f"by at most {changed[inside].max():.2g} there, by up to {changed.max():.2g} elsewhere",
            holds=changed[inside].max() < 0.01,
        ),
        judge(
            "Batch norm needs ε",
            rule=f"on {BATCH} digits as they are and without their constant pixels, its output is finite with ε and"
            " not finite without",
            figure=f"without ε: {spelt(pixels[0])} with {figures['constant']} constant pixels,"
            f" {spelt(others[0])} without them; with ε: {spelt(pixels[1])} and {spelt(others[1])}",
            holds=pixels[1] and others[1] and not (pixels[0] or others[0]),
            only_when="a unit is constant over the batch",
            there=pixels[1] and others[1] and not pixels[0],
        ),
    ]


def of_modes(modes: Mapping[str, Any]) -> list[Claim]:
    """How training and evaluation mode differ by size of the batches."""
    sizes = list(modes)
    loss, read = (
        {kind: np.array([modes[size][kind][score] for size in sizes]) for kind in ("batch", "running", "whole")}
        for score in ("loss", "accuracy")
    )
    gaps = np.median(loss["batch"] - loss["running"], 1)
    agree = np.abs(read["batch"] - read["running"]).max(1)
    short = (read["whole"] - read["running"]).max(1)
    falls = np.diff(gaps) < 0
    serve = [size for size, each in zip(sizes, short, strict=True) if each <= POINT]
    close = [size for size, each in zip(sizes, agree, strict=True) if each <= POINT]

    def listed(values: Any, form: str) -> str:
        return ", ".join(form.format(each) for each in values) + f" for batches of {', '.join(sizes)}"

    return [
        judge(
            "The smaller the batch, the larger the gap between training and evaluation mode",
            rule="the loss on the test digits with the statistics of the batch, less that with the running averages"
            " (then these are better), falls with every step in batch size (medians)",
            figure=listed(gaps, "{:.2g}"),
            holds=falls.all(),
            only_when=f"batches have {sizes[1]} samples or more",
            there=len(falls) > 1 and falls[1:].all(),
        ),
        judge(
            "Both modes read as many digits",
            rule=f"their test accuracies are at most {100 * POINT:g} point apart in every seed, for every batch size",
            figure=listed(100 * agree, "{:.1f}")
            + " (points at most); read in evaluation mode: "
            + listed(100 * np.median(read["running"], 1), "{:.0f} %"),
            holds=len(close) == len(sizes),
            only_when=f"batches have {' or '.join(close)} samples",
            there=close,
        ),
        judge(
            "Running averages serve as well as the statistics of all training digits",
            rule=f"with them, the accuracy is at most {100 * POINT:g} point lower in every seed, for every batch size",
            figure=listed(100 * short, "{:.1f}") + " (points at most)",
            holds=len(serve) == len(sizes),
            only_when=f"batches have {' or '.join(serve)} samples",
            there=serve,
        ),
    ]


def spelt(finite: bool) -> str:
    """In words."""
    return "finite" if finite else "not finite"
