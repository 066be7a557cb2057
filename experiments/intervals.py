"""95 % intervals of means and of shares."""

from typing import Any

import numpy as np

Z = 1.959964
"""Of the normal distribution: 95 % lie within this many standard deviations."""


def wilson(share: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the interval of a share p of N draws: (p + z²/2N ± z √(p(1 − p)/N + z²/4N²)) / (1 + z²/N).

    >>> [round(float(end), 3) for end in wilson(0.5, 4)]
    [0.15, 0.85]

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    share = np.asarray(share, np.float64)
    middle, half = share + Z**2 / (2 * count), Z * np.sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    scale = 1 + Z**2 / count
    # At shares of 0 and 1 the interval ends there, but for rounding.
    return np.minimum((middle - half) / scale, share), np.maximum((middle + half) / scale, share)


def half_of_mean(values: Any) -> float:
    """Half the interval of the mean of independent values, z s / √N.

    >>> round(half_of_mean([0.0, 2.0]), 2)
    1.96
    """
    return float(Z * np.std(values, ddof=1) / np.sqrt(len(values)))


def interval(values: Any, comparisons: int = 1) -> tuple[float, float]:
    """The mean of few values and half its interval, by Student's t; Bonferroni's for several comparisons at once.

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
