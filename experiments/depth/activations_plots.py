"""The pictures of the experiment on activations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.plots import legend_above


def curves(path: Path, x: np.ndarray, shapes: Mapping[str, Any]) -> None:
    """A small panel for each activation: its values and its slopes at x."""
    figure = plots.new_figure(12, 8)
    panels = figure.subplots(4, 6, sharex=True, sharey=True)
    for axes, (name, each) in zip(panels.flat, shapes.items(), strict=True):
        axes.plot(x, broken(each["y"]) if "step" in name else each["y"], color=plots.BLUE, linewidth=2, label="value")
        axes.plot(x, broken(each["slope"]), "--", color=plots.ORANGE, linewidth=1.8, label="slope by hand")
        axes.set(xlim=(-5, 5), ylim=(-1.7, 3.2), xticks=(-4, 0, 4), yticks=(-1, 0, 1, 2, 3))
        axes.set_title(name, loc="left", fontsize=9.5)
        plots.clean(axes)
    for axes in panels[-1]:
        axes.set_xlabel("x", fontsize=9)
    legend_above(figure, panels[0, 0], columns=2)
    plots.save(figure, path)


def outcomes(
    path: Path, accuracies: Mapping[str, Sequence[float]], dead: Mapping[str, Sequence[float]], rate: str
) -> None:
    """A row for each activation, the best at the top: a dot for each seed, and a bar at their mean."""
    order = sorted(accuracies, key=lambda name: np.mean(accuracies[name]))
    figure = plots.new_figure(11, 0.22 * len(order) + 1.4)
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, found, colour, marker in ((left, accuracies, plots.BLUE, "o"), (right, dead, plots.ORANGE, "s")):
        for row, name in enumerate(order):
            percent = 100 * np.array(found[name])
            axes.plot(percent, [row] * len(percent), marker, color=colour, markersize=5, alpha=0.55, linestyle="")
            axes.plot([percent.mean()], [row], "|", color=plots.INK, markersize=11, markeredgewidth=1.8)
        plots.clean(axes)
        axes.grid(axis="x", color=plots.PALE, linewidth=0.8)
    left.set(yticks=range(len(order)), yticklabels=order, xlabel="validation accuracy at the best rate, %")
    right.set(xlabel=f"dead units at a learning rate of {rate}, %")
    plots.save(figure, path)


def broken(values: Sequence[float]) -> np.ndarray:
    """The values with a gap where they jump, which a line would bridge."""
    return np.where(np.append(abs(np.diff(values)) > 0.4, False), np.nan, values)
