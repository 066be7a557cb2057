"""Squares, norms and quotients that neither overflow nor underflow unless their result does.

In float32 the square of 2e19 is infinite and that of 1e-23 is zero, although the step, a quotient of two such numbers,
may be 1. A silent overflow is worse than a failure: g / √∞ is a step of 0.

All scales here are powers of two, and 1 for numbers of ordinary size, so that the rounding is that of the plain form.
"""

from typing import Any

import jax
import jax.numpy as jnp


def squarable(g: jax.Array, *, summed: bool = False) -> jax.Array:
    """The gradient with entries clipped to a bound B, so that their squares are finite; infinities stay infinite.

    B is 2⁶² (4.6e18) in float32 and 2⁵¹⁰ in float64. An entry beyond B counts as ±B in all moments, so a step that is
    their quotient, such as Adam's, does not change. ``summed``: B is 2⁵¹, 2.3e15 (float64: 2⁴⁸⁴), so that sums of any
    number of squares are finite too: before they overflow, another square vanishes in rounding.
    """
    finfo = jnp.finfo(g.dtype)
    bound = 2.0 ** ((finfo.maxexp - finfo.nmant - 3) // 2 if summed else finfo.maxexp // 2 - 2)
    return jnp.where(jnp.isinf(g), g, jnp.clip(g, -bound, bound))


def shortened(g: jax.Array) -> jax.Array:
    """The gradient of a leaf, scaled down if its largest entry is beyond the bound of ``summed`` in ``squarable``.

    It keeps its direction, for means over the entries of a leaf.
    """
    largest = jnp.max(jnp.abs(g), initial=0)
    return g * (squarable(largest, summed=True) / without_zero(largest))


def divisor(root: jax.Array) -> jax.Array:
    """A root of squares to divide by, at least the root of the smallest normal number (float32: 1.1e-19).

    The squares of anything smaller are 0. So with ``eps`` 0, a gradient of 0 over a root of 0 gives a step of 0.
    """
    return jnp.maximum(root, float(jnp.finfo(root.dtype).tiny) ** 0.5)


def scale_of(*leaves: jax.Array) -> jax.Array:
    """A power of two to divide arrays of one dtype by, so that the sum of their squares has an ordinary size."""
    dtype = leaves[0].dtype
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0) for leaf in leaves]))
    exponent = jnp.finfo(dtype).maxexp
    far, scale = 2.0 ** (exponent * 3 // 8), 2.0 ** (exponent * 11 // 16)
    # 1 for zeros: of constant ones XLA would make (1/s)² · 0, which is NaN because the square overflows.
    small = jnp.where((largest < 1 / far) & (largest > 0), 1 / scale, 1)
    return jnp.where(largest > far, scale, small).astype(dtype)


def shrunk(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x / s, its norm, and s, a power of two. None of them overflows, although ‖x‖ = s ‖x / s‖ may.

    >>> _, norm, scale = shrunk(jnp.array([3e30, 4e30]))
    >>> (norm * scale / 5e30).round(5)
    Array(1., dtype=float32)
    """
    scale = scale_of(x)
    small = x * (1 / scale)
    return small, jnp.sqrt(jnp.sum(small * small)), scale


def norm(x: jax.Array) -> jax.Array:
    """√Σ x²."""
    _, length, scale = shrunk(x)
    return length * scale


def root_mean_square(x: jax.Array) -> jax.Array:
    """√mean(x²)."""
    scale = scale_of(x)
    small = x * (1 / scale)
    return jnp.sqrt(jnp.mean(small * small)) * scale


def without_zero(length: Any) -> Any:
    """The length to divide by, with 1 for 0: a vector of length 0 is 0, and then so is the quotient."""
    return jnp.where(length == 0, jnp.ones_like(length), length)
