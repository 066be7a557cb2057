"""Ranges of numbers: a Python number out of range is an error, a traced one becomes NaN.

Constructors take a rate, a strength or a decay as a Python number or an array of shape (), which may be traced, so that
a sweep can vary it. A number is checked where it is given. A traced value cannot be checked in Python, so out of range
it becomes NaN, and so does the run: otherwise a dropout rate of −1 would give losses that look plausible.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Range(NamedTuple):
    """The allowed values of a number, in words and as a test; ``holds`` takes a number, or an array entry by entry."""

    words: str
    holds: Callable[[Any], Any]
    verb: str = "is"

    def refusal(self, name: str, value: Any) -> str:
        """The message for a value out of range."""
        return f"{name} {self.verb} {self.words}, got {value}"


AT_LEAST_ZERO = Range("at least 0", lambda value: value >= 0)
ABOVE_ZERO = Range("above 0", lambda value: value > 0)
NOT_NEGATIVE = Range("a finite number of at least 0", lambda value: (value >= 0) & (value < math.inf))
POSITIVE = Range("a number greater than 0", lambda value: value > 0)
FRACTION = Range("a number in [0, 1)", lambda value: (value >= 0) & (value < 1))
OPEN_FRACTION = Range("a number in (0, 1)", lambda value: (value > 0) & (value < 1))
SHARE = Range("a number in [0, 1]", lambda value: (value >= 0) & (value <= 1))
NUMBER = Range("a number", lambda value: value == value)
FINITE = Range("a finite number", lambda value: (value > -math.inf) & (value < math.inf))


def is_number(value: Any) -> bool:
    """Whether the value is a number of Python or NumPy, which can be checked at once, and not an array."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def in_range(name: str, value: Any, allowed: Range) -> Any:
    """Returns a number in the range, or raises; in an array, traced or not, entries out of range become NaN.

    >>> in_range("rate", 0.5, FRACTION), in_range("rate", jnp.array([0.5, 1.5]), FRACTION)
    (0.5, Array([0.5, nan], dtype=float32))
    """
    if is_number(value):
        if not allowed.holds(value):
            raise ValueError(allowed.refusal(name, value))
        return value
    if not hasattr(value, "dtype"):
        raise TypeError(f"{name} is a number, got {value!r}")
    return or_nan(value, allowed)


def or_nan(value: Any, allowed: Range) -> Any:
    """The value as a floating array, NaN where it is out of range."""
    value = jnp.asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        value = value.astype(jnp.zeros(()).dtype)
    inside = allowed.holds(value)
    return jnp.where(inside, value, jnp.nan)


def keep_in_range(frozen: Any, **ranges: Range) -> None:
    """Checks these fields of a frozen dataclass against their ranges; call it in ``__post_init__``.

    A number stays the same object, so the dataclass compares and hashes as before.
    """
    for name, allowed in ranges.items():
        object.__setattr__(frozen, name, in_range(name, getattr(frozen, name), allowed))


def nan_where_any(strengths: Any, tree: Any) -> Any:
    """The tree, all NaN if one of the strengths is: for uses in which a comparison or a random draw would hide NaN.

    Strengths that are Python numbers have been checked, so they cost nothing.
    """
    arrays = [jnp.isnan(each) for each in strengths if not is_number(each)]
    if not arrays:
        return tree
    lost = jnp.stack(arrays).any()
    return jax.tree.map(lambda leaf: jnp.where(lost, jnp.nan, leaf), tree)
