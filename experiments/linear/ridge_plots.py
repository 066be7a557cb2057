"""The pictures of ridge regression: fits, and errors by degree."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, GREY, INK, ORANGE, clean, legend, new_figure, save

STYLES: tuple[dict[str, Any], ...] = (
    {"color": GREY, "linewidth": 3, "alpha": 0.5},
    {"color": ORANGE, "linestyle": "--"},
    {"color": BLUE},
)


def fits(path: Path, grid: np.ndarray, curves: dict[int, dict[str, Any]], *, samples: tuple[Any, Any]) -> None:
    """One panel a degree: the truth, the fit without ridge, the fit with it, and the samples."""
    figure = new_figure(4 * len(curves), 4)
    for axes, (degree, lines) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        for (name, line), style in zip(lines.items(), STYLES, strict=True):
            axes.plot(grid, line, label=name, **style)
        axes.scatter(*samples, s=18, color=INK, zorder=3)
        axes.set(xlabel="x", ylabel="y", ylim=(-2, 2), title=f"degree {degree}\n")
        clean(axes)
        legend(axes)
    save(figure, path)


def errors(path: Path, curves: dict[str, np.ndarray]) -> None:
    """Errors by degree (seeds, degrees): the median, and a band with 90 % of the seeds."""
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    styles = ((GREY, ":", "s"), (ORANGE, "--", "o"), (BLUE, "-", "^"))
    for (name, values), (colour, style, marker) in zip(curves.items(), styles, strict=True):
        low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
        axes.fill_between(range(len(middle)), low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(middle, color=colour, linestyle=style, marker=marker, markersize=4, label=name)
    axes.set(xlabel="degree of the polynomial", ylabel="mean squared error", yscale="log")
    clean(axes)
    legend(axes)
    save(figure, path)
