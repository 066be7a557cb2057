"""What self-gated activations share: y = x ⊙ gate(x), with a gate that opens from 0 to 1, and its limits at ±∞."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.layers.activation._elementwise import without_infinities


def gated(x: jax.Array, gate: Callable[[jax.Array], jax.Array], steepness: Any = 1) -> jax.Array:
    """x ⊙ gate(x) for a gate that shuts where steepness · x is −∞: there y is 0, and 0 · ∞ would be NaN."""
    finite = without_infinities(x)
    return jnp.where(jnp.isinf(x), jnp.where(steepness * x < 0, 0, x), finite * gate(finite))


def gated_slope(x: jax.Array, slope: jax.Array, steepness: Any = 1) -> jax.Array:
    """The slope of ``gated`` from that at the finite numbers: 0 and 1 at ±∞.

    Where the slope asks for the gate of the ``finite`` numbers, as forward does, a compiled step computes it once
    (``Gelu`` recomputes it on purpose, to save memory).
    """
    return jnp.where(jnp.isinf(x), jnp.where(steepness * x < 0, 0, 1), slope)
