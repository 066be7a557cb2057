"""The next token, drawn from logits.

    z = (logits − max logits) / temperature,  p = softmax(z),  in the order of falling p, equal ones in that of tokens
    top_k    keeps the first k;  what is left is divided by its sum
    top_p    keeps token i if Σ_(j < i) p_j < top_p: the fewest that have top_p together, and always the first
    token    ~ what is left of p, divided by its sum;  with the temperature 0 the first of the order

In at least float32. Where the largest logit is not finite (one is NaN or +∞, or all are −∞) or an option is out of its
range, there is no such distribution, and the token is ``NO_TOKEN``.

Source: Fan, Lewis and Dauphin 2018 (top_k); Holtzman et al. 2020, §3.1 (top_p, the nucleus).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.layer import wide_dtype

NO_TOKEN = -1
"""Stands for a token that cannot be decided."""


class Sampling(NamedTuple):
    """The options, scalars that may be traced; ``None`` for one that is not used."""

    temperature: Any = None
    top_k: Any = None
    top_p: Any = None


def drawn_tokens(logits: jax.Array, keys: Any, how: Sampling | None) -> jax.Array:
    """One token (N,) of int32 for logits (N, V), each with its own key; the most likely ones without ``how``."""
    top = logits.max(-1)
    if how is None:
        return jnp.where(jnp.isfinite(top), _likeliest(logits), NO_TOKEN)
    wide = wide_dtype(logits.dtype)
    temperature = jnp.asarray(how.temperature, wide)
    z = (logits.astype(wide) - top.astype(wide)[:, None]) / jnp.where(temperature > 0, temperature, 1)
    token = jnp.where(temperature == 0, _likeliest(logits), _drawn(z, keys, how))
    possible = ~jnp.isnan(temperature)
    if how.top_k is not None:
        possible &= jnp.asarray(how.top_k) > 0
    if how.top_p is not None:
        possible &= ~jnp.isnan(jnp.asarray(how.top_p))
    return jnp.where(jnp.isfinite(top) & possible, token, NO_TOKEN)


def _drawn(z: jax.Array, keys: Any, how: Sampling) -> jax.Array:
    draw = jax.vmap(jax.random.categorical)
    if how.top_k is None and how.top_p is None:
        return draw(keys, z).astype(jnp.int32)
    order = jnp.argsort(z, axis=-1, stable=True, descending=True)
    kept = jnp.take_along_axis(z, order, -1)
    if how.top_k is not None:
        ranks = jax.lax.broadcasted_iota(jnp.int32, kept.shape, 1)
        kept = jnp.where(ranks < how.top_k, kept, -jnp.inf)
    if how.top_p is not None:
        p, least = jax.nn.softmax(kept), jnp.asarray(how.top_p, kept.dtype)
        before = jnp.cumsum(p, -1) - p
        kept = jnp.where((before < least) | (least >= 1), kept, -jnp.inf)  # rounded, all may have 1 before the last
    place = draw(keys, kept)
    return jnp.take_along_axis(order, place[:, None], -1)[:, 0].astype(jnp.int32)


def _likeliest(logits: jax.Array) -> jax.Array:
    return jnp.argmax(logits, -1).astype(jnp.int32)
