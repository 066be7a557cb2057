"""Lengths and root mean squares of numbers whose squares leave the range of their dtype.

For every s > 0,  √Σ x² = s √Σ (x/s)².  s is a power of two, which changes no digit, and 1 unless the largest |x| is so
large or so small that its square, or the sum of many of them, would be ∞ or 0. The result does not depend on s, so s is
a constant to every derivative.
"""

import jax
import jax.numpy as jnp
from jax import lax

Axes = int | tuple[int, ...] | None


def root(x: jax.Array) -> jax.Array:
    """√x, with the slope 0 at 0 in place of infinity."""
    return jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x)))


def scale(x: jax.Array, axes: Axes = None) -> jax.Array:
    """s for the entries along the axes, kept with size 1: no square of x/s, and no sum of them, leaves the range.

    >>> scale(jnp.array([1e30, -3.0])), scale(jnp.array([2.0, -3.0]))
    (Array([7.9228163e+28], dtype=float32), Array([1.], dtype=float32))
    """
    largest = lax.stop_gradient(jnp.abs(x).max(axes, keepdims=True))
    _, exponent = jnp.frexp(largest)
    limit = 3 * int(jnp.finfo(x.dtype).maxexp) // 8
    # Of float32 the largest numbers are 2^±127: s reaches to 2^±96, so that 1/s and the squares of x/s are in range.
    s = jnp.ldexp(jnp.ones_like(largest), jnp.clip(exponent, -2 * limit, 2 * limit))
    return jnp.where(abs(exponent) > limit, s, 1)


def length(x: jax.Array, axes: Axes) -> jax.Array:
    """|x| along the axes, kept with size 1; 0 has the slope 0."""
    s = scale(x, axes)
    return s * root(jnp.square(x * (1 / s)).sum(axes, keepdims=True))


def unit(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x/|x| and |x| (…, 1) along the last axis; both 0, and so are their slopes, for the zero vector."""
    s = scale(x, -1)
    # Times 1/s: XLA would make one quotient of two, and their divisors' product may be out of range.
    scaled = x * (1 / s)
    norm = root(jnp.square(scaled).sum(-1, keepdims=True))
    return jnp.where(norm == 0, 0, scaled / jnp.where(norm == 0, 1, norm)), norm * s
