"""Averages of the parameters: an exponential moving average beside training, and lookahead, which resets them to it."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, nan_where_any
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count, zeros_like
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import running_mean
from fnn.optim.transform import (
    Optimizer,
    apply_updates,
    constructor,
    expect_optimizer,
    is_elementwise,
    part_of,
    update,
)
from fnn.optim.waiting import stepped, where_stepped


class EmaState(NamedTuple):
    """State of ``ema``; hyperparams: ``decay``. ``weight``, below 1 at first, is the sum of the weights in ``mean``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    weight: jax.Array
    mean: Any

    ranges = MappingProxyType({"decay": FRACTION})

    def evaluated(self, params: Any) -> Any:
        """The average, or the parameters themselves before the first update."""

        def average(mean: jax.Array, w: Any) -> jax.Array:
            weight = self.weight.astype(mean.dtype)
            return jnp.where(weight > 0, mean / jnp.where(weight > 0, weight, 1), jnp.asarray(w).astype(mean.dtype))

        return jax.tree.map(average, self.mean, part_of(params, self.mean))


class LookaheadState(NamedTuple):
    """State of ``lookahead``; hyperparams: ``slow_step``. ``slow`` are the parameters last returned to."""

    count: jax.Array
    hyperparams: dict[str, Any]
    slow: Any
    inner: Any

    ranges = MappingProxyType({"slow_step": NOT_NEGATIVE})

    def evaluated(self, params: Any) -> Any:
        """The parameters last returned to."""
        del params
        return self.slow


@constructor
def ema(decay: Hyperparameter) -> Optimizer:
    """Keeps an exponential moving average of the parameters and changes no update; put it last in a chain.

        w̄ ← d w̄ + (1 − d) (w + u)                 d: decay, from 0; the parameters after this update
        a ← d a + (1 − d)                         from 0: the sum of the weights in w̄
        ema_params(opt_state) = w̄ / a             a mean from the first step on, even if a schedule drives d

    Raises ``ValueError`` for a decay outside [0, 1) and for an ``update`` without params.

    Source: Polyak and Juditsky, 1992, with exponential forgetting.

    >>> from fnn.optim import chain, sgd
    >>> optimizer = chain(sgd(1.0), ema(0.5))
    >>> opt_state = optimizer.init(jnp.array(4.0))
    >>> updates, opt_state = optimizer.update(jnp.array(1.0), opt_state, jnp.array(4.0))  # to 3
    >>> updates, opt_state = optimizer.update(jnp.array(3.0), opt_state, jnp.array(3.0))  # to 0
    >>> print(ema_params(opt_state))  # (0.25 · 3 + 0.5 · 0) / 0.75
    1.0
    """
    given = Hyperparameters(EmaState, decay=decay)

    def init(params: Any) -> EmaState:
        return EmaState(zero_count(), given.initial(), jnp.zeros(()), zeros_like(params))

    def ema_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, EmaState]:
        del extra
        if params is None:
            raise ValueError("an average of the params needs them: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        check_gradients(grads, params, state.mean)

        def moved(mean: jax.Array, w: Any) -> jax.Array:
            return running_mean(jnp.asarray(w).astype(mean.dtype), mean, values["decay"].astype(mean.dtype))

        mean = jax.tree.map(moved, state.mean, apply_updates(params, grads))
        weight = running_mean(jnp.ones_like(state.weight), state.weight, values["decay"].astype(state.weight.dtype))
        return nan_where_any(values.values(), grads), EmaState(increment(state.count), hyperparams, weight, mean)

    return Optimizer(init, ema_update, elementwise=True)


def ema_params(opt_state: Any) -> Any:
    """The average kept by the ``ema`` in an optimiser state; ``ValueError`` unless there is exactly one.

    Its leaves are at least float32. Before the first update it is 0/0, NaN.
    """
    found = [state for state in jax.tree.leaves(opt_state, is_leaf=_is_ema) if _is_ema(state)]
    if len(found) != 1:
        raise ValueError(f"expected one ema in this optimiser state, found {len(found)}")
    return jax.tree.map(lambda mean: mean / found[0].weight.astype(mean.dtype), found[0].mean)


def _is_ema(node: Any) -> bool:
    return isinstance(node, EmaState)


@constructor
def lookahead(optimizer: Any, sync_period: int = 6, slow_step: Hyperparameter = 0.5) -> Optimizer:
    """Runs the optimiser for ``sync_period`` steps, then moves only part of the way from the start to the end point.

        w ← w + u                                 the optimiser's update
        every sync_period steps: s ← s + α (w − s),  w ← s            α: slow_step, s from the first w

    The optimiser's own state is kept. A call at which it waits (for ``accumulate``, say) does not count as a step here
    either. Raises ``ValueError`` for a period below 1, a negative step and for an ``update`` without params,
    ``TypeError`` if not an optimiser.

    Source: Zhang et al., Lookahead optimizer: k steps forward, 1 step back, 2019, algorithm 1.

    >>> from fnn.optim import apply_updates, sgd
    >>> optimizer, w = lookahead(sgd(1.0), sync_period=2), jnp.array(8.0)
    >>> opt_state = optimizer.init(w)
    >>> for gradient in (1.0, 3.0):
    ...     updates, opt_state = optimizer.update(jnp.array(gradient), opt_state, w)
    ...     w = apply_updates(w, updates)
    >>> print(w)  # half-way from 8 to 4
    6.0
    """
    expect_optimizer("lookahead", optimizer)
    positive("sync_period", sync_period)
    given = Hyperparameters(LookaheadState, slow_step=slow_step)

    def init(params: Any) -> LookaheadState:
        # A copy: a jit that may overwrite params and state (donation) cannot take one array twice.
        slow = jax.tree.map(lambda w: jnp.array(w, accumulator_dtype(jnp.asarray(w)), copy=True), params)
        return LookaheadState(zero_count(), given.initial(), slow, optimizer.init(params))

    def lookahead_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, LookaheadState]:
        if params is None:
            raise ValueError("lookahead needs the params: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params, state.slow)
        updates, inner = update(optimizer, grads, state.inner, params, **extra)
        real = stepped(inner)
        count = where_stepped(real, increment(state.count), state.count)
        sync = count % sync_period == 0
        sync = sync if real is None else sync & real

        def returned(slow: jax.Array, w: jax.Array, u: jax.Array) -> jax.Array:
            fast = w.astype(slow.dtype) + u.astype(slow.dtype)
            return jnp.where(sync, slow + values["slow_step"].astype(slow.dtype) * (fast - slow), slow)

        slow = jax.tree.map(returned, state.slow, params, updates)
        back = jax.tree.map(
            lambda s, w, u: jnp.where(sync, (s - w.astype(s.dtype)).astype(u.dtype), u), slow, params, updates
        )
        return nan_where_any(values.values(), back), LookaheadState(count, hyperparams, slow, inner)

    return Optimizer(init, lookahead_update, elementwise=is_elementwise(optimizer))
