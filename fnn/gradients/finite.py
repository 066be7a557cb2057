"""Five-point differences that know when they cannot be trusted.

    f'(0) ≈ (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h        truncation h⁴ f⁽⁵⁾/30, rounding about σ/h

σ is the rounding noise of f itself, measured: the fourth differences of f at points so close that f is a straight line
there are σ √70. On float64 the best h is near eps^(1/5) ≈ 7e-4 of the scale of what is moved.

A kink inside [−2h, 2h] spoils the formula without a sign. Two numbers tell:

    δ⁴ / h = (f(2h) − 4 f(h) + 6 f(0) − 4 f(−h) + f(−2h)) / h        the even part: h³ f⁗ where f is smooth
    D(h) − D(h/2), the formula with two steps                        the odd part:  h⁴ f⁽⁵⁾/32 where f is smooth

A slope that jumps by J at 0 makes the first one 2J, whatever h is; a jump elsewhere shows in both. So a derivative
counts where both are below the tolerance or the noise. Where they are not, the step shrinks, and a kink nearby falls
outside; a direction that fails with the smallest step stands on a kink and is not judged. The test looks at values of
f alone, at no gradient, so that a wrong gradient cannot pass for a kink.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

STEPS = (2.0**-10, 2.0**-13, 2.0**-16, 2.0**-20)
"""Steps to try, largest first, in units of the scale: 1e-3, 1e-4, 2e-5, 1e-6."""

_FIVE_POINT_NOISE = math.sqrt(8**2 + 8**2 + 1 + 1) / 12
_FOURTH_NOISE = math.sqrt(70)
_SPACING = 2.0**-33
_POINTS = 9


def slope(one: Any, two: Any, h: float) -> Any:
    """f'(0), of ``one`` = f(h) − f(−h) and ``two`` = f(2h) − f(−2h)."""
    return (8 * one - two) / (12 * h)


class Differences(NamedTuple):
    """Derivatives along directions; where ``smooth`` is False, they stand on a kink and say nothing."""

    along: np.ndarray
    smooth: np.ndarray
    noise: np.ndarray


def five_point(
    value: Callable[[int, float], object], base: float, *, count: int, scale: float, noise: float, tolerance: float
) -> Differences:
    """The derivatives at 0 of ``value(k, ·)`` for k < count.

    ``base`` is the value at 0, ``scale`` the length of a large move, ``noise`` the σ of the value, ``tolerance`` the
    error that matters, relative to the root-mean-square derivative.
    """
    along, smooth, rounding = np.zeros(count), np.zeros(count, bool), np.zeros(count)
    pending, typical = np.arange(count), None
    for ratio in STEPS:
        h = ratio * scale
        # All evaluations are under way before the first result is waited for.
        running = [[value(int(k), i * h) for i in (0.5, 1, 2, -0.5, -1, -2)] for k in pending]
        values = _numbers(running).reshape(-1, 6).T
        half, one, two = values[:3] - values[3:]
        along[pending] = slopes = slope(one, two, h)
        halved = slope(half, one, h / 2)
        rounding[pending] = _FIVE_POINT_NOISE * noise / h
        if typical is None:
            typical = math.sqrt(np.mean(np.square(along))) if count else 0.0
        bend = np.abs(values[2] + values[5] - 4 * (values[1] + values[4]) + 6 * base) / h
        small = max(tolerance * typical, 5 * _FOURTH_NOISE * noise / h)
        fine = np.maximum(bend, np.abs(slopes - halved)) <= small
        smooth[pending[fine]] = True
        pending = pending[~fine]
        if not pending.size:
            break
    return Differences(along, smooth, rounding)


def rounding_noise(value: Callable[[int, float], object], base: float, *, count: int = 4) -> float:
    """σ of the value: the median over ``count`` directions, and at least half a unit in its last place.

    The points lie on one side of 0, so that a kink exactly there is not taken for noise.
    """
    running = [[value(k, i * _SPACING) for i in range(1, _POINTS + 1)] for k in range(count)]
    with np.errstate(invalid="ignore", over="ignore"):
        fourth = np.diff(_numbers(running), n=4, axis=1)
        measured = float(np.median(np.sqrt(np.mean(np.square(fourth), axis=1)))) / _FOURTH_NOISE
    least = float(np.finfo(np.float64).eps) / 2 * abs(base)
    return max(measured, least) if math.isfinite(measured) else least


def _numbers(running: list) -> np.ndarray:
    """The results in NumPy; one that is infinite is as good as NaN and warns less."""
    values = np.array(running, np.float64)
    return np.where(np.isfinite(values), values, np.nan)
