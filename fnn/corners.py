"""Counts entries on a kink or a tie: points at which the slope is a convention, not a limit.

A layer, a loss or a penalty returns these counts from ``kinks_at``, and ``compare_gradients`` reports them:

>>> on_corners(np.array([-1.0, 0.0, 6.0]), 0, 6)
Kinks(count=2, total=3, what='inputs are exactly 0 or 6')
>>> ties(np.array([[1.0, 1.0], [2.0, 3.0]]), (1,), "rows have a tie for the maximum")
Kinks(count=1, total=2, what='rows have a tie for the maximum')
"""

from typing import NamedTuple

import numpy as np

from fnn.errors import is_floating


class Kinks(NamedTuple):
    """``count`` of ``total`` entries lie on a kink or a tie; ``what`` says which: "inputs are exactly 0"."""

    count: int
    total: int
    what: str


def on_corners(x: np.ndarray, *places: float) -> Kinks:
    """Counts the inputs of an elementwise function that equal one of its corners, rounded to the dtype of x."""
    corners = np.asarray(places, x.dtype if is_floating(x) else None)
    return Kinks(int(np.isin(x, corners).sum()), x.size, "inputs are exactly " + " or ".join(f"{p:g}" for p in places))


def ties(x: np.ndarray, axes: tuple[int, ...], what: str) -> Kinks:
    """Counts the maxima over these axes that are attained more than once."""
    winners = (x == x.max(axes, keepdims=True)).sum(axes)
    return Kinks(int((winners > 1).sum()), winners.size, what)
