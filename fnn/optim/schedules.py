"""Schedules: a hyper-parameter as a function of the updates so far.

A schedule is any function ``step -> value``; step is 0 at the first update. Those here are frozen dataclasses,
hashable and printable, in lower case because they are used as functions: ``adam(cosine(1e-3, 10_000))``. They compute
in JAX's default floating dtype and take a traced step. Their values may be traced too, so that a sweep can vary them;
numbers are checked when the schedule is made.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.optim.hyperparameters import NOT_NEGATIVE, check_number, default_float


@dataclasses.dataclass(frozen=True)
class constant:
    """``value`` at every step.

    Raises ``ValueError`` for a negative number, ``TypeError`` for what is no number.

    >>> constant(0.5)(jnp.array(7))
    Array(0.5, dtype=float32)
    """

    value: Any

    def __post_init__(self) -> None:
        check_number("value", self.value, NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        return jnp.broadcast_to(default_float(self.value), jnp.shape(step))


@dataclasses.dataclass(frozen=True)
class cosine:
    """From ``init`` at step 0 down half a cosine to ``final`` at step ``steps``, where it stays.

        t = min(step, steps) / steps
        value = final + (init − final) · ½ (1 + cos(π t))

    ``final`` is a value, not a fraction of ``init`` (optax's ``alpha`` is ``final / init``). Raises ``ValueError``
    for a negative number and for ``steps`` below 1, ``TypeError`` for what is no number, or no integer.

    Source: Loshchilov and Hutter, SGDR, 2017, equation 5, without restarts.

    >>> schedule = cosine(1.0, 10, final=0.5)
    >>> print(schedule(0), schedule(5), schedule(10), schedule(99))
    1.0 0.75 0.5 0.5
    """

    init: Any
    steps: int
    final: Any = 0.0

    def __post_init__(self) -> None:
        check_number("init", self.init, NOT_NEGATIVE)
        positive("steps", self.steps)
        check_number("final", self.final, NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        return _cosine(default_float(step), self.init, self.steps, self.final)


@dataclasses.dataclass(frozen=True)
class warmup_cosine:
    """A line from 0 to ``peak`` over ``warmup_steps``, then half a cosine down to ``final`` at step ``steps``.

        value = peak · step / warmup_steps                                                      step < warmup_steps
        t = min(step − warmup_steps, steps − warmup_steps) / (steps − warmup_steps)
        value = final + (peak − final) · ½ (1 + cos(π t))                                        after

    ``steps`` counts the whole run, the warm-up included; the first update, at step 0, has rate 0 unless
    ``warmup_steps`` is 0. This is optax's ``warmup_cosine_decay_schedule(0.0, peak, warmup_steps, steps, final)``.
    Raises ``ValueError`` for a negative number and unless 0 ≤ warmup_steps < steps, ``TypeError`` for what is no
    number, or no integer.

    Source: Goyal et al., Accurate, large minibatch SGD, 2017, section 2.2 (the warm-up); Loshchilov and Hutter, SGDR,
    2017, equation 5 (the cosine).

    >>> schedule = warmup_cosine(1.0, 4, 14)
    >>> print(schedule(0), schedule(1), schedule(4), schedule(14))
    0.0 0.25 1.0 0.0
    """

    peak: Any
    warmup_steps: int
    steps: int
    final: Any = 0.0

    def __post_init__(self) -> None:
        check_number("peak", self.peak, NOT_NEGATIVE)
        positive("steps", self.steps)
        if isinstance(self.warmup_steps, bool) or not isinstance(self.warmup_steps, int):
            raise TypeError(f"warmup_steps is an integer, got {self.warmup_steps!r}")
        if not 0 <= self.warmup_steps < self.steps:
            raise ValueError(
                f"0 <= warmup_steps < steps, got warmup_steps={self.warmup_steps} and steps={self.steps};"
                f" steps counts the whole run, the warm-up included"
            )
        check_number("final", self.final, NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        step = default_float(step)
        warming = default_float(self.peak) * (step / max(self.warmup_steps, 1))
        after = _cosine(step - self.warmup_steps, self.peak, self.steps - self.warmup_steps, self.final)
        return jax.lax.select(step < self.warmup_steps, warming, after)


def _cosine(step: jax.Array, init: Any, steps: int, final: Any) -> jax.Array:
    init, final = default_float(init), default_float(final)
    time = jnp.minimum(step, steps) / steps
    return final + (init - final) * (0.5 * (1 + jnp.cos(jnp.pi * time)))
