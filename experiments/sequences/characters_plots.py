"""The pictures of the experiment on characters."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.intervals import half_of_mean

COLOURS = {"transformer": plots.BLUE, "LSTM": plots.ORANGE}


def bits(path: Path, figures: dict[str, Any]) -> None:
    """Bits per character of all that predict on the left, of the networks while they learn on the right."""
    figure = plots.new_figure(11, 4.2)
    left, right = figure.subplots(1, 2)
    found = {name: np.array(each).mean(0) for name, each in figures["bits"].items()}
    rows = {name: (each.mean(), half_of_mean(each)) for name, each in found.items()}
    rows |= {
        f"{name} after training text": (each["after the training text"], 0)
        for name, each in figures["compressed"].items()
    }
    for place, (name, (mean, half)) in enumerate(sorted(rows.items(), key=lambda row: -row[1][0])):
        left.errorbar(mean, place, xerr=half or None, color=COLOURS.get(name, plots.INK), marker="o", capsize=3)
        left.annotate(f"{mean:.2f}", (mean, place), (0, 7), textcoords="offset points", ha="center", fontsize=9)
    left.set_yticks(range(len(rows)), [name for name, _ in sorted(rows.items(), key=lambda row: -row[1][0])])
    left.set(
        xlabel="bits per character of the test text (lower is better)", xlim=(0, None), ylim=(-0.5, len(rows) - 0.2)
    )
    for name, losses in figures["losses"].items():
        parts = np.array(losses).shape[1]
        seen = figures["seen"] / 1000 * (np.arange(parts) + 0.5) / parts
        plots.band(right, seen, losses, name, color=COLOURS[name])
    right.set(
        xlabel="thousands of characters seen", ylabel="bits per character of the training windows", ylim=(0, None)
    )
    plots.legend(right)
    plots.clean(left)
    plots.clean(right)
    left.grid(axis="y", visible=False)
    left.grid(axis="x", color=plots.PALE, linewidth=0.8)
    plots.save(figure, path)


def kinds(path: Path, found: dict[str, dict[str, Any]]) -> None:
    """The bits of each kind of feed-forward part, by seed."""
    figure = plots.new_figure(7, 3.8)
    axes = figure.add_subplot()
    markers = "osDv^<>"
    for place, each in enumerate(found.values()):
        colour = plots.BLUE if place < 2 else plots.GREEN
        for seed, value in enumerate(each["bits"]):
            label = f"run {seed + 1}" if not place else None
            style = {"marker": markers[seed % 7], "facecolor": "none", "edgecolor": plots.INK, "label": label}
            axes.scatter(place + 0.12 * (seed - (len(each["bits"]) - 1) / 2), value, **style)
        axes.plot([place - 0.3, place + 0.3], [np.mean(each["bits"])] * 2, color=colour, linewidth=2.5)
    axes.set_xticks(range(len(found)), [f"{name}\n{each['units']} units" for name, each in found.items()])
    axes.set_ylabel("bits per character of the test text\n(lower is better)")
    plots.clean(axes)
    plots.legend(axes)
    plots.save(figure, path)
