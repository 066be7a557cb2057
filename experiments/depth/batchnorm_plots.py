"""The pictures of the experiment on batch norm."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.depth.batchnorm_networks import AFTER, BEFORE, MOVED, WITHOUT
from experiments.plots import band, legend_above

STYLES = {
    WITHOUT: (plots.RED, "v", "-"),
    BEFORE: (plots.BLUE, "o", "-"),
    AFTER: (plots.GREEN, "s", "--"),
    MOVED: (plots.ORANGE, "D", ":"),
}
KINDS = {
    "batch": ("of the batch (training mode)", plots.RED, "v", "-"),
    "running": ("running averages (evaluation mode)", plots.BLUE, "o", "-"),
    "whole": ("of all training digits", plots.GREEN, "s", "--"),
}


def rates(path: Path, figures: dict[str, Any], level: float) -> None:
    """Test accuracy against the learning rate, a panel for each activation."""
    names = list(figures["tested"][WITHOUT])
    figure = plots.new_figure(1.4 + 3.6 * max(len(names), 2), 4.2)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        for way, (colour, marker, line) in STYLES.items():
            runs = 100 * np.array(figures["tested"][way][name]).T
            style = {"color": colour, "marker": marker, "linestyle": line, "middle": np.median}
            band(axes, figures["rates"], runs, way, **style)
        axes.axhline(100 * level, color=plots.DIM, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="learning rate", ylim=(0, 101))
        axes.set_title(name, loc="left", fontsize=10)
        plots.clean(axes)
    panels[0].set_ylabel("test accuracy [%]")
    legend_above(figure, panels[0], columns=4)
    plots.save(figure, path)


def scales_and_batches(path: Path, figures: dict[str, Any], scales: Any) -> None:
    """What scaling the weights changes, and the loss by batch size with three kinds of statistics."""
    figure = plots.new_figure(11, 4.4)
    left, right = figure.subplots(1, 2)
    usual = next(name for name in figures["scaled"] if name != "0")
    for name, kind, colour, marker in (
        (usual, "output", plots.ORANGE, "s"),
        (usual, "gradient", plots.RED, "v"),
        ("0", "output", plots.GREEN, "D"),
        ("0", "gradient", plots.BLUE, "o"),
    ):
        most = np.array(figures["scaled"][name][kind]).max(1)
        label = f"{'c × gradient' if kind == 'gradient' else kind}, ε = {name}"
        left.plot(
            scales, np.where(most > 0, most, np.nan), marker, linestyle="-", color=colour, label=label, markersize=5
        )
    left.set(xscale="log", yscale="log", xlabel="c, by which the weights before batch norm are multiplied")
    left.set(ylabel="relative change", ylim=(1e-17, 10))
    sizes = [int(size) for size in figures["modes"]]
    for kind, (label, colour, marker, line) in KINDS.items():
        runs = np.array([found[kind]["loss"] for found in figures["modes"].values()]).T
        band(right, sizes, runs, label, color=colour, marker=marker, linestyle=line, middle=np.median)
    right.set(xscale="log", yscale="log", xlabel="samples in a batch", ylabel="loss on test digits")
    right.set_xticks(sizes, [str(size) for size in sizes])
    right.minorticks_off()
    for axes in (left, right):
        plots.clean(axes)
    plots.legend(left, columns=2)
    right.legend(frameon=False, title="statistics", fontsize=9, loc="upper right", alignment="left")
    plots.save(figure, path)
