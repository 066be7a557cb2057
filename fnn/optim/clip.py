"""Clipping of gradients."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import POSITIVE
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise
from fnn.optim.magnitudes import scale_of, without_zero
from fnn.optim.transform import Optimizer, constructor
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
    """Scales the gradient, all leaves as one vector, down to ``max_norm`` if its norm is larger.

        norm = √(Σ g²) over all entries of all leaves
        u = g                                     norm ≤ max_norm
        u = g · max_norm / norm                   norm > max_norm

    The norm is computed as s · √(Σ (g/s)²), with s a power of two near the largest |g|, in the widest dtype of the
    leaves (at least float32). No square overflows, so a finite gradient of any size is clipped to ``max_norm`` (in
    float32 the plain sum of squares is infinite from 1e19 on, and the clipped gradient would be zero). A zero gradient
    stays zero. An infinity or a NaN in any entry makes every entry NaN: ``skip_nonfinite`` must see it, so clipping
    does not hide it. ``max_norm=math.inf`` never clips.

    Raises ``ValueError`` for a norm of 0 or less, ``TypeError`` if not a number, scalar array or schedule.

    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks, 2013, algorithm 1.

    >>> transform = clip_by_global_norm(2.5)
    >>> grads = {"bias": jnp.array([3.0]), "kernel": jnp.array([[4.0]])}  # of norm 5
    >>> transform.update(grads, transform.init(grads))[0]
    {'bias': Array([1.5], dtype=float32), 'kernel': Array([[2.]], dtype=float32)}
    """
    return _clip_by_norm(max_norm, _clipped)


@constructor
def clip_by_norm(max_norm: Hyperparameter) -> Optimizer:
    """Scales the gradient of each leaf down to ``max_norm`` if its norm is larger.

        u = g min(1, max_norm / √(Σ g²))          the sum over the entries of one leaf

    Zeros, infinities, NaN and errors are handled as in ``clip_by_global_norm``. In a leaf that ``Repeat`` stacks, every
    layer is clipped by itself.

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
    """Clips every entry of the gradient to [−max_value, max_value].

        u = min(max(g, −c), c)                    c: max_value; NaN stays NaN

    Raises ``ValueError`` for a bound of 0 or less, ``TypeError`` if not a number, scalar array or schedule.

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
    """The transformation that applies ``clip(grads, max_norm)``."""
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
    """The gradient, all leaves as one vector, with a norm of at most ``max_norm``."""
    leaves = jax.tree.leaves(grads)
    if not leaves:
        return grads
    dtype = max((accumulator_dtype(leaf) for leaf in leaves), key=lambda dtype: dtype.itemsize)
    max_norm = max_norm.astype(dtype)
    scale = scale_of(*(leaf.astype(dtype) for leaf in leaves))
    shrink = 1 / scale
    squares = sum(jnp.sum((leaf.astype(dtype) * shrink) ** 2) for leaf in leaves)
    # For a zero gradient the squares count as if their sum were 1: no root at 0, no 1/0, and the result is 0.
    shrunk_norm = jnp.sqrt(without_zero(squares))
    # The norm itself may overflow to infinity, which rightly compares as too large; the clipped gradient is computed
    # without it. The comparison is written so that NaN counts as too large, and spreads; an infinity becomes NaN here.
    short = shrunk_norm * scale <= max_norm
    factor = jnp.where(short, jnp.ones((), dtype), max_norm) / jnp.where(jnp.isinf(shrunk_norm), jnp.nan, shrunk_norm)

    def clip(g: jax.Array) -> jax.Array:
        g = g.astype(dtype)
        return jnp.where(short, g, g * shrink * factor)

    return jax.tree.map(clip, grads)
