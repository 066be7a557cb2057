"""Pictures of the experiment ``noisescale``."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps

from experiments import plots
from experiments.explicit.noisescale_training import fitted

COLOURS, MARKERS = (plots.BLUE, plots.ORANGE), ("o", "s")


def hyperbolas(path: Path, figures: dict[str, Any]) -> None:
    """Steps against examples: means, their range over the seeds, and the fitted hyperbolas."""
    figure = plots.new_figure(6.6, 4.8)
    axes = figure.add_subplot()
    batches = np.array(figures["batches"])
    sizes = np.geomspace(batches[0] / 1.3, batches[-1] * 1.3, 200)
    for (target, each), colour, marker in zip(figures["reached"].items(), COLOURS, MARKERS, strict=True):
        steps = np.array(each["steps"])
        middle, reach = steps.mean(1), [steps.mean(1) - steps.min(1), steps.max(1) - steps.mean(1)]
        least, critical = fitted(batches, middle)
        curve = least * (1 + critical / sizes)
        axes.plot(curve * sizes, curve, color=colour, linewidth=1.4)
        label = f"to a loss of {target}"
        axes.errorbar(middle * batches, middle, reach, fmt=marker, color=colour, capsize=2, linewidth=1, label=label)
        for batch, count in zip(batches, middle, strict=True):
            axes.annotate(f"{batch}", (batch * count, count), (6, 5), textcoords="offset points", fontsize=8)
    axes.set(xscale="log", yscale="log", xlabel="examples", ylabel="steps; the numbers are batch sizes")
    plots.clean(axes)
    plots.legend(axes)
    plots.save(figure, path)


def scales(path: Path, figures: dict[str, Any]) -> None:
    """The noise scale at every point of the runs, its averages, and the critical batch sizes beside them."""
    figure = plots.new_figure(7.6, 4.8)
    axes = figure.add_subplot()
    batches = figures["batches"]
    shades = colormaps["viridis"](np.linspace(0.05, 0.9, len(batches)))
    for batch, curve, shade in zip(batches, figures["curves"], shades, strict=True):
        scale = np.array(curve["scale"])
        style = {"s": 11, "color": shade, "alpha": 0.6, "linewidth": 0}
        label = f"at one point, batches of {batch}" if batch in (batches[0], batches[-1]) else None
        axes.scatter(curve["loss"], np.where(scale > 0, scale, np.nan), label=label, **style)
    for place, (target, each) in enumerate(figures["reached"].items()):
        steps, averages = np.array(each["steps"]), np.exp(np.log(each["scale"]).mean(1))
        runs = [fitted(batches, run)[1] for run in steps.T]
        shown = (
            (float(np.exp(np.log(averages).mean())), averages, 1.05, "o", plots.RED, "averaged from the start"),
            (fitted(batches, steps.mean(1))[1], runs, 1 / 1.05, "D", plots.INK, "critical batch size"),
        )
        for value, spread, shift, marker, colour, label in shown:
            reach = np.maximum([[value - min(spread)], [max(spread) - value]], 0)
            style = {"fmt": marker, "color": colour, "markersize": 8, "capsize": 5, "linewidth": 2, "zorder": 5}
            axes.errorbar(float(target) * shift, value, reach, label=None if place else label, **style)
    axes.set(xscale="log", yscale="log", xlabel="loss of the training digits", ylabel="noise scale, examples")
    axes.set_xticks([2, 1, 0.5, 0.3, 0.2, 0.1], ["2", "1", "0.5", "0.3", "0.2", "0.1"])
    axes.set(xlim=(3, 0.085))
    axes.minorticks_off()
    plots.clean(axes)
    plots.legend(axes, 2)
    plots.save(figure, path)
