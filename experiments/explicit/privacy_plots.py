"""The picture of the experiment ``privacy``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.intervals import interval


def drawn(path: Path, epsilons: Sequence[float], private: Sequence[Any], beside: dict[str, Any]) -> None:
    """Accuracy, and what losses tell, against ε; at the right, what has none."""
    figure = plots.new_figure(11.5, 4.8)
    panels = figure.subplots(1, 2)
    edges = max(epsilons) * 3 ** np.arange(1.0, len(beside) + 1)
    for axes, quantity in zip(panels, ("accuracy", "told"), strict=True):
        for places, kinds, colour, line in (
            (epsilons, private, plots.BLUE, "-"),
            (edges, list(beside.values()), plots.ORANGE, "none"),
        ):
            means = []
            for place, each in zip(places, kinds, strict=True):
                values = 100 * np.array(each[quantity])
                across = place * np.geomspace(0.87, 1.15, len(values))
                axes.scatter(across, values, color=colour, alpha=0.4, s=15, linewidth=0)
                means.append(values.mean())
                style = {"fmt": "D", "color": colour, "markersize": 5, "capsize": 5, "linewidth": 1.7}
                axes.errorbar(place, means[-1], interval(values)[1], **style)
            axes.plot(places, means, color=colour, linewidth=1.5, linestyle=line)
        axes.axvline(max(epsilons) * 3**0.5, color=plots.GREY, linewidth=1)
        axes.set(xscale="log", xlabel="ε at δ = 10⁻⁴; right of the line there is no noise, and ε is infinite")
        shown = [each for each in (0.5, 1, 2, 5, 10, 20) if min(epsilons) / 1.5 <= each <= max(epsilons) * 1.2]
        labels = [*(f"{each:g}" for each in shown), *(name.replace(", ", ",\n") for name in beside)]
        axes.set_xticks([*shown, *edges], labels)
        axes.minorticks_off()
        plots.clean(axes)
    panels[0].set(ylabel="test digits read rightly, %")
    panels[1].axhline(50, color=plots.INK, linewidth=1, linestyle=":")
    panels[1].annotate("chance", (edges[-1], 50), (0, -12), textcoords="offset points", ha="center", fontsize=8.5)
    panels[1].set(ylabel="pairs in which the loss tells what was trained on, %", ylim=(40, 102))
    plots.save(figure, path)
