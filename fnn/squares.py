"""Lengths and unit vectors of numbers so large or small that their squares overflow or underflow.

For every s > 0,  √Σ x² = s √Σ (x/s)².  s is a power of two, so that it rounds nothing, and 1 unless the largest |x| is
so large or so small that its square, or a sum of squares, would be ∞ or 0. The result does not depend on s, so every
derivative treats s as a constant.
"""

import jax
import jax.numpy as jnp
from jax import lax

Axes = int | tuple[int, ...] | None


def root(x: jax.Array) -> jax.Array:
    """√x, with slope 0 at 0 instead of infinity."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def scale(x: jax.Array, axes: Axes = None) -> jax.Array:
    """The s for the entries along the axes, kept with size 1: neither (x/s)² nor Σ (x/s)² overflows or underflows.

    >>> scale(jnp.array([1e30, -3.0])), scale(jnp.array([2.0, -3.0]))
    (Array([7.9228163e+28], dtype=float32), Array([1.], dtype=float32))
    """
    largest = lax.stop_gradient(jnp.abs(x).max(axes, keepdims=True))
    _, exponent = jnp.frexp(largest)
    limit = 3 * int(jnp.finfo(x.dtype).maxexp) // 8
    # The exponents of float32 reach ±127 and those of s ±96, so that 1/s and (x/s)² stay in range.
    s = jnp.ldexp(jnp.ones_like(largest), jnp.clip(exponent, -2 * limit, 2 * limit))
    return jnp.where(abs(exponent) > limit, s, 1)


def length(x: jax.Array, axes: Axes) -> jax.Array:
    """|x| along the axes, kept with size 1; the slope at 0 is 0."""
    s = scale(x, axes)
    return s * root(jnp.square(x * (1 / s)).sum(axes, keepdims=True))


def unit(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x/|x| and |x| (…, 1) along the last axis; for the zero vector both, and their slopes, are 0."""
    s = scale(x, -1)
    # x * (1/s), not x / s: XLA would merge two divisions into one, by a product that may overflow.
    scaled = x * (1 / s)
    norm = root(jnp.square(scaled).sum(-1, keepdims=True))
    return jnp.where(norm == 0, 0, scaled / jnp.where(norm == 0, 1, norm)), norm * s
