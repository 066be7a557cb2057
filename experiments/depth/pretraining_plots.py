"""The picture of the experiment on pre-training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.plots import band

STYLES = {
    "as it is": (plots.RED, "v", "-"),
    "Adam": (plots.PURPLE, "D", "-."),
    "pre-training": (plots.BLUE, "o", "-"),
    "batch norm": (plots.ORANGE, "s", "--"),
    "ReLU and He weights": (plots.GREEN, "^", ":"),
}


def accuracy(path: Path, ways: Mapping[str, Any]) -> None:
    """The validation accuracy of each way by epoch, and its test accuracy at the end."""
    figure = plots.new_figure(11, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for row, (name, found) in enumerate(ways.items()):
        colour, marker, line = STYLES[name]
        runs, tested = 100 * np.array(found["validated"]), 100 * np.array(found["tested"])[found["best"]]
        style = {"color": colour, "marker": marker, "linestyle": line, "markevery": 6}
        band(left, found["spent"] + 1 + np.arange(runs.shape[1]), runs, name, **style)
        right.plot(tested, [row] * len(tested), marker, color=colour, alpha=0.5, markersize=6, linestyle="")
        right.plot([tested.mean()], [row], "|", color=plots.INK, markersize=18, markeredgewidth=2)
    left.set(xlabel="epoch, those of pre-training included", ylabel="validation accuracy, %", ylim=(0, 101))
    right.set(xlabel="test accuracy after the last epoch, %", xlim=(0, 102), ylim=(len(ways) - 0.5, -0.5))
    right.set(yticks=range(len(ways)), yticklabels=list(ways))
    for axes in (left, right):
        plots.clean(axes)
    plots.legend(left, columns=3)
    plots.save(figure, path)
