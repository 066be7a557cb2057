"""Comparisons of two ways on the same seeds."""

from typing import Any

import numpy as np


def interval(values: Any, comparisons: int = 1) -> tuple[float, float]:
    """The mean and half its 95 % interval, by Student's t; for several comparisons, all intervals at once (Bonferroni).

    >>> [round(each, 2) for each in interval([0.0, 2.0])]
    [1.0, 12.71]
    """
    from scipy.stats import t

    values = np.asarray(values, np.float64)
    half = t.ppf(1 - 0.025 / comparisons, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def points(middle: float, half: float) -> str:
    """A difference of shares in percentage points, with half its interval.

    >>> points(0.012, 0.005)
    '+1.2 ± 0.5'
    """
    return f"{100 * middle:+.1f} ± {100 * half:.1f}"
