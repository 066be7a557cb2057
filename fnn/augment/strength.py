"""Strengths: how large a random change may be. A number is checked at once; a traced one out of range becomes NaN."""

import math
from typing import Any

import jax.numpy as jnp

from fnn.guards.ranges import NOT_NEGATIVE as NOT_NEGATIVE
from fnn.guards.ranges import SHARE as SHARE
from fnn.guards.ranges import Range, in_range, is_number

FACTOR = Range("a finite number above 0", lambda value: (value > 0) & (value < math.inf))
LEAN = Range("an angle in [0, 90)", lambda value: (value >= 0) & (value < 90))


def strength(name: str, value: Any, allowed: Range) -> Any:
    """Returns a number in its range, or raises; an array of shape (), traced or not, is NaN out of range."""
    if not is_number(value) and not (hasattr(value, "dtype") and jnp.shape(value) == ()):
        raise TypeError(f"{name} is {allowed.words}, got {value!r}")
    return in_range(name, value, allowed)


def keep_strengths(augmentation: Any, **ranges: Range) -> None:
    """Checks these fields of an augmentation against their ranges, in its ``__post_init__``."""
    for name, allowed in ranges.items():
        object.__setattr__(augmentation, name, strength(name, getattr(augmentation, name), allowed))


def interval(name: str, low: Any, high: Any, allowed: Range) -> tuple[Any, Any]:
    """Returns both ends if they are in range and in order; else raises, or returns NaN if a value is unknown."""
    low = strength(f"the low end of {name}", low, allowed)
    high = strength(f"the high end of {name}", high, allowed)
    if not (is_number(low) and is_number(high)):
        return low, jnp.where(jnp.asarray(low <= high), high, jnp.nan)
    if low > high:
        raise ValueError(f"{name} is an interval (low, high), got {low} above {high}")
    return low, high


def is_known(value: Any, number: float) -> bool:
    """Whether the strength is known to be this number; false for a traced one."""
    return is_number(value) and bool(value == number)
