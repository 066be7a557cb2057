"""The pictures of the XOR experiment."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from experiments.linear.perceptron import XOR
from experiments.plots import BLUE, DIM, GREEN, INK, ORANGE, clean, legend, new_figure, save

SHADES = LinearSegmentedColormap.from_list("classes", [ORANGE, "#ffffff", BLUE])
STYLES = ((BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", ":"))


def boundaries(path: Path, shown: dict[str, list[np.ndarray]], epochs: list[int], side: np.ndarray) -> None:
    """One row for each network, one panel for each snapshot: the probability of class 1, and where it is ½."""
    figure = new_figure(2.1 * len(epochs) + 1.2, 2.2 * len(shown) + 0.5)
    grid = figure.subplots(len(shown), len(epochs), squeeze=False, sharex=True, sharey=True)
    shades: Any = None
    for row, (name, frames) in zip(grid, shown.items(), strict=True):
        for axes, values in zip(row, frames, strict=True):
            shades = axes.contourf(side, side, values, np.linspace(0, 1, 21), cmap=SHADES)
            axes.contour(side, side, values, [0.5], colors=INK, linewidths=1.4)
            for sign, colour, marker, label in ((1, BLUE, "o", "class 1"), (-1, ORANGE, "s", "class 0")):
                points = XOR[0][XOR[1] == sign]
                style = {"color": colour, "marker": marker, "edgecolors": "white", "linewidths": 1}
                axes.scatter(*points.T, s=50, label=label, zorder=3, **style)
            axes.set(aspect="equal", xticks=[0, 1], yticks=[0, 1])
            axes.spines[:].set_visible(False)
            axes.tick_params(colors=DIM, labelsize=8, length=0)
        row[0].set_ylabel(f"{name}\nx₂", fontsize=10, color=INK)
    for top, bottom, epoch in zip(grid[0], grid[-1], epochs, strict=True):
        top.set_title(f"epoch {epoch}", fontsize=10, color=INK)
        bottom.set_xlabel("x₁", fontsize=9, color=INK)
    bar = figure.colorbar(shades, ax=grid, ticks=[0, 0.5, 1], shrink=0.7, pad=0.01)
    bar.set_label("probability of class 1", fontsize=9, color=INK)
    bar.outline.set_visible(False)  # pyright: ignore
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    save(figure, path)


def shares(path: Path, widths: list[int], intervals: dict[str, list], without: tuple, falls: dict[str, Any]) -> None:
    """The share of seeds that solve XOR by width; and what one step of either hidden update does to the loss."""
    figure = new_figure(11, 4.6)
    left, right = figure.subplots(1, 2)
    places = np.arange(1, len(widths) + 1)
    drawn: list[tuple] = [([0], [without], "no hidden layer", (DIM, "D", ""))]
    # Side by side, so that no interval hides another.
    for i, ((name, each), style) in enumerate(zip(intervals.items(), STYLES, strict=False)):
        drawn.append((places + 0.08 * (i - (len(intervals) - 1) / 2), each, name, style))
    for x, each, name, (colour, marker, line) in drawn:
        share, low, high = np.transpose(each)
        spread = np.maximum([share - low, high - share], 0)
        style = {"color": colour, "marker": marker, "linestyle": line, "capsize": 3, "linewidth": 1.6}
        left.errorbar(x, share, spread, label=name, **style)
    left.set_xticks([0, *places], ["none", *map(str, widths)])
    left.set(xlabel="hidden units", ylabel="share of seeds that solve XOR", ylim=(-0.02, 1.04))
    left.yaxis.set_major_formatter(PercentFormatter(1))
    for (samples, each), (colour, marker) in zip(falls.items(), ((ORANGE, "x"), (BLUE, "o")), strict=True):
        fall, label = np.array(each["right"]), f"{samples} sample{'s' * (samples != '1')}"
        right.scatter(fall, each["swapped"] / fall, s=12, color=colour, marker=marker, alpha=0.6, label=label)
    right.axhline(1, color=INK, linestyle="--", linewidth=1.2, label="equal to the right one")
    right.axhline(0, color=INK, linewidth=0.8)
    right.set(
        xscale="log", xlabel="fall of the loss by the right update", ylabel="fall by swapped indices / by the right"
    )
    for axes in (left, right):
        clean(axes)
        legend(axes)
    save(figure, path)


def worked(path: Path, networks: dict[str, Any]) -> None:
    """The units of each network with their outputs and δ, the weights on the lines between them."""
    figure = new_figure(5.6 * len(networks), 4.4)
    for axes, (name, network) in zip(np.ravel(figure.subplots(1, len(networks))), networks.items(), strict=True):
        places = [np.linspace(-1, 1, len(units) + 2)[::-1][1:-1] * len(units) for units in network["units"]]
        for layer, weights in enumerate(network["weights"]):
            for out, row in enumerate(weights):
                for place, weight in enumerate(row):
                    ends = [layer, layer + 1], [places[layer][place], places[layer + 1][out]]
                    style = {"color": BLUE if weight > 0 else ORANGE, "linestyle": "-" if weight > 0 else "--"}
                    axes.plot(*ends, linewidth=0.6 + 2.6 * abs(weight), zorder=1, **style)
        deltas = [[None] * len(network["units"][0]), *network["deltas"]]
        for layer, (units, below) in enumerate(zip(network["units"], deltas, strict=True)):
            for place, unit, delta in zip(places[layer], units, below, strict=True):
                axes.scatter(layer, place, s=1700, color="white", edgecolors=INK, linewidths=1.2, zorder=2)
                text = f"{unit:.3f}" if delta is None else f"{unit:.3f}\nδ {delta:+.3f}"
                axes.text(layer, place, text, ha="center", va="center", fontsize=7, color=INK, zorder=3)
        for place, target in zip(places[-1], network["target"], strict=True):
            axes.text(2.28, place, f"target {target:g}", va="center", fontsize=9, color=DIM)
        axes.set(xlim=(-0.3, 2.75), xticks=[0, 1, 2], yticks=[], title=name)
        axes.set_xticklabels(["input", "hidden", "output"])
        axes.tick_params(length=0, labelsize=9, colors=INK)
        axes.spines[:].set_visible(False)
        axes.margins(y=0.16)
    lines = [
        Line2D([], [], color=BLUE, linestyle="-", linewidth=2, label="positive weight, the larger the thicker"),
        Line2D([], [], color=ORANGE, linestyle="--", linewidth=2, label="negative weight"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    save(figure, path)
