"""Learning curves as a picture: the loss, and every metric that is a number, in training and validation."""

import io
import math
import os
from typing import Any, BinaryIO

import jax
import numpy as np

from fnn.describe.html import html_picture, html_text
from fnn.train.history import History

COLOURS = {"training": "#0b6e99", "validation": "#e08e0b"}
MARKERS = {"training": "o", "validation": "s"}
ALONE = ("epsilon", "noise_scale")
"""Entries that are neither losses nor metrics of outputs, and have no validation."""


def save_curves(history: History, path: str | os.PathLike | BinaryIO) -> None:
    """Draws every entry of a history over its epochs, those of validation beside those of training.

    A history of several runs (entries (runs, epochs)) is drawn as the mean with a band from the lowest to the highest.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fnn[experiments]'") from error
    names = [name for name in panels(history) if np.ndim(history[name]) in (1, 2)]
    if not names or not np.shape(history[names[0]])[-1]:
        raise ValueError(f"there is nothing to draw: the history holds {', '.join(history) or 'no entries'}")
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(1.0 + 4.0 * columns, 0.6 + 3.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever backend the caller has chosen
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        for kind, key in (("training", name), ("validation", f"validation_{name}")):
            if key in history:
                _draw(axes, kind, np.atleast_2d(np.asarray(history[key], np.float64)))
        better = "higher" if history.higher_is_better(name) else "lower"
        aside = "" if name in ALONE else f"   ({better} is better)"
        axes.set_title(f"{name.replace('_', ' ')}{aside}", fontsize=10, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", color="#e3e3e3")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    labelled = [axes.get_legend_handles_labels() for axes in figure.axes]
    handles = {kind: line for lines, kinds in labelled for line, kind in zip(lines, kinds, strict=True)}
    runs = {np.shape(history[name])[0] for name in names if np.ndim(history[name]) == 2}
    if runs:
        figure.suptitle(f"Means of {max(runs)} runs, with bands from the lowest to the highest", fontsize=9)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def html_of(history: History, epochs_run: Any, words: str) -> str:
    """A result for a notebook: what it is, and its curves; the table without matplotlib; the words alone if empty."""
    try:
        return html_text(words) + _curves_or_table(history, epochs_run)
    except (ValueError, jax.errors.TracerArrayConversionError):  # no epochs, or inside jit
        return html_text(words)


def _curves_or_table(history: History, epochs_run: Any) -> str:
    from fnn.train.table import table_of

    page = io.BytesIO()
    try:
        save_curves(history, page)
    except ImportError:
        return html_text(table_of(history, epochs_run))
    return html_picture(page.getvalue(), f"learning curves: {', '.join(panels(history))}")


def panels(history: History) -> list[str]:
    """The entries that have a panel: the loss first, and no ``validation_…``, which is drawn beside its own."""
    return sorted((name for name in history if not name.startswith("validation_")), key=lambda name: name != "loss")


def _draw(axes: Any, kind: str, values: np.ndarray) -> None:
    """One curve over the epochs that have a value (not every one is validated, and a run may stop early)."""
    seen = np.isfinite(values).any(0)
    epochs, values = np.flatnonzero(seen) + 1, values[:, seen]
    style: dict[str, Any] = {
        "color": COLOURS[kind],
        "marker": MARKERS[kind] if len(epochs) < 40 else "",
        "markersize": 4,
    }
    axes.plot(epochs, np.nanmean(values, 0), label=kind, **style)
    if len(values) > 1:
        low, high = np.nanmin(values, 0), np.nanmax(values, 0)
        axes.fill_between(epochs, low, high, color=COLOURS[kind], alpha=0.15, linewidth=0)
