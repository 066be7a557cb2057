"""Warm-up: a learning rate that grows to its value over the first steps."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import NOT_NEGATIVE
from fnn.optim.hyperparameters import Hyperparameter, checked_number, default_float


def check_warm_up(warmup_steps: Any, steps: Any) -> None:
    """Raises unless 0 ≤ warmup_steps < steps, both integers."""
    positive("steps", steps)
    if isinstance(warmup_steps, bool) or not isinstance(warmup_steps, int):
        raise TypeError(f"warmup_steps is an integer, got {warmup_steps!r}")
    if not 0 <= warmup_steps < steps:
        raise ValueError(
            f"0 <= warmup_steps < steps, got warmup_steps={warmup_steps} and steps={steps};"
            f" steps counts the whole run, including the warm-up"
        )


@dataclasses.dataclass(frozen=True)
class _WarmUp:
    """Linear warm-up to the rate, with a first step above 0, then the rate, which may be a schedule."""

    rate: Hyperparameter
    steps: int

    def __call__(self, step: Any) -> jax.Array:
        rate = self.rate(step) if callable(self.rate) else self.rate
        return default_float(rate) * jnp.minimum(1, (default_float(step) + 1) / self.steps)


def warmed_up(learning_rate: Hyperparameter, warmup_steps: int | None) -> Hyperparameter:
    if warmup_steps is None:
        return learning_rate
    positive("warmup_steps", warmup_steps)
    if not callable(learning_rate):
        learning_rate = checked_number(
            "learning_rate", learning_rate, NOT_NEGATIVE, or_else="or a schedule step -> value"
        )
    return _WarmUp(learning_rate, warmup_steps)
