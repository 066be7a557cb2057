"""Smaller steps when the value stops falling."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, OPEN_FRACTION, nan_where_any
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters, default_float
from fnn.optim.transform import Optimizer, constructor


class ReduceOnPlateauState(NamedTuple):
    """State of ``reduce_on_plateau``; hyperparams: ``factor``, ``rtol``, ``atol``, ``min_scale``.

    ``scale`` multiplies the updates; ``mean_value`` is the mean of the values since the last check.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    scale: jax.Array
    best_value: jax.Array
    mean_value: jax.Array
    plateau_count: jax.Array
    cooldown_count: jax.Array

    ranges = MappingProxyType(
        {
            "factor": OPEN_FRACTION,
            "rtol": FRACTION,
            "atol": NOT_NEGATIVE,
            "min_scale": NOT_NEGATIVE,
        }
    )


@constructor
def reduce_on_plateau(
    factor: Hyperparameter = 0.1,
    patience: int = 10,
    rtol: Hyperparameter = 1e-4,
    atol: Hyperparameter = 0.0,
    cooldown: int = 0,
    accumulation_size: int = 1,
    min_scale: Hyperparameter = 0.0,
) -> Optimizer:
    """Scales the updates down whenever the value has not fallen for a while; put it after an optimiser.

        u = s g                                   s from 1, at least min_scale

    Every ``accumulation_size`` updates, with v the mean of the extra ``value`` over them:

        better: v < best − rtol |best| − atol     best from ∞
        best ← v, n ← 0                           better
        n ← n + 1                                 otherwise, also if v is NaN
        s ← max(factor · s, min_scale), n ← 0, pause for ``cooldown`` checks                 n = patience
        n ← 0                                     in the pause, in which best is still updated

    Training passes the ``value`` of the batch: set ``accumulation_size`` to the number of batches in an epoch, so that
    ``patience`` and ``cooldown`` count epochs. The update at which s falls already uses the new s. rtol is relative to
    |best|, so to maximise a value, pass it with its sign changed (in optax and PyTorch a constant value of −1 counts as
    better every time).

    Raises ``ValueError`` for a factor outside (0, 1), an rtol outside [0, 1) (optax allows 1, with which nothing is
    ever better), both tolerances 0, a negative atol, min_scale or cooldown, a patience or accumulation_size below 1,
    and an ``update`` without ``value``; ``TypeError`` for values of the wrong type.

    >>> from fnn.optim import chain, sgd
    >>> optimizer = chain(sgd(1.0), reduce_on_plateau(factor=0.5, patience=2))
    >>> opt_state = optimizer.init(jnp.zeros(()))
    >>> for value in (3.0, 2.0, 2.0, 2.0, 2.0):
    ...     updates, opt_state = optimizer.update(jnp.array(8.0), opt_state, value=jnp.array(value))
    ...     print(updates)
    -8.0
    -8.0
    -8.0
    -4.0
    -4.0
    """
    positive("patience", patience)
    positive("accumulation_size", accumulation_size)
    if isinstance(cooldown, bool) or not isinstance(cooldown, int):
        raise TypeError(f"cooldown is an integer, got {cooldown!r}")
    if cooldown < 0:
        raise ValueError(f"cooldown is at least 0, got {cooldown}")
    given = Hyperparameters(ReduceOnPlateauState, factor=factor, rtol=rtol, atol=atol, min_scale=min_scale)
    if all(isinstance(each, int | float) and each == 0 for each in (rtol, atol)):
        raise ValueError("rtol and atol are both 0, so that a rounding error counts as better; set one of them above 0")

    def init(params: Any) -> ReduceOnPlateauState:
        del params  # one scale for all leaves
        start = default_float(1), default_float(jnp.inf), default_float(0), zero_count(), zero_count()
        return ReduceOnPlateauState(zero_count(), given.initial(), *start)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ReduceOnPlateauState]:
        if extra.get("value") is None:
            raise ValueError(
                "reduce_on_plateau needs the value of the objective: call update(grads, opt_state, params, value=value)"
            )
        values, hyperparams = given.at(state)
        grads, like = check_gradients(grads, params)
        dtype, seen = state.scale.dtype, state.count % accumulation_size
        value = {name: value.astype(dtype) for name, value in values.items()}
        new = jnp.asarray(extra["value"]).astype(dtype)
        mean = (seen.astype(dtype) * state.mean_value + new) / (seen + 1).astype(dtype)
        look = seen + 1 == accumulation_size

        old: jax.Array = state.scale
        best: jax.Array = state.best_value
        waiting: jax.Array = state.plateau_count
        pause: jax.Array = state.cooldown_count
        # (1 − rtol) · best is below a positive best but above a negative one, for which (1 + rtol) · best is below.
        better = mean < (1 - jnp.sign(best) * value["rtol"]) * best - value["atol"]
        waited = jnp.where(better | (pause > 0), 0, waiting + 1)
        reduce = waited == patience
        scale = jnp.maximum(jnp.where(reduce, value["factor"] * old, old), value["min_scale"])
        looked = (
            jnp.where(pause > 0, old, scale),
            jnp.where(better, mean, best),
            jnp.zeros_like(mean),
            jnp.where(reduce, 0, waited),
            jnp.where(pause > 0, pause - 1, jnp.where(reduce, cooldown, 0)),
        )
        before = (old, best, mean, waiting, pause)
        kept = jax.tree.map(lambda one, other: jnp.where(look, one, other).astype(other.dtype), looked, before)

        def scaled(g: jax.Array, like: jax.Array) -> jax.Array:
            wide = accumulator_dtype(like)
            return (kept[0].astype(wide) * g.astype(wide)).astype(like.dtype)

        updates = nan_where_any(values.values(), jax.tree.map(scaled, grads, like))
        return updates, ReduceOnPlateauState(increment(state.count), hyperparams, *kept)

    return Optimizer(init, update, elementwise=True)
