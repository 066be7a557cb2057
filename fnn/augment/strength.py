"""Strengths: how far a random change may go. Numbers are checked when they are given; what is traced passes."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn.optim.hyperparameters import NOT_NEGATIVE as NOT_NEGATIVE
from fnn.optim.hyperparameters import Range

SHARE = Range("a number in [0, 1]", lambda value: 0 <= value <= 1)
FACTOR = Range("a finite number above 0", lambda value: 0 < value < math.inf)
LEAN = Range("an angle in [0, 90)", lambda value: 0 <= value < 90)


def check_strength(name: str, value: Any, allowed: Range) -> None:
    """Raises for a number outside its range, and for what is no number; an array of shape () passes, traced or not."""
    if is_number(value):
        if not allowed.holds(value):
            raise ValueError(f"{name} is {allowed.words}, got {value}")
    elif not (hasattr(value, "dtype") and jnp.shape(value) == ()):
        raise TypeError(f"{name} is {allowed.words}, got {value!r}")


def check_ends(name: str, low: Any, high: Any, allowed: Range) -> None:
    """Raises unless both ends of an interval are in range and in order, as far as they are numbers."""
    check_strength(f"the low end of {name}", low, allowed)
    check_strength(f"the high end of {name}", high, allowed)
    if is_number(low) and is_number(high) and low > high:
        raise ValueError(f"{name} is an interval (low, high), got {low} above {high}")


def is_number(value: Any) -> bool:
    """Whether the value can be looked at: a number, and no array."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def is_known(value: Any, number: float) -> bool:
    """Whether the strength is known to be this number; of a traced one that is not known."""
    return is_number(value) and bool(value == number)
