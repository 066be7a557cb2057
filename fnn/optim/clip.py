"""Clipping of gradients."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import POSITIVE
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise
from fnn.optim.magnitudes import scale_of, without_zero
from fnn.optim.transform import Optimizer, accumulator_dtype, check_gradients, constructor, increment, zero_count
from fnn.stacked import map_layers


class ClipByValueState(NamedTuple):
    """State of ``clip_by_value``; hyperparams: ``max_value``."""

    count: jax.Array
    hyperparams: dict[str, Any]

    ranges = MappingProxyType({"max_value": POSITIVE})


class ClipByGlobalNormState(NamedTuple):
    """State of ``clip_by_global_norm``; hyperparams: ``max_norm``."""

    count: jax.Array
    hyperparams: dict[str, Any]

    ranges = MappingProxyType({"max_norm": POSITIVE})


@constructor
def clip_by_global_norm(max_norm: Hyperparameter) -> Optimizer:
    """Shortens the gradient, all leaves taken as one vector, to ``max_norm`` where it is longer.

        norm = √(Σ g²) over all entries of all leaves
        u = g                                     norm ≤ max_norm
        u = g · max_norm / norm                   norm > max_norm

    The norm is taken as s · √(Σ (g/s)²), s a power of two by the largest |g|, in the widest dtype of the leaves (at
    least float32): no square overflows, so that a finite gradient of any size is clipped to ``max_norm`` (in float32
    the plain sum of squares is infinite from 1e19 on, and the clipped gradient zero). A zero gradient stays zero. An
    infinity or a NaN in any entry makes every entry NaN: it is for ``skip_nonfinite`` to see, not for clipping to hide.
    ``max_norm=math.inf`` never clips.

    Raises ``ValueError`` for a norm of 0 or less, ``TypeError`` for what is no number, scalar array or schedule.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013, algorithm 1.

    >>> transform = clip_by_global_norm(2.5)
    >>> grads = {"bias": jnp.array([3.0]), "kernel": jnp.array([[4.0]])}  # of norm 5
    >>> transform.update(grads, transform.init(grads))[0]
    {'bias': Array([1.5], dtype=float32), 'kernel': Array([[2.]], dtype=float32)}
    """
    return _clip_by_norm(max_norm, _clipped)


@constructor
def clip_by_norm(max_norm: Hyperparameter) -> Optimizer:
    """Shortens the gradient of every leaf to ``max_norm`` where it is longer; else as ``clip_by_global_norm``.

        u = g min(1, max_norm / √(Σ g²))          the sum over the entries of one leaf

    Of a leaf that ``Repeat`` stacks, every layer is clipped alone.

    >>> transform = clip_by_norm(2.5)
    >>> grads = {"bias": jnp.array([1.0]), "kernel": jnp.array([[3.0, 4.0]])}
    >>> transform.update(grads, transform.init(grads))[0]
    {'bias': Array([1.], dtype=float32), 'kernel': Array([[1.5, 2. ]], dtype=float32)}
    """

    def each(grads: Any, max_norm: jax.Array) -> Any:
        return map_layers(lambda path, g: _clipped(g, max_norm), grads)

    return _clip_by_norm(max_norm, each)


@constructor
def clip_by_value(max_value: Hyperparameter) -> Optimizer:
    """Brings every entry of the gradient into [−max_value, max_value].

        u = min(max(g, −c), c)                    c: max_value; a NaN stays one

    Raises ``ValueError`` for a bound of 0 or less, ``TypeError`` for what is no number, scalar array or schedule.

    >>> transform = clip_by_value(2.0)
    >>> transform.update(jnp.array([-3.0, 1.0]), transform.init(jnp.zeros(2)))[0]
    Array([-2.,  1.], dtype=float32)
    """
    given = Hyperparameters(ClipByValueState, max_value=max_value)

    def rule(values: dict, count: Any, g: Any) -> tuple[Any, ...]:
        del count
        return (jnp.clip(g, -values["max_value"], values["max_value"]),)

    return leafwise(given, rule)


def _clip_by_norm(max_norm: Hyperparameter, clip: Callable[[Any, jax.Array], Any]) -> Optimizer:
    """The transformation of ``clip(grads, max_norm)``."""
    given = Hyperparameters(ClipByGlobalNormState, max_norm=max_norm)

    def init(params: Any) -> ClipByGlobalNormState:
        del params  # there is nothing to accumulate
        return ClipByGlobalNormState(zero_count(), given.initial())

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ClipByGlobalNormState]:
        del extra
        values, hyperparams = given.at(state)
        grads, like = check_gradients(grads, params)
        clipped = clip(grads, values["max_norm"])
        updates = jax.tree.map(lambda u, like: u.astype(like.dtype), clipped, like)
        return updates, ClipByGlobalNormState(increment(state.count), hyperparams)

    return Optimizer(init, update)


def _clipped(grads: Any, max_norm: jax.Array) -> Any:
    """The gradient, all leaves as one vector, at most ``max_norm`` long."""
    leaves = jax.tree.leaves(grads)
    if not leaves:
        return grads
    dtype = max((accumulator_dtype(leaf) for leaf in leaves), key=lambda dtype: dtype.itemsize)
    max_norm = max_norm.astype(dtype)
    scale = scale_of(*(leaf.astype(dtype) for leaf in leaves))
    shrink = 1 / scale
    squares = sum(jnp.sum((leaf.astype(dtype) * shrink) ** 2) for leaf in leaves)
    # A zero gradient counts as if its squares summed to 1: no slope of a root at 0, no 1/0, and 0 comes out.
    shrunk_norm = jnp.sqrt(without_zero(squares))
    # The norm itself may overflow to infinity, which rightly compares as too long: the clipped gradient is made without
    # it. The comparison is written so that a NaN counts as too long, and spreads; an infinity is one from here on.
    short = shrunk_norm * scale <= max_norm
    factor = jnp.where(short, jnp.ones((), dtype), max_norm) / jnp.where(jnp.isinf(shrunk_norm), jnp.nan, shrunk_norm)

    def clip(g: jax.Array) -> jax.Array:
        g = g.astype(dtype)
        return jnp.where(short, g, g * shrink * factor)

    return jax.tree.map(clip, grads)
