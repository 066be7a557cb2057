"""What enters the gates of a recurrent layer: a product with a kernel, standardised and scaled or not, plus a bias.

    a = v K;   p = a + b,  or with layer normalisation  p = s ⊙ â + b,  â = (a − μ) r over the features of a

Backward, from dp:   da = dp,  or  r (dâ − mean(dâ) − â · mean(dâ ⊙ â)) with dâ = s ⊙ dp
                     dK = Σ vᵀ da,  ds = Σ dp ⊙ â,  db = Σ dp  (over all leading axes),  dv = da Kᵀ

Products and sums accumulate in at least float32. ε is 1e-5.

Source: Ba, Kiros and Hinton 2016, eq. 4 and the supplementary equations of its recurrent networks.
"""

from typing import Any, NamedTuple

import jax
from jax import lax

from fnn.layer import wide_dtype
from fnn.layers.norm._standardize import inverse_root, moments, normalized, standardize_backward

EPSILON = 1e-5


class Projection(NamedTuple):
    """The parameters K (D, F), s (F,) and b (F,), or their gradients or names; ``None`` for what is not there."""

    kernel: Any
    scale: Any
    bias: Any


class Standardized(NamedTuple):
    """â and r of some projections."""

    normal: jax.Array
    inverse: jax.Array


def product(v: jax.Array, kernel: jax.Array) -> jax.Array:
    """v K over the last axis of v."""
    return _dot(v, kernel, ((v.ndim - 1,), (0,)))


def product_transposed(da: jax.Array, kernel: jax.Array) -> jax.Array:
    """da Kᵀ over the last axis of da."""
    return _dot(da, kernel, ((da.ndim - 1,), (1,)))


def kernel_gradient(v: jax.Array, da: jax.Array) -> jax.Array:
    """Σ vᵀ da over all leading axes, in the dtype of v."""
    leading = tuple(range(v.ndim - 1))
    return _dot(v, da.astype(v.dtype), (leading, leading)).astype(v.dtype)


def standardized(projection: Projection, v: jax.Array) -> Standardized | None:
    """â and r, or ``None`` without layer normalisation."""
    if projection.scale is None:
        return None
    a = product(v, projection.kernel)
    mean, var = moments(a, (-1,))
    inverse = inverse_root(var, EPSILON)
    return Standardized(normalized(a, mean, inverse), inverse)


def project(projection: Projection, v: jax.Array) -> jax.Array:
    """p − b, in at least float32."""
    norm = standardized(projection, v)
    return product(v, projection.kernel) if norm is None else norm.normal * _row(projection.scale, norm.normal)


def add_bias(projection: Projection, p: jax.Array) -> jax.Array:
    """p from p − b: a function of its own, because a sum over all steps at once would be one more array of them."""
    return p if projection.bias is None else p + _row(projection.bias, p)


def product_delta(projection: Projection, norm: Standardized | None, dp: jax.Array) -> jax.Array:
    """da from dp."""
    return dp if norm is None else standardize_backward(dp * _row(projection.scale, dp), *norm, (-1,))


def projection_gradients(
    projection: Projection, norm: Standardized | None, v: jax.Array, dp: jax.Array
) -> tuple[Projection, jax.Array]:
    """The gradients of the parameters, and da."""
    dtype, leading = projection.kernel.dtype, tuple(range(dp.ndim - 1))
    dp = dp.astype(wide_dtype(dtype))
    da = product_delta(projection, norm, dp)
    dscale = None if norm is None else (dp * norm.normal).sum(leading).astype(dtype)
    dbias = None if projection.bias is None else dp.sum(leading).astype(dtype)
    return Projection(kernel_gradient(v, da), dscale, dbias), da


def _dot(a: jax.Array, b: jax.Array, contracted: tuple[tuple[int, ...], tuple[int, ...]]) -> jax.Array:
    return lax.dot_general(a.astype(b.dtype), b, (contracted, ((), ())), preferred_element_type=wide_dtype(b.dtype))


def _row(parameter: jax.Array, like: jax.Array) -> jax.Array:
    return parameter.astype(like.dtype).reshape((1,) * (like.ndim - 1) + parameter.shape)
