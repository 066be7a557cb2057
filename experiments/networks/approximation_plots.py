"""The pictures of the approximation experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, GREEN, INK, ORANGE, PURPLE, clean, new_figure, save

STYLES = {
    ("trained", "ReLU"): (BLUE, "o", "-"),
    ("trained", "tanh"): (ORANGE, "s", "-"),
    ("random", "ReLU"): (GREEN, "^", "--"),
    ("random", "tanh"): (PURPLE, "v", "--"),
}
FLOOR = 1e-6
"""Errors below are left out of the picture."""


def errors(path: Path, widths: Sequence[int], found: Any, slopes: Any, constructed: tuple) -> None:
    """The error against the width, with its range over seeds, for every kind of network."""
    figure = new_figure(10, 5.4)
    axes = figure.add_subplot()
    axes.plot(
        *constructed, color=INK, linestyle=":", linewidth=1.6, marker="D", markersize=4, label="ReLU, written down"
    )
    for (kind, name), (colour, marker, line) in STYLES.items():
        if name not in found[kind]:
            continue
        low, median, high = np.quantile(found[kind][name], (0, 0.5, 1), axis=1)
        middle, least, most = slopes[kind][name]
        axes.fill_between(widths, low, high, color=colour, alpha=0.15, linewidth=0)
        words = "trained" if kind == "trained" else "random hidden units"
        label = f"{name}, {words}\nslope {middle:.2f} ({least:.2f} to {most:.2f})"
        axes.plot(widths, median, color=colour, marker=marker, linestyle=line, linewidth=2, label=label)
    axes.set(xscale="log", yscale="log", xlabel="hidden units", ylabel="relative error", ylim=(FLOOR, 3))
    axes.set_xticks(constructed[0], [str(width) for width in constructed[0]])
    axes.minorticks_off()
    clean(axes)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9, labelspacing=1)
    save(figure, path)


def fits(path: Path, x: np.ndarray, y: np.ndarray, widths: Sequence[int], found: Any) -> None:
    """One row for each activation, one panel for each width: the function and what the networks compute."""
    figure = new_figure(3.6 * len(widths) + 0.4, 2.7 * len(found) + 0.5)
    grid = figure.subplots(len(found), len(widths), squeeze=False, sharex=True, sharey=True)
    lines = {}
    for row, (name, each) in zip(grid, found.items(), strict=True):
        colour = STYLES["trained", name][0]
        for axes, width, (low, median, high) in zip(row, widths, each, strict=True):
            axes.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
            lines[f"{name}, trained"] = axes.plot(x, median, color=colour, linewidth=2.6)[0]
            lines["f(x) = eˣ sin 6x"] = axes.plot(x, y, color=INK, linestyle="--", linewidth=1.2)[0]
            axes.set(title=f"{width} hidden units", xticks=[-1, -0.5, 0, 0.5, 1])
            axes.title.set_fontsize(10)
            clean(axes)
        row[0].set_ylabel(f"{name}: f(x)")
    for axes in grid[-1]:
        axes.set_xlabel("x")
    figure.legend(lines.values(), lines, loc="outside upper right", ncols=len(lines), frameon=False, fontsize=9)
    save(figure, path)
