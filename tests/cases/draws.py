"""Inputs of the rows: functions of a random generator, so that each row draws numbers of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], Any]


def normal(*shape: int) -> Draw:
    return lambda draw: draw.standard_normal(shape)


def off_zero(*shape: int) -> Draw:
    """Numbers of either sign at least 0.1 from 0, where most activations have their kink."""

    def make(draw: np.random.Generator) -> np.ndarray:
        numbers = draw.standard_normal(shape)
        return numbers + 0.1 * np.sign(numbers)

    return make


def past_the_corners(*shape: int) -> Draw:
    """Numbers on every side of the corners at ±1, ±3 and 6."""
    return lambda draw: draw.uniform(-8, 8, shape)


def distinct(*shape: int) -> Draw:
    """Numbers at least 0.01 from each other: no ties, and no maximum that a small step moves."""
    size = int(np.prod(shape))
    return lambda draw: (0.01 * draw.permutation(size) - 0.005 * size).reshape(shape)


def some_zero(*shape: int) -> Draw:
    """Every third row 0."""
    return lambda draw: (
        draw.standard_normal(shape) * (np.arange(shape[0]) % 3 != 1).reshape(-1, *(1,) * (len(shape) - 1))
    )


def indices(high: int, *shape: int, dtype: Any = np.int32) -> Draw:
    return lambda draw: draw.integers(0, high, shape).astype(dtype)


def both(*draws: Draw) -> Draw:
    return lambda draw: tuple(each(draw) for each in draws)


def named(**draws: Draw) -> Draw:
    return lambda draw: {name: each(draw) for name, each in draws.items()}


def alike(one: Draw) -> Draw:
    """A prediction and a target that are equal."""
    return lambda draw: (one(draw),) * 2


def boolean(*shape: int) -> Draw:
    return lambda draw: draw.random(shape) < 0.5


def soft(*shape: int) -> Draw:
    return lambda draw: draw.dirichlet(np.ones(shape[-1]), shape[:-1])


def one_hot(high: int, *shape: int, dtype: Any = np.float64) -> Draw:
    return lambda draw: np.eye(high, dtype=dtype)[draw.integers(0, high, shape)]


def positive(*shape: int) -> Draw:
    return lambda draw: draw.uniform(0.5, 2.0, shape)


def partly_ignored(high: int, ignored: int, *shape: int) -> Draw:
    return lambda draw: np.where(
        np.arange(np.prod(shape)).reshape(shape) % 3 == 1, ignored, draw.integers(0, high, shape)
    )


def signs(*shape: int, dtype: Any = np.float64) -> Draw:
    """Labels −1 and 1."""
    return lambda draw: (2 * draw.integers(0, 2, shape) - 1).astype(dtype)


def lengths(*values: int) -> Draw:
    return lambda draw: np.array(values, np.int32)


def nothing(draw: np.random.Generator) -> None:
    """For a loss without a target."""
