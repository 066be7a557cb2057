"""Pictures of the experiment ``attribution``."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots


def sheet(path: Path, shown: dict[str, Any]) -> None:
    """A row for each digit, a column for the image and each rule; every attribution on its own scale."""
    names = list(shown)
    figure = plots.new_figure(1.25 * len(names), 1.25 * len(shown["image"]) + 0.6)
    panels = figure.subplots(len(shown["image"]), len(names))
    for column, name in enumerate(names):
        for row, values in enumerate(np.array(shown[name])):
            axes, size = panels[row, column], np.abs(values).max() or 1.0
            if name == "image":
                axes.imshow(values, cmap="Greys", vmin=0, vmax=size)
            else:
                axes.imshow(values, cmap="RdBu", vmin=-size, vmax=size)
            axes.set(xticks=[], yticks=[])
        panels[0, column].set_title(name, fontsize=9)
    plots.title(figure, "What made the network read the digit", "each on its own scale: blue adds, red takes away")
    plots.save(figure, path)


def curves(path: Path, figures: dict[str, Any], shares: tuple[float, ...]) -> None:
    """Scores by share removed, and rank correlations by layers drawn anew."""
    colours = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.PURPLE, plots.RED, plots.INK, plots.GREY)
    styles: list[dict[str, Any]] = [
        {"color": colours[i % 7], "linestyle": "-" if i < 7 else "--"} for i in range(len(figures["logits"]))
    ]
    layers = len(next(iter(figures["correlations"].values()))[0])
    figure = plots.new_figure(11, 5)
    left, right = figure.subplots(1, 2)
    for (name, runs), style in zip(figures["logits"].items(), styles, strict=True):
        plots.band(left, [100 * share for share in shares], runs, name, **style)
    for (name, runs), style in zip(figures["correlations"].items(), styles, strict=False):
        plots.band(right, range(layers), runs, name, **style)
    left.set(xlabel="inked pixels removed, %", ylabel="mean logit of the digit")
    right.set(xlabel="layers drawn anew, from the last", ylabel="rank correlation with before", ylim=(-0.2, 1.05))
    right.set_xticks(range(layers))
    for axes in (left, right):
        plots.clean(axes)
    plots.legend_above(figure, left, 5)
    plots.save(figure, path)
