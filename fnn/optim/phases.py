"""Schedules of several phases: warm-up, plateau, decay, restart."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import integer_array, is_floating, positive
from fnn.guards.ranges import NOT_NEGATIVE, OPEN_FRACTION, POSITIVE, in_range, is_number
from fnn.optim.hyperparameters import default_float, keep_numbers
from fnn.optim.schedules import chosen, half_cosine
from fnn.optim.warm_up import check_warm_up
from fnn.values import Value


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class warmup_cosine(Value):
    """Linear warm-up from 0 to ``peak`` over ``warmup_steps``, then half a cosine down to ``final`` at step ``steps``.

        value = peak · step / warmup_steps                                                      step < warmup_steps
        t = min(step − warmup_steps, steps − warmup_steps) / (steps − warmup_steps)
        value = final + (peak − final) · ½ (1 + cos(π t))                                        after

    ``steps`` counts the whole run, including the warm-up; the first update, at step 0, has rate 0 unless
    ``warmup_steps`` is 0. This is optax's ``warmup_cosine_decay_schedule(0.0, peak, warmup_steps, steps, final)``.
    Raises ``ValueError`` for a negative number and unless 0 ≤ warmup_steps < steps, ``TypeError`` if not a
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
        keep_numbers(self, peak=NOT_NEGATIVE)
        check_warm_up(self.warmup_steps, self.steps)
        keep_numbers(self, final=NOT_NEGATIVE)

    def __call__(self, step: Any) -> jax.Array:
        step = default_float(step)
        warming = default_float(self.peak) * (step / max(self.warmup_steps, 1))
        time = jnp.minimum(step - self.warmup_steps, self.steps - self.warmup_steps) / (self.steps - self.warmup_steps)
        after = half_cosine(time, default_float(self.peak), default_float(self.final))
        return jax.lax.select(step < self.warmup_steps, warming, after)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class inverse_sqrt(Value):
    """Linear warm-up from 0 to ``peak`` over ``warmup_steps``, then a decay with the root of the step, without end.

        value = peak · min(step / warmup_steps, √(warmup_steps / step))

    Raises ``ValueError`` for a negative number and for ``warmup_steps`` below 1, ``TypeError`` for values of
    the wrong type.

    Source: Vaswani et al., Attention is all you need, 2017, equation 3, with the peak instead of the width.

    >>> schedule = inverse_sqrt(1.0, 4)
    >>> print(schedule(0), schedule(2), schedule(4), schedule(16))
    0.0 0.5 1.0 0.5
    """

    peak: Any
    warmup_steps: int

    def __post_init__(self) -> None:
        keep_numbers(self, peak=NOT_NEGATIVE)
        positive("warmup_steps", self.warmup_steps)

    def __call__(self, step: Any) -> jax.Array:
        step = default_float(step)
        falling = jnp.sqrt(self.warmup_steps / jnp.maximum(step, self.warmup_steps))
        return default_float(self.peak) * jnp.minimum(step / self.warmup_steps, falling)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class warmup_stable_decay(Value):
    """Linear warm-up to ``peak``, constant, then linear decay to ``final`` over the last ``decay_steps`` of ``steps``.

        value = peak · step / warmup_steps                                             step < warmup_steps
        value = peak                                                                   until steps − decay_steps
        value = final + (peak − final) · (steps − step) / decay_steps                  until steps, then final

    Raises ``ValueError`` for a negative number and unless 0 ≤ warmup_steps < steps and warmup_steps + decay_steps ≤
    steps; ``TypeError`` for values of the wrong type.

    Source: Hu et al., MiniCPM, 2024, section 4.

    >>> schedule = warmup_stable_decay(1.0, 4, 5, 20)
    >>> print(schedule(2), schedule(4), schedule(15), schedule(20))
    0.5 1.0 1.0 0.0
    """

    peak: Any
    warmup_steps: int
    decay_steps: int
    steps: int
    final: Any = 0.0

    def __post_init__(self) -> None:
        keep_numbers(self, peak=NOT_NEGATIVE, final=NOT_NEGATIVE)
        check_warm_up(self.warmup_steps, self.steps)
        positive("decay_steps", self.decay_steps)
        if self.warmup_steps + self.decay_steps > self.steps:
            raise ValueError(
                f"warmup_steps + decay_steps <= steps, got {self.warmup_steps} + {self.decay_steps} in a run of"
                f" {self.steps} steps"
            )

    def __call__(self, step: Any) -> jax.Array:
        step, peak, final = default_float(step), default_float(self.peak), default_float(self.final)
        rising = jnp.minimum(step / max(self.warmup_steps, 1), 1) if self.warmup_steps else jnp.ones_like(step)
        falling = jnp.clip((self.steps - step) / self.decay_steps, 0, 1)
        return jnp.where(step < self.warmup_steps, peak * rising, final + (peak - final) * falling)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class warm_restarts(Value):
    """Half a cosine from ``init`` down to ``final``, repeated; each cycle is ``factor`` times as long as the last.

        value = final + (init − final) · ½ (1 + cos(π t / T))         t: steps since the restart, T: steps of the cycle

    The first cycle has ``steps`` steps. Raises ``ValueError`` for a negative number, ``steps`` or ``factor`` below 1;
    ``TypeError`` for values of the wrong type.

    Source: Loshchilov and Hutter, SGDR, 2017, equation 5.

    >>> schedule = warm_restarts(1.0, 4, factor=2)
    >>> print(schedule(0), schedule(4), schedule(8).round(6), schedule(12))
    1.0 1.0 0.5 1.0
    """

    init: Any
    steps: int
    final: Any = 0.0
    factor: int = 1

    def __post_init__(self) -> None:
        keep_numbers(self, init=NOT_NEGATIVE, final=NOT_NEGATIVE)
        positive("steps", self.steps)
        positive("factor", self.factor)

    def __call__(self, step: Any) -> jax.Array:
        step, last = jnp.asarray(step), 2**31 - 1
        if not is_floating(step):
            step = integer_array(step, "steps")
            last = int(jnp.iinfo(step.dtype).max)
        if self.factor == 1:
            since = step % int(self.steps) if self.steps <= last else step
            time = default_float(since) / float(self.steps)
        else:
            cycles = list(self._cycles(last))
            times = [default_float(step - start) / length for start, length in cycles]
            time = chosen(times, tuple(start for start, _ in cycles[1:]), step)
        return half_cosine(time, default_float(self.init), default_float(self.final))

    def _cycles(self, last: int) -> Iterator[tuple[int, float]]:
        """First step and length of the cycles that begin up to step ``last``; few, because each at least doubles."""
        start, length = 0, int(self.steps)
        while start <= last:
            yield start, float(min(length, 2**64))
            start, length = start + length, length * int(self.factor)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class one_cycle(Value):
    """Half a cosine up to ``peak``, then a longer one down to almost zero.

        value: peak / init_divisor → peak            over the first warmup_fraction of steps (rounded)
        value: peak → peak / (init_divisor · final_divisor)            over the rest, where it stays

    This is optax's ``cosine_onecycle_schedule``, except that optax rounds down: there 0.57 of 100 steps, 56.99… in
    floating point, is 56. Raises ``ValueError`` for a negative peak, a divisor of 0 or less, a fraction that leaves no
    step for one of the parts, ``steps`` below 1; ``TypeError`` for values of the wrong type.

    Source: Smith and Topin, Super-convergence, 2018, with cosines instead of lines.

    >>> schedule = one_cycle(1.0, 20, warmup_fraction=0.25, init_divisor=4.0)
    >>> print(schedule(0), schedule(5), schedule(20))
    0.25 1.0 2.5e-05
    """

    peak: Any
    steps: int
    warmup_fraction: float = 0.3
    init_divisor: Any = 25.0
    final_divisor: Any = 1e4

    def __post_init__(self) -> None:
        keep_numbers(self, peak=NOT_NEGATIVE, init_divisor=POSITIVE, final_divisor=POSITIVE)
        positive("steps", self.steps)
        if not is_number(self.warmup_fraction):
            raise TypeError(f"warmup_fraction is a number, got {self.warmup_fraction!r}; it is part of the program")
        in_range("warmup_fraction", self.warmup_fraction, OPEN_FRACTION)
        if not 0 < self._warm_up < self.steps:
            raise ValueError(
                f"warmup_fraction leaves at least one step before the peak and one after it, got"
                f" {self.warmup_fraction} of {self.steps} steps"
            )

    @property
    def _warm_up(self) -> int:
        return round(self.warmup_fraction * self.steps)

    def __call__(self, step: Any) -> jax.Array:
        step, peak = default_float(step), default_float(self.peak)
        init = peak / default_float(self.init_divisor)
        up = half_cosine(step / self._warm_up, init, peak)
        time = jnp.minimum(step - self._warm_up, self.steps - self._warm_up) / (self.steps - self._warm_up)
        return jnp.where(step < self._warm_up, up, half_cosine(time, peak, init / default_float(self.final_divisor)))
