"""The pictures of the experiment on symmetry."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, INK, ORANGE, clean, legend, new_figure, save


def lines(path: Path, steps: np.ndarray, found: dict[str, Any]) -> None:
    """The loss along the line of every pair, before and after its units are matched."""
    figure = new_figure(5.2 * len(found) + 0.4, 4.2)
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (name, kinds) in zip(panels, found.items(), strict=True):
        for kind, colour, style in (("before", ORANGE, "--"), ("after", BLUE, "-")):
            losses = np.array(kinds[kind])
            axes.plot(steps, losses.T, color=colour, linewidth=0.7, alpha=0.45)
            label = f"{kind} matching"
            axes.plot(steps, np.median(losses, 0), color=colour, linestyle=style, linewidth=2.4, label=label)
        axes.set(xlabel="place on the line from one network to the other")
        axes.set_title(name, loc="left", fontsize=10)
        clean(axes)
        legend(axes)
    panels[0].set(ylabel="training loss", ylim=(0, None))
    save(figure, path)


def moves(path: Path, small: dict[str, Any], rounding: float) -> None:
    """The least and the largest relative change by each kind of move, on a logarithmic axis."""
    figure = new_figure(10, 3.6)
    for axes, (quantity, words) in zip(
        figure.subplots(1, 2, sharey=True), {"loss": "loss", "gradient": "norm of the gradient"}.items(), strict=True
    ):
        for shift, (name, colour, marker) in zip(
            (-0.14, 0.14), (("tanh", BLUE, "o"), ("ReLU", ORANGE, "s")), strict=True
        ):
            for place, each in enumerate(small[name].values()):
                # No change at all has no logarithm: it is drawn at the left edge.
                low, middle, high = np.maximum(each[quantity], 1e-17)
                label = name if place == 0 else None
                axes.plot([low, high], [place + shift] * 2, color=colour, linewidth=3, alpha=0.6, solid_capstyle="butt")
                axes.plot(middle, place + shift, marker, color=colour, markersize=7, label=label)
        axes.axvline(rounding, color=INK, linestyle=":", linewidth=1)
        axes.set(xscale="log", xlabel=f"relative change of the {words}", ylim=(2.5, -0.5))
        axes.set_yticks(range(3), small["tanh"])
        clean(axes)
        legend(axes)
    save(figure, path)
