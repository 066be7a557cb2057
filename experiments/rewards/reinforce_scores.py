"""How the runs on cart-pole are scored: steps until the pole is balanced, the best rate, ratios, and chance."""

import math
from typing import Any

import numpy as np

SOLVED = 475
"""The mean return from which the pole counts as balanced."""


def needed(returns: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The steps until the mean return (on the last axis) counts as balanced; infinite if it never does."""
    reached = returns >= SOLVED
    used = np.take_along_axis(steps, reached.argmax(-1)[..., None], -1)[..., 0]
    return np.where(reached.any(-1), used, np.inf)


def best(used: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The number of the rate (ways, rates, seeds) with the least mean of steps; of equals, with the highest end.

    If a run never gets there, the mean is infinite.
    """
    means, ends = used.mean(-1), ends.mean(-1)
    return np.array([np.lexsort((-end, mean))[0] for mean, end in zip(means, ends, strict=True)])


def saved(variances: Any) -> np.ndarray:
    """The variance without the critic over that with it (…, 2); 1 where both are 0: nothing is left to chance."""
    critic, without = np.moveaxis(np.array(variances), -1, 0)
    neither = (critic == 0) & (without == 0)
    with np.errstate(divide="ignore"):
        return np.where(neither, 1.0, without) / np.where(neither, 1.0, critic)


def ratio(without: np.ndarray, critic: np.ndarray) -> np.ndarray:
    """The ratio of the steps; 1 if neither run gets there."""
    neither = np.isinf(without) & np.isinf(critic)
    return np.where(neither, 1.0, np.where(neither, 1.0, without) / np.where(neither, 1.0, critic))


def lowest(returns: np.ndarray, used: np.ndarray) -> np.ndarray:
    """The lowest mean return from where each run (runs, updates) is balanced; 0 if it never is."""
    since = np.cumsum(returns >= SOLVED, -1) > 0
    return np.where(np.isfinite(used), np.where(since, returns, np.inf).min(-1), 0.0)


def chance(heads: int, tosses: int) -> float:
    """The probability of as many heads or more.

    >>> chance(3, 3)
    0.125
    """
    return sum(math.comb(tosses, each) for each in range(heads, tosses + 1)) / 2**tosses
