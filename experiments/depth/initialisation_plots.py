"""The pictures of the experiment on initialisation."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.plots import band, legend_above

SHOWN = {
    "1e-5": ("σ² = 1e-5", plots.BLUE, "v"),
    "1e0": ("σ² = 1", plots.PURPLE, "s"),
    "1e5": ("σ² = 1e5", plots.RED, "^"),
    "He": ("He", plots.GREEN, "o"),
    "Glorot": ("Glorot", plots.ORANGE, "D"),
}
"""The initial weights that are drawn by layer: label, colour and marker."""

STYLES = {"ReLU": (plots.BLUE, "o"), "tanh": (plots.ORANGE, "s"), "sigmoid": (plots.GREEN, "^")}


def by_layer(path: Path, figures: dict[str, Any]) -> None:
    """A column for each activation: sizes of activations and of deltas against the layer."""
    figure = plots.new_figure(11, 6)
    rows = figure.subplots(2, len(STYLES), sharex=True, sharey=True)
    for row, kind in zip(rows, ("activations", "deltas"), strict=True):
        for axes, activation in zip(row, STYLES, strict=True):
            for name, (label, colour, marker) in SHOWN.items():
                sizes = positive(figures["plain"][activation][name][kind])
                band(axes, figures["layers"], sizes, label, color=colour, marker=marker, middle=np.median)
            powers_of_ten(axes)
            axes.set_xticks(figures["layers"])
            plots.clean(axes)
        row[0].set_ylabel(f"size of {kind}")
    for axes, activation in zip(rows[0], STYLES, strict=True):
        axes.set_title(activation, loc="left", fontsize=10)
    for axes in rows[1]:
        axes.set_xlabel("layer")
    legend_above(figure, rows[0, 0], columns=len(SHOWN))
    plots.save(figure, path)


def by_variance(path: Path, figures: dict[str, Any]) -> None:
    """Sizes at the far end, activations of the last layer and deltas of the first, against σ²."""
    figure = plots.new_figure(11, 4.5)
    panels = figure.subplots(1, 2)
    for axes, kind, place, where in zip(panels, ("activations", "deltas"), (-1, 0), ("last", "first"), strict=True):
        for activation, (colour, marker) in STYLES.items():
            for norms, line, filled in (("plain", "-", colour), ("batch norm", "--", "white")):
                found = figures[norms][activation]
                variances = sorted((name for name in found if name.startswith("1e")), key=float)
                sizes = positive([np.array(found[name][kind])[:, place] for name in variances]).T
                style = {"color": colour, "marker": marker, "linestyle": line, "markerfacecolor": filled}
                label = activation + (", batch norm" if norms == "batch norm" else "")
                band(axes, [float(name) for name in variances], sizes, label, middle=np.median, **style)
        powers_of_ten(axes)
        axes.set(xscale="log", xlabel="σ² of the weights", ylabel=f"size of {kind} of the {where} layer")
        plots.clean(axes)
    legend_above(figure, panels[0], columns=2 * len(STYLES))
    plots.save(figure, path)


def powers_of_ten(axes: Any) -> None:
    """A logarithmic axis that ends where what is smaller still tells nothing more."""
    axes.set(yscale="log", ylim=(1e-65, 1e75), yticks=[10.0**power for power in range(-60, 80, 20)])
    axes.minorticks_off()


def positive(sizes: Any) -> np.ndarray:
    """The sizes with NaN in the place of 0, which a logarithmic axis cannot show."""
    sizes = np.asarray(sizes)
    return np.where(sizes > 0, sizes, np.nan)
