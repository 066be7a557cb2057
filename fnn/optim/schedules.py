"""Schedules: a hyper-parameter as a function of the updates so far.

A schedule is any function ``step -> value``; step is 0 at the first update. Those here are frozen dataclasses,
hashable and printable, in lower case because they are used as functions: ``adam(cosine(1e-3, 10_000))``. They compute
in JAX's default floating dtype and take a traced step. Their arguments may be traced too, so that a sweep can vary
them: numbers are checked at construction, and a traced one that is out of range makes the schedule NaN.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import NOT_NEGATIVE
from fnn.optim.hyperparameters import checked_number, default_float, keep_numbers
from fnn.values import Value


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class constant(Value):
    """``value`` at every step.

    Raises ``ValueError`` for a negative number, ``TypeError`` if not a number.

    >>> constant(0.5)(jnp.array(7))
    Array(0.5, dtype=float32)
    """

    value: Any

    def __post_init__(self) -> None:
        keep_numbers(self, value=NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        return jnp.broadcast_to(default_float(self.value), jnp.shape(step))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class cosine(Value):
    """Half a cosine from ``init`` at step 0 down to ``final`` at step ``steps``, where it stays.

        t = min(step, steps) / steps
        value = final + (init − final) · ½ (1 + cos(π t))

    ``final`` is a value, not a fraction of ``init`` (optax's ``alpha`` is ``final / init``). Raises ``ValueError``
    for a negative number and for ``steps`` below 1, ``TypeError`` for values of the wrong type.

    Source: Loshchilov and Hutter, SGDR, 2017, equation 5, without restarts.

    >>> schedule = cosine(1.0, 10, final=0.5)
    >>> print(schedule(0), schedule(5), schedule(10), schedule(99))
    1.0 0.75 0.5 0.5
    """

    init: Any
    steps: int
    final: Any = 0.0

    def __post_init__(self) -> None:
        keep_numbers(self, init=NOT_NEGATIVE)
        positive("steps", self.steps)
        keep_numbers(self, final=NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        time = jnp.minimum(default_float(step), self.steps) / self.steps
        return half_cosine(time, default_float(self.init), default_float(self.final))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class step_decay(Value):
    """``init``, multiplied by ``factor`` every ``every`` steps.

        value = init · factor^⌊step / every⌋

    Raises ``ValueError`` for a negative number and for ``every`` below 1, ``TypeError`` for values of the wrong type.

    >>> schedule = step_decay(1.0, 0.5, 10)
    >>> print(schedule(9), schedule(10), schedule(25))
    1.0 0.5 0.25
    """

    init: Any
    factor: Any
    every: int

    def __post_init__(self) -> None:
        keep_numbers(self, init=NOT_NEGATIVE, factor=NOT_NEGATIVE)
        positive("every", self.every)

    def __call__(self, step: Any) -> jax.Array:
        times = default_float(jnp.asarray(step) // self.every)
        return default_float(self.init) * default_float(self.factor) ** times


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class exponential(Value):
    """Exponential decay: ``init``, multiplied by ``rate`` per ``steps`` steps, continuously.

        value = init · rate^(step / steps)

    Raises ``ValueError`` for a negative number and for ``steps`` below 1, ``TypeError`` for values of the wrong type.

    >>> schedule = exponential(1.0, 0.25, 10)
    >>> print(schedule(0), schedule(5), schedule(10))
    1.0 0.5 0.25
    """

    init: Any
    rate: Any
    steps: int

    def __post_init__(self) -> None:
        keep_numbers(self, init=NOT_NEGATIVE, rate=NOT_NEGATIVE)
        positive("steps", self.steps)

    def __call__(self, step: Any) -> jax.Array:
        return default_float(self.init) * default_float(self.rate) ** (default_float(step) / self.steps)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class polynomial(Value):
    """From ``init`` at step 0 to ``final`` at step ``steps``, where it stays, along a power of the remaining time.

        t = min(step, steps) / steps
        value = final + (init − final) · (1 − t)^power            a line for power 1

    Raises ``ValueError`` for a negative number and for ``steps`` below 1, ``TypeError`` for values of the wrong type.

    >>> schedule = polynomial(1.0, 10, power=2.0)
    >>> print(schedule(0), schedule(5), schedule(10), schedule(99))
    1.0 0.25 0.0 0.0
    """

    init: Any
    steps: int
    final: Any = 0.0
    power: Any = 1.0

    def __post_init__(self) -> None:
        keep_numbers(self, init=NOT_NEGATIVE)
        positive("steps", self.steps)
        keep_numbers(self, final=NOT_NEGATIVE, power=NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        init, final = default_float(self.init), default_float(self.final)
        left = 1 - jnp.minimum(default_float(step), self.steps) / self.steps
        return final + (init - final) * left ** default_float(self.power)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class piecewise(Value):
    """Piecewise constant: ``values[i]`` from step ``boundaries[i − 1]`` until ``boundaries[i]``.

    Raises ``ValueError`` for a negative value, boundaries that do not grow, or unless there is one more value than
    boundaries; ``TypeError`` if not a number.

    >>> schedule = piecewise((1.0, 0.5, 0.25), (10, 20))
    >>> print(schedule(9), schedule(10), schedule(20))
    1.0 0.5 0.25
    """

    values: tuple[Any, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        object.__setattr__(self, "boundaries", growing(self.boundaries, len(self.values)))
        values = [checked_number(f"values[{place}]", value, NOT_NEGATIVE) for place, value in enumerate(self.values)]
        object.__setattr__(self, "values", tuple(values))

    def __call__(self, step: Any) -> jax.Array:
        return chosen([default_float(value) for value in self.values], self.boundaries, step)


def growing(boundaries: Any, pieces: int) -> tuple[int, ...]:
    """The boundaries between this many pieces, or ``ValueError``."""
    boundaries = tuple(boundaries)
    grow = all(one < other for one, other in zip((0, *boundaries), boundaries, strict=False))
    if len(boundaries) != pieces - 1 or not grow:
        raise ValueError(f"{pieces} pieces have {pieces - 1} boundaries, growing from above 0, got {boundaries}")
    return boundaries


def chosen(values: list[jax.Array], boundaries: tuple[int, ...], step: Any) -> jax.Array:
    """The value of the piece that contains the step."""
    value = values[0]
    for boundary, later in zip(boundaries, values[1:], strict=True):
        value = jnp.where(jnp.asarray(step) >= boundary, later, value)
    return jnp.broadcast_to(value, jnp.shape(step))


def half_cosine(time: jax.Array, init: jax.Array, final: jax.Array) -> jax.Array:
    """From ``init`` at time 0 to ``final`` at time 1 along half a cosine."""
    return final + (init - final) * (0.5 * (1 + jnp.cos(jnp.pi * time)))


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class join(Value):
    """Joins schedules: each starts at its own step 0 where the one before ends.

        value = schedules[i](step − boundaries[i − 1])            boundaries[i − 1] ≤ step < boundaries[i]

    Raises ``ValueError`` for boundaries that do not grow, or unless there is one more schedule than boundaries;
    ``TypeError`` if not a schedule.

    >>> schedule = join((polynomial(0.0, 4, final=1.0), constant(0.5)), (4,))
    >>> print(schedule(2), schedule(3), schedule(4))
    0.5 0.75 0.5
    """

    schedules: tuple[Callable[[Any], Any], ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedules", tuple(self.schedules))
        for schedule in self.schedules:
            if not callable(schedule):
                raise TypeError(f"join takes schedules, functions of the step, got {schedule!r}")
        object.__setattr__(self, "boundaries", growing(self.boundaries, len(self.schedules)))

    def __call__(self, step: Any) -> jax.Array:
        starts = (0, *self.boundaries)
        values = [
            default_float(schedule(jnp.maximum(step - start, 0)))
            for schedule, start in zip(self.schedules, starts, strict=True)
        ]
        return chosen(values, self.boundaries, step)
