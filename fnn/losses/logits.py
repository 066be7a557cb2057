"""Logits up to ±∞: what the losses share that apply a softmax or sigmoid themselves.

    log softmax(z) = z' − L',  z' = z − max z,  L' = log Σⱼ e^(z'ⱼ)

A logit of −∞ is an impossible class. A single logit of +∞ is a certain class: z' is 0 there and −∞ elsewhere, and L' is
0. With two of them L' is NaN, since neither is certain; in a row of −∞ alone the difference z' − L' is NaN.
"""

import jax
import jax.numpy as jnp
from jax import lax


def shifted(z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """z' and max z (…, 1); the shift, which is not differentiated, keeps the digits of large logits."""
    largest = lax.stop_gradient(z.max(-1, keepdims=True))
    largest = jnp.where(largest == -jnp.inf, 0, largest)
    return jnp.where(z == jnp.inf, 0, z - largest), largest


def log_sum_of(z: jax.Array, largest: jax.Array) -> jax.Array:
    """L' (…, 1) from z' and max z."""
    log_sum = jnp.log(jnp.exp(z).sum(-1, keepdims=True))  # the largest z' is 0: nothing overflows
    return jnp.where((largest == jnp.inf) & (log_sum > 0), jnp.nan, log_sum)


def log_softmax(z: jax.Array) -> jax.Array:
    """log softmax(z)."""
    z, largest = shifted(z)
    return z - log_sum_of(z, largest)


def shares(q: jax.Array, cost: jax.Array) -> jax.Array:
    """q ⊙ cost with 0 · ∞ = 0: an entry without probability costs nothing."""
    return q * jnp.where((q == 0) & jnp.isinf(cost), 0, cost)
