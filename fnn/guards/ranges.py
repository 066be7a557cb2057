"""Ranges of numbers, and what becomes of a number outside: an error if it can be looked at, else NaN.

What constructors take (a rate, a strength, a decay) is a Python number or an array of shape (), which may be traced, so
that a sweep can vary it. A number is checked where it is given. Of a traced value nothing can be raised, so one out of
range turns into NaN, and with it the run: a dropout rate of −1 would else give losses that look plausible.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Range(NamedTuple):
    """The values that a number may have, in words and as a test: ``holds`` takes numbers and arrays, entry by entry."""

    words: str
    holds: Callable[[Any], Any]
    verb: str = "is"

    def refusal(self, name: str, value: Any) -> str:
        """What is wrong with a value outside."""
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
    """Whether the value can be looked at: a number, Python's or NumPy's, and no array."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def in_range(name: str, value: Any, allowed: Range) -> Any:
    """Returns a number in the range, or raises; of an array, traced or not, the entries that are not are NaN.

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
    """The array, floating, with NaN where it is out of range."""
    value = jnp.asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.floating):
        value = value.astype(jnp.zeros(()).dtype)
    inside = allowed.holds(value)
    return jnp.where(inside, value, jnp.nan)


def keep_in_range(frozen: Any, **ranges: Range) -> None:
    """Holds these fields of a frozen dataclass to their ranges, in its ``__post_init__``.

    A number stays the object that it is, so the dataclass compares and hashes as before.
    """
    for name, allowed in ranges.items():
        object.__setattr__(frozen, name, in_range(name, getattr(frozen, name), allowed))


def nan_where_any(strengths: Any, tree: Any) -> Any:
    """The tree of arrays, all NaN if one of the strengths is: for what a comparison or a draw would lose it in.

    Strengths that are numbers are in their ranges, so nothing is computed for these.
    """
    arrays = [jnp.isnan(each) for each in strengths if not is_number(each)]
    if not arrays:
        return tree
    lost = jnp.stack(arrays).any()
    return jax.tree.map(lambda leaf: jnp.where(lost, jnp.nan, leaf), tree)
