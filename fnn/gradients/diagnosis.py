"""What a wrong gradient looks like: the usual faults leave marks that can be read off the numbers."""

from collections.abc import Iterable

import numpy as np

CLOSE = 1e-6
"""Of the norm of the reference: what an explanation may leave over of it."""

EXPLAINED = 0.01
"""Of the norm of the difference: what an explanation may leave over of that, or it explains nothing."""


def diagnose(subject: str, found: np.ndarray, expected: np.ndarray) -> str:
    """A short reading of how the gradient differs, ``""`` if none of the usual faults fits.

    >>> diagnose("manual", np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    'manual is 2 × the reference'
    """
    g, r = found, expected
    if not g.size or not (np.isfinite(g).all() and np.isfinite(r).all()):
        return ""
    if not g.any():
        return f"{subject} is zero everywhere"
    if not r.any():
        return f"{subject} is not zero, the reference is"
    left = min(CLOSE * np.linalg.norm(r), EXPLAINED * np.linalg.norm(g - r))

    def same(one: np.ndarray, other: np.ndarray) -> bool:
        return bool(np.linalg.norm(one - other) <= left)

    if same(g, _ratio(g, r) * r):
        return f"{subject} is {_factor(_ratio(g, r))} × the reference"
    if g.ndim == 2 and g.shape[0] == g.shape[1] and same(g.T, r):
        return f"{subject} is the transpose of the reference"
    wrong = np.abs(g - r) > min(CLOSE * np.abs(r).max(), EXPLAINED * np.abs(g - r).max())
    for axis, size in enumerate(g.shape):
        places = np.flatnonzero(wrong.any(tuple(i for i in range(g.ndim) if i != axis)))
        if 0 < len(places) < size and size > 2:
            return f"only {_counted(wrong)} differ, all at {_listed(places)} of axis {axis}"
    shift = (g - r).mean(tuple(range(g.ndim - 1)), keepdims=True)
    if g.ndim > 1 and g.shape[-1] < g.size and same(g - shift, r):
        return f"{subject} differs by a constant for each place of the last axis, as if a mean were not subtracted"
    if 0 < wrong.sum() <= g.size // 2:
        return f"only {_counted(wrong)} differ"
    return ""


def _ratio(g: np.ndarray, r: np.ndarray) -> float:
    return float(np.vdot(r, g) / np.vdot(r, r))


def _factor(ratio: float) -> str:
    """The ratio with the digits that tell it from 1."""
    return f"{ratio:.6g}" if abs(ratio - 1) >= 1e-5 else f"(1 {'+' if ratio > 1 else '-'} {abs(ratio - 1):.1e})"


def _counted(wrong: np.ndarray) -> str:
    return f"{int(wrong.sum())} of {wrong.size} entries"


def _listed(places: Iterable[int], limit: int = 4) -> str:
    places = [int(place) for place in places]
    return ", ".join(map(str, places[:limit])) + (", …" if len(places) > limit else "")
