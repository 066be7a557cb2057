"""The pictures of the support vector machine: lines between two classes, and margins."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, DIM, GREEN, GREY, INK, ORANGE, PURPLE, RED, clean, legend, new_figure, save

STYLES: tuple[dict[str, Any], ...] = (
    {"color": GREEN, "linewidth": 4, "alpha": 0.4, "zorder": 1},
    {"color": INK, "linewidth": 1.2},
    {"color": PURPLE, "linewidth": 1, "linestyle": "--"},
)


def lines(path: Path, x: np.ndarray, y: np.ndarray, found: dict[str, list], *, support: np.ndarray) -> None:
    """Samples and lines by name, w and b behind each other; the second ones with their margins."""
    figure = new_figure(7, 6)
    axes = figure.subplots()
    for sign, colour, marker, label in ((1, BLUE, "o", "virginica"), (-1, ORANGE, "s", "versicolor")):
        axes.scatter(*x[y == sign].T, s=22, color=colour, marker=marker, label=label, alpha=0.7, linewidth=0)
    axes.scatter(*x[support].T, s=80, facecolor="none", edgecolor=INK, linewidth=0.8, label="support vector")
    ends = np.array([x[:, 0].min() - 0.3, x[:, 0].max() + 0.3])
    for place, ((name, each), style) in enumerate(zip(found.items(), STYLES, strict=True)):
        for i, (w1, w2, b) in enumerate(each):
            axes.plot(ends, -(b + w1 * ends) / w2, label="" if i else name, **style)
            for z in (-1, 1) if place == 1 else ():
                axes.plot(ends, (z - b - w1 * ends) / w2, color=INK, linewidth=0.8, linestyle=":")
    axes.set(xlabel="petal length in cm", ylabel="petal width in cm", yticks=(1, 1.5, 2, 2.5))
    axes.set(xlim=ends, ylim=(x[:, 1].min() - 0.2, x[:, 1].max() + 0.2))
    clean(axes)
    legend(axes, columns=3)
    save(figure, path)


def margins(path: Path, own: np.ndarray, theirs: np.ndarray, *, support: float) -> None:
    """The margin of every sample by the neuron against that by SVC."""
    figure = new_figure(6, 6)
    axes = figure.subplots()
    ends, held = (min(own.min(), theirs.min()) - 0.5, 6), theirs <= support
    axes.plot(ends, ends, color=GREY, linewidth=0.8, label="equal")
    axes.axvline(1, color=DIM, linewidth=0.8, linestyle=":", label="margin 1")
    axes.scatter(theirs[~held], own[~held], s=14, color=BLUE, label="tumour", linewidth=0, alpha=0.6)
    axes.scatter(theirs[held], own[held], s=24, color=RED, marker="^", label="support vector", linewidth=0)
    axes.set(xlabel="margin y z by SVC", ylabel="margin y z by the neuron", xlim=ends, ylim=ends, aspect="equal")
    clean(axes)
    legend(axes)
    save(figure, path)
