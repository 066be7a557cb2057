"""Transformations that treat every entry by itself, each made from one rule u = rule(g; accumulators)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.optim.accumulators import accumulator_dtype, check_gradients, full_like, increment, zero_count
from fnn.optim.hyperparameters import Hyperparameters
from fnn.optim.transform import Optimizer

EntryRule = Callable[..., tuple[Any, ...]]
"""``rule(values, count, g, *accumulators) -> (u, *accumulators)``, all arrays of one leaf in one dtype.

``values`` are the hyper-parameters by name, in that dtype; ``count`` counts this update (1 at the first).
"""


def leafwise(given: Hyperparameters, rule: EntryRule, **starts: Any) -> Optimizer:
    """The transformation with this rule; ``starts`` gives each accumulator, a field of the state, its initial value.

    The state is the one of ``given``: ``count``, ``hyperparams`` and the accumulators, which have the shapes of the
    params and at least float32, the dtype in which the rule is computed.
    """
    traced_once = jax.jit(rule, inline=True)  # for each shape, however many leaves have it

    def init(params: Any) -> Any:
        accumulators = {name: full_like(params, start) for name, start in starts.items()}
        return given.state_class(zero_count(), given.initial(), **accumulators)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        del extra
        values, hyperparams = given.at(state)
        accumulators = [getattr(state, name) for name in starts]
        grads, like = check_gradients(grads, params, *accumulators[:1])
        count = increment(state.count)

        def one(g: jax.Array, like: jax.Array, *accumulators: jax.Array) -> tuple[Any, ...]:
            dtype = accumulators[0].dtype if accumulators else accumulator_dtype(like)
            local = {name: value.astype(dtype) for name, value in values.items()}
            u, *moved = (traced_once if isinstance(count, Tracer) else rule)(
                local, count, g.astype(dtype), *accumulators
            )
            return u.astype(like.dtype), *moved

        leaves, treedef = jax.tree.flatten(grads)
        columns = [leaves, *(jax.tree.leaves(tree) for tree in (like, *accumulators))]
        results = [one(*row) for row in zip(*columns, strict=True)]
        updates, *moved = (treedef.unflatten(column) for column in _columns(results, 1 + len(starts)))
        return updates, given.state_class(count, hyperparams, *moved)

    return Optimizer(init, update, elementwise=True)


def _columns(rows: list[tuple], width: int) -> list[list]:
    return [[row[place] for row in rows] for place in range(width)]


def running_mean(x: jax.Array, mean: jax.Array, decay: jax.Array) -> jax.Array:
    """``decay · mean + (1 − decay) · x`` in the dtype of mean."""
    return decay * mean + (1 - decay) * x


def sum_of_weights(decay: jax.Array, count: jax.Array) -> jax.Array:
    """``1 − decay^count``, the sum of the weights in a running mean that began at 0: the divisor of bias correction.

    Written as −expm1(count · log(decay)): the plain difference loses the digits that decay^count shares with 1, three
    of float32's seven at decay 0.999 and count 1. For decay 0 the logarithm is −∞ and the result is 1.
    """
    return -jnp.expm1(count.astype(decay.dtype) * jnp.log1p(decay - 1))


def mean_one_step_ahead(decay: jax.Array, count: jax.Array, g: jax.Array, mean: jax.Array) -> jax.Array:
    """The corrected running mean after one more step with the same gradient: Nesterov's momentum.

    decay · mean / (1 − decay^(count + 1)) + (1 − decay) · g / (1 − decay^count)
    """
    return decay * mean / sum_of_weights(decay, count + 1) + (1 - decay) * g / sum_of_weights(decay, count)
