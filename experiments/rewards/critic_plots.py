"""The pictures of the experiment on learning with a critic."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.plots import band, legend_above
from experiments.rewards.critic_training import BITS

STYLES = {
    "targets": (plots.BLUE, "o"),
    "critic with a baseline": (plots.GREEN, "s"),
    "critic alone": (plots.ORANGE, "^"),
}


def learning(path: Path, figures: dict[str, Any]) -> None:
    """Accuracy against samples, a panel for each number of bits."""
    figure = plots.new_figure(11, 4.2)
    panels = figure.subplots(1, len(BITS), sharey=True)
    for axes, bits, found in zip(panels, BITS, figures["accuracies"], strict=True):
        for (way, (colour, marker)), runs in zip(STYLES.items(), found, strict=True):
            style = {"color": colour, "marker": marker, "markevery": 6, "middle": np.median}
            band(axes, figures["samples"], 100 * np.array(runs), way, **style)
        axes.axhline(90, color=plots.DIM, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="samples")
        axes.set_title(f"{bits} bit{'s' * (bits > 1)}", loc="left", fontsize=10)
        plots.clean(axes)
    panels[0].set_ylabel("correct bits of new samples [%]")
    legend_above(figure, panels[0], columns=3)
    plots.save(figure, path)


def samples(path: Path, figures: dict[str, Any]) -> None:
    """The samples needed, and the ratio of the variances, against the number of bits."""
    figure = plots.new_figure(11, 4)
    left, right = figure.subplots(1, 2)
    for (way, (colour, marker)), runs in zip(
        STYLES.items(), np.array(figures["needed"]).transpose(1, 2, 0), strict=True
    ):
        band(left, BITS, runs, way, color=colour, marker=marker, middle=np.median)
    left.axhline(figures["possible"], color=plots.DIM, linewidth=0.8, linestyle=":")
    left.set(yscale="log", ylabel="samples until 90 % are correct")
    variances = np.array(figures["variances"])
    measured = (variances[..., 1] / variances[..., 0]).T
    band(right, BITS, measured, "measured", color=plots.PURPLE, marker="D", middle=np.median)
    right.plot(BITS, np.array(BITS) + 1, "--", color=plots.DIM, label="bits + 1")
    right.set(ylabel="variance without a baseline, over that with", ylim=(0, None))
    for axes in (left, right):
        axes.set(xlabel="output bits", xticks=BITS)
        plots.clean(axes)
        plots.legend(axes, columns=3)
    plots.save(figure, path)
