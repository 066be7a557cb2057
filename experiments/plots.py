"""The style of all pictures: colours that the colour-blind can tell apart, and no windows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, PURPLE = "#0b6e99", "#e08e0b", "#2a9d6f", "#7a5195"
RED, INK, DIM, GREY, PALE = "#c8102e", "#222222", "#5c5c5c", "#8a8a8a", "#e6e6e6"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure without a window or global state, so that it need not be closed."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # pyright: ignore
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes the picture."""
    figure.savefig(path, dpi=150)


def title(figure: Figure, text: str, subtitle: str = "") -> None:
    """Writes a title and a subtitle at the top left."""
    width, height = figure.get_size_inches()
    figure.text(0.15 / width, 1 - 0.13 / height, text, va="top", fontsize=12, weight="bold", color=INK)
    figure.text(0.15 / width, 1 - 0.37 / height, subtitle, va="top", fontsize=9.5, color=DIM)
    # The layout does not know these texts, so it must be told to stay below them.
    room = 0.62 if subtitle else 0.38
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - room / height))  # pyright: ignore


def clean(axes: Any) -> None:
    """Removes the lines that carry no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=INK, labelsize=9, color=GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)


def band(
    axes: Any, x: Any, runs: Any, label: str, *, color: str, middle: Callable[..., Any] = np.mean, **style: Any
) -> None:
    """The middle of the runs (rows), shaded from the lowest to the highest. NaN is left out."""
    runs = np.asarray(runs)
    style = {"marker": "o" if len(x) < 2 else "", "linewidth": 1.7, "markersize": 5} | style
    axes.fill_between(x, runs.min(0), runs.max(0), color=color, alpha=0.17, linewidth=0)
    axes.plot(x, middle(runs, 0), color=color, label=label, **style)


def legend(axes: Any, columns: int = 4) -> None:
    """The legend above the axes, at the right, where it hides nothing."""
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=columns, borderaxespad=0.1, fontsize=9)


def legend_above(figure: Any, axes: Any, columns: int) -> None:
    """The legend of one of the panels for all of them, above."""
    lines, labels = axes.get_legend_handles_labels()
    figure.legend(lines, labels, frameon=False, loc="outside upper right", ncols=columns, fontsize=9)
