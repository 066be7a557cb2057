"""The picture of the experiment on the amount of training data."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments import plots
from experiments.intervals import interval

STYLES = {
    "network": (plots.BLUE, "o", "-"),
    "logistic regression": (plots.ORANGE, "s", "--"),
    "linear SVM": (plots.GREEN, "^", "-."),
    "radial SVM": (plots.PURPLE, "D", ":"),
}


def errors(path: Path, amounts: Sequence[int], found: Mapping[str, np.ndarray]) -> None:
    """The errors (amounts, splits) of each model, and the differences of the network's from the others'."""
    figure = plots.new_figure(11, 4.6)
    left, right = figure.subplots(1, 2)
    for place, (name, (colour, marker, line)) in enumerate(STYLES.items()):
        style = {"color": colour, "marker": marker, "linestyle": line, "capsize": 3, "linewidth": 1.6, "markersize": 5}
        # Side by side, so that no bar hides another.
        x = np.array(amounts) * 1.03 ** (place - 1.5)
        left.errorbar(x, *intervals(found[name]), label=name, **style)
        if name != "network":
            right.errorbar(x, *intervals(found["network"] - found[name]), label=f"less {name}", **style)
    left.set(yscale="log", ylabel="test error [%]")
    left.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    right.axhline(0, color=plots.DIM, linewidth=0.8)
    right.set(ylabel="error of the network less the other's [points];\nbelow 0 the network is better")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="training digits")
        axes.set_xticks(amounts, list(map(str, amounts)))
        axes.minorticks_off()
        plots.clean(axes)
    plots.legend_above(figure, left, columns=4)
    plots.save(figure, path)


def intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means in per cent and half of their intervals, by row."""
    middles, halves = np.transpose([interval(100 * each) for each in values])
    return middles, halves
