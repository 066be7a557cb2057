"""Arrays as matrices whose rows are the positions of all leading axes.

A sum over several axes and a product that contracts several are, on a matrix, a sum over one axis and a plain matrix
product. XLA:CPU has fast code for these alone: it turns the others into windows without threads and vectors, or copies
an operand, with whatever was fused into it, into another order first. Elsewhere the reshape is free, unless an axis
behind the first is sharded over devices: such arrays keep their axes.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def can_merge(x: jax.Array) -> bool:
    """Whether the leading axes can become one: none behind the first is sharded explicitly."""
    sharding = getattr(jax.typeof(x), "sharding", None)
    return sharding is None or all(axis is None for axis in sharding.spec[1 : x.ndim - 1])


def rows(x: jax.Array) -> jax.Array:
    """(…, D) as (M, D)."""
    return x.reshape(-1, x.shape[-1])


def as_matrix(x: jax.Array) -> jax.Array:
    """x with its leading axes merged, or as it is if there are none to merge: for what acts on each entry alone."""
    return rows(x) if x.ndim > 2 and can_merge(x) else x


def times(x: jax.Array, matrix: jax.Array, *, accumulated: Any = None) -> jax.Array:
    """x W over the last axis of x: (…, D) → (…, F), in the dtype ``accumulated`` if given."""
    merged = as_matrix(x)
    y = lax.dot_general(merged, matrix, (((merged.ndim - 1,), (0,)), ((), ())), preferred_element_type=accumulated)
    return y.reshape(*x.shape[:-1], matrix.shape[-1])


def product_of_rows(x: jax.Array, dy: jax.Array, *, accumulated: Any = None) -> jax.Array:
    """xᵀ dy summed over all leading axes, (D, F): the gradient of W in ``times``."""
    if can_merge(x) and can_merge(dy):
        x, dy = rows(x), rows(dy)
    leading = tuple(range(x.ndim - 1))
    return lax.dot_general(x, dy, ((leading, leading), ((), ())), preferred_element_type=accumulated)


def sums_of_columns(x: jax.Array, weight: jax.Array | None = None) -> jax.Array:
    """Σ_c w_c x_c over the last axis, (…, C) and (C,) → (…, 1), w = 1 if not given.

    On CPU a product: XLA makes of a sum over the last axis one over windows, whose results it writes out first, and a
    layer norm of 4096×512 takes two thirds of the time with products.
    """
    if weight is None:
        weight = jnp.ones(x.shape[-1], x.dtype)
    return lax.platform_dependent(x, weight, cpu=_multiplied, default=_summed)


def _multiplied(x: jax.Array, weight: jax.Array) -> jax.Array:
    axes = ((x.ndim - 1,), (0,)), ((), ())
    return lax.expand_dims(lax.dot_general(x, weight, axes, precision=lax.Precision.HIGHEST), (x.ndim - 1,))


def _summed(x: jax.Array, weight: jax.Array) -> jax.Array:
    return (x * weight.reshape((1,) * (x.ndim - 1) + weight.shape)).sum(-1, keepdims=True)


def sum_of_rows(x: jax.Array) -> jax.Array:
    """The sum over all axes but the last: (…, D) → (D,)."""
    merged = as_matrix(x)
    return merged.sum(tuple(range(merged.ndim - 1)))
