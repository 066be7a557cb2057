"""Curves over several runs in the panels of a picture: their middle and their range, and one legend for all."""

from collections.abc import Callable
from typing import Any

import numpy as np


def ranged(
    axes: Any, x: Any, runs: Any, label: str, *, color: str, middle: Callable[..., Any] = np.mean, **style: Any
) -> None:
    """The middle of the runs (rows), shaded from the lowest to the highest. NaN is left out."""
    runs = np.asarray(runs)
    axes.fill_between(x, runs.min(0), runs.max(0), color=color, alpha=0.16, linewidth=0)
    axes.plot(x, middle(runs, 0), color=color, label=label, linewidth=1.7, markersize=5, **style)


def legend_above(figure: Any, axes: Any, columns: int) -> None:
    """The legend of one of the panels for all of them, above."""
    lines, labels = axes.get_legend_handles_labels()
    figure.legend(lines, labels, frameon=False, loc="outside upper right", ncols=columns, fontsize=9)
