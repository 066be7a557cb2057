"""What a wrong gradient looks like: the usual faults leave marks that can be read off the numbers."""

from collections.abc import Iterable

import numpy as np

CLOSE = 1e-6


def diagnose(method: str, found: np.ndarray, expected: np.ndarray) -> str:
    """A short reading of how the gradient differs, ``""`` if none of the usual faults fits."""
    g, r = found, expected
    if not g.any():
        return f"{method} is zero everywhere"
    if not r.any():
        return f"{method} is not zero, the reference is"
    ratio = float(np.vdot(r, g) / np.vdot(r, r))
    if _same(g, ratio * r):
        return f"{method} is {ratio:.6g} × the reference"
    if g.ndim == 2 and g.shape[0] == g.shape[1] and _same(g.T, r):
        return f"{method} is the transpose of the reference"
    wrong = np.abs(g - r) > CLOSE * np.abs(r).max()
    for axis, size in enumerate(g.shape):
        places = np.flatnonzero(wrong.any(tuple(i for i in range(g.ndim) if i != axis)))
        if 0 < len(places) < size and size > 2:
            return f"only {_counted(wrong)} differ, all at {_listed(places)} of axis {axis}"
    shift = (g - r).mean(tuple(range(g.ndim - 1)), keepdims=True)
    if g.ndim > 1 and g.shape[-1] < g.size and _same(g - shift, r):
        return f"{method} differs by a constant for each place of the last axis, as if a mean were not subtracted"
    if 0 < wrong.sum() <= g.size // 2:
        return f"only {_counted(wrong)} differ"
    return ""


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.linalg.norm(one - other) <= CLOSE * np.linalg.norm(other))


def _counted(wrong: np.ndarray) -> str:
    return f"{int(wrong.sum())} of {wrong.size} entries"


def _listed(places: Iterable[int], limit: int = 4) -> str:
    places = [int(place) for place in places]
    return ", ".join(map(str, places[:limit])) + (", …" if len(places) > limit else "")
