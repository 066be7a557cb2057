"""Pictures of the experiment ``feedback``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.intervals import interval

COLOURS = (plots.INK, plots.BLUE, plots.ORANGE, plots.GREEN, plots.PURPLE)
STYLES = ("-", "-", "--", "-.", ":")


def errors(path: Path, epochs: Sequence[int], accuracies: dict[str, Any]) -> None:
    """Test errors over training, every way at its own rate: the means, and beside them each network at the end."""
    figure = plots.new_figure(11, 4.6)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for place, (way, runs) in enumerate(accuracies.items()):
        wrong, colour = 100 * (1 - np.array(runs)), COLOURS[place]
        left.plot(epochs, wrong.mean(0), STYLES[place], color=colour, linewidth=1.9, label=way)
        last, half = wrong[:, -1], interval(wrong[:, -1])[1]
        right.scatter(place + np.linspace(-0.25, 0.25, len(last)), last, color=colour, alpha=0.45, s=16, linewidth=0)
        right.errorbar(place, last.mean(), half, fmt="D", color=colour, capsize=5, markersize=5, linewidth=1.7)
    left.set(xlabel="epochs", ylabel="test digits misread, %", yscale="log", xlim=(0, epochs[-1]))
    left.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
    right.set_xticks(range(len(accuracies)), [way.replace(" ", "\n") for way in accuracies])
    right.set(xlim=(-0.6, len(accuracies) - 0.4))
    for axes in (left, right):
        axes.minorticks_off()
        plots.clean(axes)
    right.tick_params(axis="x", labelsize=8)
    plots.legend_above(figure, left, 5)
    plots.save(figure, path)


def angles(path: Path, epochs: Sequence[int], found: dict[str, Any]) -> None:
    """A panel for each rule: the angle of each hidden layer over training."""
    figure = plots.new_figure(3.7 * len(found), 4.2)
    panels = figure.subplots(1, len(found), sharey=True)
    for axes, (rule, layers) in zip(panels, found.items(), strict=True):
        styles = zip((plots.BLUE, plots.ORANGE, plots.PURPLE), ("-", "--", "-."), strict=True)
        for place, (runs, (colour, style)) in enumerate(zip(layers, styles, strict=False)):
            plots.band(axes, epochs, runs, f"hidden layer {place + 1}", color=colour, linestyle=style)
        axes.axhline(90, color=plots.INK, linewidth=1, linestyle=":")
        axes.set(xlabel="epochs", xlim=(0, epochs[-1]), ylim=(0, 125))
        axes.set_yticks(range(0, 121, 30))
        axes.set_title(rule, loc="left", fontsize=10)
        plots.clean(axes)
    panels[0].set(ylabel="angle to the true gradient, degrees")
    plots.legend_above(figure, panels[0], len(next(iter(found.values()))))
    plots.save(figure, path)
