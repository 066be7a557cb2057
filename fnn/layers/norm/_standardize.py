"""Standardisation to mean 0 and variance 1, the one derivation behind every normalising layer.

Over the n elements of a set (a channel of a batch, the features of a sample, …):

    μ = (1/n) Σ x,  σ² = (1/n) Σ (x − μ)²,  r = 1/√(σ² + ε),  x̂ = (x − μ) r

x̂ depends on x directly, through μ and through σ². With dμ/dx = 1/n and dσ²/dx = 2(x − μ)/n the three parts add up to

    dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂))

which says: remove from dx̂ its components along 1 and along x̂, the directions in which x̂ cannot change. Without the
mean, x̂ = x r with r = 1/√(mean(x²) + ε), only the second is removed: dx = r (dx̂ − x̂ · mean(dx̂ ⊙ x̂)).

The variance is computed in two passes; E[x²] − E[x]² cancels when the mean is large. ``axis_name`` extends the set over
the devices of a mapped axis: every mean becomes a mean of means of equal sizes. With ``counted``, a mask that is
broadcast against x, the set consists of the entries that count, and a mean is their sum divided by their number.

If squares overflow, σ² = ∞ and r would be 0: every output would be the bias, with gradient 0. Instead r, and so the
whole set, is NaN. Rescaling the inputs would avoid this, at the cost of another pass over them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layer import wide_dtype

Axes = tuple[int, ...]


def _mean(x: jax.Array, axes: Axes, axis_name: Any, counted: jax.Array | None = None) -> jax.Array:
    if counted is not None:
        parts = (jnp.where(counted, x, 0).sum(axes, keepdims=True), counted.sum(axes, keepdims=True).astype(x.dtype))
        total, count = parts if axis_name is None else lax.psum(parts, axis_name)
        return total / count
    mean = x.mean(axes, keepdims=True)
    return mean if axis_name is None else lax.pmean(mean, axis_name)


def moments(
    x: jax.Array, axes: Axes, axis_name: Any = None, counted: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over the axes, kept with size 1, in at least float32."""
    wide = x.astype(wide_dtype(x.dtype))
    if counted is not None and axis_name is not None:
        mean = _mean(wide, axes, axis_name, counted)
    else:
        # Relative to the first entry: summing equal numbers rounds, and a constant set would get a variance from that.
        first = lax.stop_gradient(lax.slice(wide, (0,) * wide.ndim, _with_one(wide.shape, axes)))
        mean = _mean(wide - first, axes, None, counted) + first
        mean = mean if axis_name is None else lax.pmean(mean, axis_name)
    return mean, _mean(jnp.square(wide - mean), axes, axis_name, counted)


def _with_one(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """The shape, with size 1 along ``axes``."""
    along = {axis % len(shape) for axis in axes}
    return tuple(1 if axis in along else size for axis, size in enumerate(shape))


def inverse_root(square: jax.Array, epsilon: Any) -> jax.Array:
    """r = 1/√(σ² + ε), or NaN if the mean of squares has overflowed."""
    return jnp.where(jnp.isinf(square), jnp.nan, lax.rsqrt(square + epsilon))


def normalized(x: jax.Array, mean: jax.Array, inverse: jax.Array) -> jax.Array:
    """x̂ = (x − μ) r in the dtype of the moments."""
    return (x.astype(mean.dtype) - mean) * inverse


def standardize_backward(
    dnormalized: jax.Array,
    normal: jax.Array,
    inverse: jax.Array,
    axes: Axes,
    axis_name: Any = None,
    counted: jax.Array | None = None,
) -> jax.Array:
    """dx from dx̂, x̂ and r, where μ and σ² are computed from x."""
    along_one = _mean(dnormalized, axes, axis_name, counted)
    return rescale_backward(dnormalized, normal, inverse, axes, axis_name, counted) - inverse * along_one


def rescale_backward(
    dnormalized: jax.Array,
    normal: jax.Array,
    inverse: jax.Array,
    axes: Axes,
    axis_name: Any = None,
    counted: jax.Array | None = None,
) -> jax.Array:
    """dx from dx̂, x̂ and r, where x̂ = x r and r is computed from mean(x²)."""
    return inverse * (dnormalized - normal * _mean(dnormalized * normal, axes, axis_name, counted))
