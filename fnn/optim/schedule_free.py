"""Schedule-free descent: an average of the path instead of a falling learning rate."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, Range, nan_where_any
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.decay import decay_weights
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters, default_float
from fnn.optim.leafwise import leafwise, running_mean, sum_of_weights
from fnn.optim.magnitudes import divisor, squarable
from fnn.optim.transform import (
    Optimizer,
    chain,
    constructor,
    expect_optimizer,
    is_elementwise,
    part_of,
    refuse_unread,
    update,
)
from fnn.optim.waiting import stepped, where_stepped
from fnn.optim.warm_up import warmed_up


class ScheduleFreeState(NamedTuple):
    """State of ``schedule_free``; hyperparams: ``learning_rate``, ``b1``, ``weight_lr_power``.

    ``z`` is the descending sequence, at least float32; ``direction`` is the state of the transformation inside.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    largest_rate: jax.Array
    sum_of_weights: jax.Array
    z: Any
    direction: Any

    ranges = MappingProxyType(
        {
            "learning_rate": NOT_NEGATIVE,
            "b1": Range("a number in (0, 1]", lambda value: (value > 0) & (value <= 1)),
            "weight_lr_power": NOT_NEGATIVE,
        }
    )

    def evaluated(self, params: Any) -> Any:
        """x = (y − (1 − b1) z) / b1, where ``params`` are y."""
        entry = self.hyperparams["b1"]
        b1 = jnp.asarray(getattr(entry, "value", entry))

        def average(y: Any, z: jax.Array) -> jax.Array:
            y, weight = jnp.asarray(y), b1.astype(z.dtype)
            return (z + (y.astype(z.dtype) - z) / weight).astype(y.dtype)  # exact where y is z

        return jax.tree.map(average, part_of(params, self.z), self.z)


class ScaleByRootState(NamedTuple):
    """State of the scaling in ``schedule_free_adamw``; hyperparams: ``b2``, ``eps``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    nu: Any

    ranges = MappingProxyType({"b2": FRACTION, "eps": NOT_NEGATIVE})


@constructor
def schedule_free(
    learning_rate: Hyperparameter,
    direction: Any = None,
    b1: Hyperparameter = 0.9,
    weight_lr_power: Hyperparameter = 2.0,
) -> Optimizer:
    """Gradients at y, steps of z, and x, the average of z: a constant rate with the result of a falling one.

        u = the direction for the gradient g at y                   g itself without a ``direction``
        z ← z − η u                                                 η: learning_rate
        ω = (the largest η so far)^weight_lr_power,  Ω ← Ω + ω,  c = ω / Ω                         Ω from 0
        x ← (1 − c) x + c z                                         at constant η a plain mean: c = 1/t
        y = (1 − b1) z + b1 x                                       b1 in (0, 1]

    All three start at the first parameters. **The parameters that training sees are y; those to evaluate and keep are
    x**: ``schedule_free_eval_params(opt_state, params)``. The state holds z; x = (y − (1 − b1) z) / b1 is computed from
    y and z. b1 acts as a momentum, so ``direction`` is a transformation without momentum and without a rate;
    ``schedule_free_sgd`` and ``schedule_free_adamw`` are the usual two. Batch statistics belong to y: run training
    batches through the model with x before evaluating it.

    optax's version also takes an optimiser with its own rate; it calls a schedule for that rate at step t, but for the
    rate in ω at t + 1. Here both use one rate, that of step t (as in the authors' code), so setting it once is enough;
    at a constant rate the paths are the same. While η is 0, x does not move.

    Raises ``ValueError`` for a negative rate or power, b1 outside (0, 1], and an ``update`` without params;
    ``TypeError`` if not a number, scalar array or schedule, and if ``direction`` is not a transformation.

    Source: Defazio et al., The road less scheduled, 2024; the weights as in the authors' code.

    >>> from fnn.optim import apply_updates
    >>> optimizer, y = schedule_free(1.0, b1=0.5), jnp.array(8.0)
    >>> opt_state = optimizer.init(y)
    >>> for gradient in (2.0, 4.0):  # z: 6, 2;  x: 6, 4;  y: 6, 3
    ...     updates, opt_state = optimizer.update(jnp.array(gradient), opt_state, y)
    ...     y = apply_updates(y, updates)
    >>> print(y, schedule_free_eval_params(opt_state, y))
    3.0 4.0
    """
    given = Hyperparameters(ScheduleFreeState, learning_rate=learning_rate, b1=b1, weight_lr_power=weight_lr_power)
    if direction is not None:
        expect_optimizer("schedule_free, direction (without a rate, such as decay_weights(1e-4))", direction)
    inside = chain() if direction is None else chain(direction)

    def init(params: Any) -> ScheduleFreeState:
        # A copy even if the dtype is the same: a compiled step may overwrite both (donation).
        z = jax.tree.map(lambda w: jnp.array(w, dtype=accumulator_dtype(jnp.asarray(w))), params)
        return ScheduleFreeState(
            zero_count(), given.initial(), default_float(0), default_float(0), z, inside.init(params)
        )

    def schedule_free_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ScheduleFreeState]:
        if params is None:
            raise ValueError("schedule_free needs the params: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params, state.z)
        directions, inner = update(inside, grads, state.direction, params, **extra)
        rate = values["learning_rate"].astype(state.largest_rate.dtype)
        largest = jnp.maximum(state.largest_rate, rate)
        weight = jnp.where(largest > 0, largest ** values["weight_lr_power"].astype(largest.dtype), 0)
        total: jax.Array = state.sum_of_weights + weight
        share = weight / jnp.where(total > 0, total, 1)

        def moved(y: jax.Array, u: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
            eta, b1, c = (value.astype(z.dtype) for value in (rate, values["b1"], share))
            wide = y.astype(z.dtype)
            x = z + (wide - z) / b1  # as differences, so that an unmoved parameter stays exactly the same
            z = z - eta * u.astype(z.dtype)
            x = x + c * (z - x)
            return (z + b1 * (x - z) - wide).astype(y.dtype), z

        treedef = jax.tree.structure(params)
        rows = treedef.flatten_up_to(jax.tree.map(moved, params, directions, state.z))
        updates, z = (treedef.unflatten([row[place] for row in rows]) for place in range(2))
        updates = nan_where_any(values.values(), updates)
        moved_to = ScheduleFreeState(increment(state.count), hyperparams, largest, total, z, inner)
        # If the direction waits (for micro-batches, say), this call is not a step.
        waits = jax.tree.map(jnp.zeros_like, updates), state._replace(direction=inner)
        return where_stepped(stepped(inner), (updates, moved_to), waits)

    return Optimizer(init, schedule_free_update, elementwise=is_elementwise(inside))


def schedule_free_eval_params(opt_state: Any, params: Any) -> Any:
    """The parameters to evaluate: x = (y − (1 − b1) z) / b1 for the ``schedule_free`` in an optimiser state.

    ``params`` are y, the parameters of training; x has their dtypes. Raises ``ValueError`` unless there is exactly one
    ``schedule_free`` in the state.
    """
    found = [state for state in jax.tree.leaves(opt_state, is_leaf=_is_schedule_free) if _is_schedule_free(state)]
    if len(found) != 1:
        raise ValueError(f"expected one schedule_free in this optimiser state, found {len(found)}")
    return found[0].evaluated(params)


def _is_schedule_free(node: Any) -> bool:
    return isinstance(node, ScheduleFreeState)


@constructor
def schedule_free_sgd(
    learning_rate: Hyperparameter = 1.0,
    warmup_steps: int | None = None,
    b1: Hyperparameter = 0.9,
    weight_decay: Hyperparameter | None = None,
    weight_lr_power: Hyperparameter = 2.0,
    *,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """``schedule_free`` along the gradient.

        u = g + λ y                               λ: weight_decay, 0 outside ``paths``
        η = learning_rate · min(1, (t + 1) / warmup_steps)          t: the updates so far

    The warm-up is that of the authors' code; optax's z is one step behind it (and its first step is 0). Errors:
    ``ValueError`` for a hyper-parameter out of range, ``warmup_steps`` below 1, an ``update`` without params, a glob
    that matches none of their paths, and ``paths`` without a decay; ``TypeError`` if not a number, array or schedule.

    >>> optimizer = schedule_free_sgd(0.5, warmup_steps=2)
    >>> optimizer.update(jnp.array(4.0), optimizer.init(jnp.array(0.0)), jnp.array(0.0))[0]  # −0.25 · 4
    Array(-1., dtype=float32)
    """
    if weight_decay is None:
        refuse_unread("it chooses what decays, and there is no weight_decay", paths=(paths, "*/kernel"))
    direction = None if weight_decay is None else decay_weights(weight_decay, paths, name="weight_decay")
    return schedule_free(warmed_up(learning_rate, warmup_steps), direction, b1, weight_lr_power)


@constructor
def schedule_free_adamw(
    learning_rate: Hyperparameter = 0.0025,
    warmup_steps: int | None = None,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    weight_lr_power: Hyperparameter = 2.0,
    *,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """``schedule_free`` along the direction of AdamW without its first moment.

        v ← b2 v + (1 − b2) g²                    from 0
        u = g / (√(v / (1 − b2ᵗ)) + eps) + λ y    λ: weight_decay, 0 outside ``paths``
        η = learning_rate · min(1, (t + 1) / warmup_steps)          t: the updates so far

    By default the decay excludes biases and the scales of norms (``paths="*"`` decays everything, as optax does). The
    authors' code puts √(1 − b2ᵗ) into the rate, and thereby into the weights of the average; this is optax's form.
    Warm-up and errors are those of ``schedule_free_sgd``.

    >>> optimizer, params = schedule_free_adamw(0.5, eps=0.0), {"kernel": jnp.array([8.0])}
    >>> optimizer.update({"kernel": jnp.array([-3.0])}, optimizer.init(params), params)[0]
    {'kernel': Array([0.5], dtype=float32)}
    """
    direction = chain(_scale_by_root(b2, eps), decay_weights(weight_decay, paths, name="weight_decay"))
    return schedule_free(warmed_up(learning_rate, warmup_steps), direction, b1, weight_lr_power)


def _scale_by_root(b2: Hyperparameter, eps: Hyperparameter) -> Optimizer:
    given = Hyperparameters(ScaleByRootState, b2=b2, eps=eps)

    def rule(values: dict, count: Any, g: Any, v: Any) -> tuple[Any, ...]:
        g = squarable(g)
        v = running_mean(g * g, v, values["b2"])
        return g / divisor(jnp.sqrt(v / sum_of_weights(values["b2"], count)) + values["eps"]), v

    return leafwise(given, rule, nu=0)
