"""The pictures of the experiment on spirals."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import PercentFormatter

from experiments.plots import BLUE, DIM, GREEN, INK, ORANGE, clean, legend, new_figure, save

STYLES = {
    "one layer": (DIM, "D", ":"),
    "deep, linear": (ORANGE, "s", "--"),
    "deep, ReLU": (BLUE, "o", "-"),
    "deep, tanh": (GREEN, "^", "-."),
}


def regions(path: Path, figures: dict[str, Any], side: np.ndarray) -> None:
    """What the deep networks answer in the square around the spirals, in the mean over seeds."""
    shown = {name: each["region"] for name, each in figures["networks"].items() if "region" in each}
    points, labels = np.array(figures["points"]), np.array(figures["labels"])
    figure = new_figure(4 * len(shown) + 0.9, 4.6)
    shades = LinearSegmentedColormap.from_list("classes", [ORANGE, "#ffffff", BLUE])
    grid = figure.subplots(1, len(shown), squeeze=False)[0]
    filled: Any = None
    for axes, (name, region) in zip(grid, shown.items(), strict=True):
        filled = axes.contourf(side, side, region, np.linspace(0, 1, 21), cmap=shades, alpha=0.75)
        axes.contour(side, side, region, [0.5], colors=INK, linewidths=1.4)
        for label, colour, marker in ((1, BLUE, "o"), (0, ORANGE, "s")):
            style = {"color": colour, "marker": marker, "edgecolors": "white", "linewidths": 0.6}
            axes.scatter(*points[labels == label].T, s=24, label=f"class {label}", **style)
        axes.set(aspect="equal", xlabel="x₁", xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        axes.set_title(name, loc="left", fontsize=10)
        clean(axes)
        axes.grid(visible=False)
    grid[0].set_ylabel("x₂")
    legend(grid[-1])
    bar = figure.colorbar(filled, ax=grid, shrink=0.75, pad=0.01, ticks=[0, 0.5, 1])
    bar.set_label("mean probability of class 1", fontsize=9)
    bar.outline.set_visible(False)  # pyright: ignore
    save(figure, path)


def losses(path: Path, figures: dict[str, Any]) -> None:
    """The training loss over the epochs, and the test accuracy of every seed."""
    networks = figures["networks"]
    figure = new_figure(11, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for place, (name, each) in enumerate(networks.items()):
        colour, marker, line = STYLES[name]
        low, median, high = each["losses"]
        left.fill_between(figures["epochs"], low, high, color=colour, alpha=0.18, linewidth=0)
        left.plot(figures["epochs"], median, color=colour, linestyle=line, linewidth=2, label=name)
        # Spread a little, so that equal seeds do not hide each other.
        across = place + np.linspace(-0.2, 0.2, len(each["accuracy"]))
        right.scatter(across, each["accuracy"], s=20, color=colour, marker=marker, alpha=0.8)
    left.axhline(figures["least"], color=INK, linewidth=1, label="least of a linear model")
    left.set(xscale="log", yscale="log", xlabel="epoch", ylabel="training loss")
    right.set_xticks(range(len(networks)), [name.replace(", ", ",\n") for name in networks])
    right.set(ylabel="test accuracy", ylim=(0.45, 1.02))
    right.yaxis.set_major_formatter(PercentFormatter(1))
    for axes in (left, right):
        clean(axes)
    legend(left, columns=3)
    save(figure, path)
