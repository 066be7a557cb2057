"""The pictures of the experiment on autoencoders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, GREEN, GREY, INK, ORANGE, clean, legend, new_figure, save


def reconstructions(path: Path, rows: dict[str, Any], size: int) -> None:
    """A row of digits (10, 64) of each kind, on one scale of grey."""
    figure = new_figure(9, 4)
    panels = figure.subplots(len(rows), 10)
    for (name, digits), line in zip(rows.items(), panels, strict=True):
        for digit, axes in zip(digits, line, strict=True):
            axes.imshow(np.reshape(digit, (8, 8)), cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(GREY)
        words = name if name == "original" else f"{name},\n{size} numbers"
        line[0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=10, color=INK)
    save(figure, path)


def errors(path: Path, sizes: Sequence[int], figures: dict[str, Any]) -> None:
    """The errors by code size on digits seen (left) and unseen (right)."""
    figure = new_figure(10, 4.5)
    kinds = (("PCA", GREY, "-", "s"), ("linear", ORANGE, "none", "x"), ("non-linear", BLUE, "--", "o"))
    for place, (axes, part) in enumerate(zip(figure.subplots(1, 2, sharey=True), ("training", "test"), strict=True)):
        for name, colour, style, marker in kinds:
            # PCA has no seeds.
            values = np.array(figures[name]).reshape(len(sizes), -1, 2)[..., place]
            middle = values.mean(1)
            around = middle - values.min(1), values.max(1) - middle
            drawn: dict[str, Any] = {"color": colour, "linestyle": style, "marker": marker, "markersize": 8}
            axes.errorbar(sizes, middle, yerr=around, capsize=4, label=name, **drawn)
        axes.set(xscale="log", yscale="log", xlabel="numbers in the code")
        axes.set_xticks(sizes, list(map(str, sizes)))
        axes.set_yticks([0.005, 0.01, 0.02, 0.05], ["0.005", "0.01", "0.02", "0.05"])
        axes.minorticks_off()
        axes.set_title(f"{part} digits\n", loc="left", fontsize=10)
        clean(axes)
        legend(axes)
        if place == 0:
            axes.set_ylabel("mean squared error of a pixel (0 to 1)")
    save(figure, path)


def components(path: Path, sizes: Sequence[int], cosines: list[list[list[float]]]) -> None:
    """A dot for each weight vector, and the median."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    for place, seeds in enumerate(cosines):
        values = np.sort(np.concatenate(seeds))
        label = "a weight vector" if place == 0 else None
        across = place + np.linspace(-0.3, 0.3, len(values))
        axes.scatter(across, values, s=16, color=GREEN, alpha=0.7, linewidth=0, label=label)
        label = "median" if place == 0 else None
        axes.plot([place - 0.36, place + 0.36], [np.median(values)] * 2, color=INK, linewidth=2, label=label)
    axes.axhline(1, color=GREY, linestyle=":", linewidth=1.2, label="a principal component")
    axes.set(ylim=(0, 1.05), xlabel="numbers in the code", ylabel="cosine with the nearest component")
    axes.set_xticks(range(len(sizes)), list(map(str, sizes)))
    axes.set_title("\n", fontsize=9)
    clean(axes)
    legend(axes)
    save(figure, path)
