"""Numbers of any size: squares, norms and quotients that neither overflow nor vanish where their result would not.

In float32 the square of 2e19 is infinite and that of 1e-23 is zero, though the step that is made of it, a quotient of
two such numbers, may be 1. What overflows silently is worse than what fails: g / √∞ is a step of 0.

All scales here are powers of two, and 1 at ordinary sizes, so that nothing is rounded otherwise than in the plain form.
"""

from typing import Any

import jax
import jax.numpy as jnp


def squarable(g: jax.Array, *, summed: bool = False) -> jax.Array:
    """The gradient with its size held below a bound B, so that its square is finite; an infinity stays one.

    In float32 B is 2⁶², 4.6e18, in float64 2⁵¹⁰. An entry beyond B counts as B with its sign, in all moments alike: a
    step made of their quotient, as Adam's, is the same as without. ``summed``: B is 2⁵¹, 2.3e15 (float64: 2⁴⁸⁴), such
    that sums of any number of squares are finite too: by then one more is absorbed in rounding.
    """
    finfo = jnp.finfo(g.dtype)
    bound = 2.0 ** ((finfo.maxexp - finfo.nmant - 3) // 2 if summed else finfo.maxexp // 2 - 2)
    return jnp.where(jnp.isinf(g), g, jnp.clip(g, -bound, bound))


def shortened(g: jax.Array) -> jax.Array:
    """The gradient of a leaf, shorter if its largest entry is beyond the bound of ``summed`` in ``squarable``.

    For means over the entries of a leaf: its direction stays.
    """
    largest = jnp.max(jnp.abs(g), initial=0)
    return g * (squarable(largest, summed=True) / without_zero(largest))


def divisor(root: jax.Array) -> jax.Array:
    """A root of squares to divide by, at least the root of the smallest normal number (float32: 1.1e-19).

    The squares of anything smaller are 0. So a gradient of 0 over a root of 0, where ``eps`` is 0, is a step of 0.
    """
    return jnp.maximum(root, float(jnp.finfo(root.dtype).tiny) ** 0.5)


def scale_of(*leaves: jax.Array) -> jax.Array:
    """A power of two to divide arrays of one dtype by, so that the sum of their squares is of an ordinary size."""
    dtype = leaves[0].dtype
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), initial=0) for leaf in leaves]))
    exponent = jnp.finfo(dtype).maxexp
    far, scale = 2.0 ** (exponent * 3 // 8), 2.0 ** (exponent * 11 // 16)
    small = jnp.where(largest < 1 / far, 1 / scale, 1)
    return jnp.where(largest > far, scale, small).astype(dtype)


def shrunk(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """x / s, its norm, and s, a power of two: ‖x‖ = s ‖x / s‖ may overflow, these do not.

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
    """The length to divide by, 1 where it is 0: what it is the length of is 0 too, and so is the quotient."""
    return jnp.where(length == 0, jnp.ones_like(length), length)
