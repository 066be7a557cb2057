"""The pictures of the experiment on regularisation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.intervals import interval
from experiments.plots import band

STYLES = {
    "none": (plots.INK, "X", "-"),
    "L1": (plots.BLUE, "o", "--"),
    "L2": (plots.ORANGE, "s", "-."),
    "dropout": (plots.GREEN, "^", "-"),
    "DropConnect": (plots.PURPLE, "D", ":"),
}


def accuracies(path: Path, ways: dict[str, Any]) -> None:
    """The test accuracies of each way, and the gains over none."""
    figure = plots.new_figure(11, 5)
    left, right = figure.subplots(1, 2, sharey=True)
    tested = {way: 100 * np.array(found["tested"]) for way, found in ways.items()}
    gaining = [way for way in tested if way != "none"]
    for row, (way, values) in enumerate(tested.items()):
        left.plot(values, [row] * len(values), "o", color=plots.BLUE, alpha=0.35, markersize=5, markeredgewidth=0)
        left.plot([values.mean()], [row], "|", color=plots.INK, markersize=16, markeredgewidth=2)
        if way in gaining:
            middle, half = interval(values - tested["none"], len([each for each in gaining if each != "windows"]))
            style = {"color": plots.BLUE, "capsize": 3, "markersize": 6}
            right.errorbar([middle], [row], xerr=[half], fmt="o", **style)
    right.axvline(0, color=plots.DIM, linewidth=0.8)
    left.set(xlabel="test accuracy [%]", ylim=(len(ways) - 0.5, -0.5))
    left.set_yticks(range(len(ways)), [label(way, found["strength"]) for way, found in ways.items()])
    right.set(xlabel="gain over none [points]; above 0 the way helps")
    for axes in (left, right):
        plots.clean(axes)
    plots.save(figure, path)


def label(way: str, strength: float | None) -> str:
    """The way with its strength."""
    return way if strength is None else f"{way}, {strength:.3g}"


def removed(path: Path, shares: Sequence[float], figures: dict[str, Any]) -> None:
    """Test accuracy against the share of units, and of weights, that is removed."""
    figure = plots.new_figure(11, 4.6)
    panels = figure.subplots(1, 2)
    places = 100 * np.array(shares)
    for axes, part in zip(panels, ("units", "weights"), strict=True):
        for i, (way, (colour, marker, line)) in enumerate(STYLES.items()):
            runs = 100 * np.array(figures[f"without {part}"][way])
            middles, halves = np.transpose([interval(each) for each in runs.T])
            style = {"color": colour, "marker": marker, "linestyle": line, "capsize": 2, "markersize": 5}
            # Side by side, so that no bar hides another.
            text = label(way, figures["ways"][way]["strength"])
            axes.errorbar(places + 0.6 * (i - 2), middles, halves, linewidth=1.5, label=text, **style)
        axes.set(ylabel="test accuracy [%]")
        plots.clean(axes)
    panels[0].set(xlabel="hidden units removed [%]", ylim=(0, 100))
    panels[1].set(xlabel="weights of the hidden layer removed [%]")
    plots.legend_above(figure, panels[0], columns=5)
    plots.save(figure, path)


def ridge(path: Path, copies: Sequence[int], found: dict[str, Any]) -> None:
    """The distances from ridge regression."""
    figure = plots.new_figure(11, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    runs = np.array(found["copies"])
    band(left, copies, runs, "least squares of noisy copies", color=plots.BLUE, marker="o", middle=np.median)
    first = np.median(runs[:, 0])
    left.plot(copies, first / np.sqrt(copies), "--", color=plots.DIM, label="slope −½")
    left.set(xscale="log", yscale="log", xlabel="noisy copies K", ylabel="distance from ridge with N σ²")
    left.set_xticks(copies, [str(each) for each in copies])
    left.minorticks_off()
    names = {"0": "0, least squares", "0.5": "½ N σ²", "1": "N σ²", "2": "2 N σ²"}
    for row, times in enumerate(names):
        values = found["trained"][times]
        right.plot(values, [row] * len(values), "o", color=plots.ORANGE, alpha=0.6, markersize=6)
    right.set_yticks(range(len(names)), list(names.values()))
    right.set(xscale="log", xlabel="distance of the trained neurons", ylim=(3.5, -0.5), ylabel="from ridge with λ =")
    for axes in (left, right):
        plots.clean(axes)
    plots.legend(left, columns=2)
    plots.save(figure, path)
