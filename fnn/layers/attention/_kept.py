"""What attention keeps from step to step: the keys and values of the positions so far, and how many those are."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import describe, is_concrete, part

Kept = dict[str, jax.Array]
"""``key`` and ``value`` (N, length, kv_heads, d), and the ``position`` of the next input, an int32 scalar."""


def nothing_kept(shape: tuple[int, ...], dtype: Any) -> Kept:
    """Room for keys and values of this shape."""
    # Two separate arrays, so that both can be donated to jit.
    return {**{name: jnp.zeros(shape, dtype) for name in ("key", "value")}, "position": jnp.zeros((), jnp.int32)}


def features_of(params: Any, features: int | None, dtype: Any) -> tuple[int, Any]:
    """The number of features and the dtype of the inputs that the parameters are made for; without any, as given."""
    if params is not None:
        kernel = part(part(params, "key"), "kernel")
        return kernel.shape[0], kernel.dtype
    if features is None:
        raise TypeError("start needs the number of features, or the parameters: start(batch_size, length, features)")
    return features, dtype


def check_room(kept: Kept, x: jax.Array) -> None:
    """Raises unless the steps x (N, t, D) fit; inside a program it cannot for a position, see ``nan_past``."""
    position, length = kept["position"], kept["key"].shape[1]
    if kept["key"].dtype != x.dtype or kept["key"].shape[0] != x.shape[0]:
        raise ValueError(
            f"the carry was started for another batch size or dtype: {describe(kept['key'])} for {describe(x)}"
        )
    if x.shape[1] > length or (is_concrete(position) and int(position) + x.shape[1] > length):
        raise ValueError(f"the carry holds {length} positions, got {x.shape[1]} more at position {position}")


def with_next(kept: Kept, key: jax.Array, value: jax.Array) -> Kept:
    """What is kept after further keys and values (N, t, kv_heads, d)."""
    zero, position = jnp.zeros((), jnp.int32), kept["position"]
    new = {
        name: lax.dynamic_update_slice(kept[name], each, (zero, position, zero, zero))
        for name, each in (("key", key), ("value", value))
    }
    return {**new, "position": position + jnp.int32(key.shape[1])}


def nan_past(kept: Kept, y: jax.Array) -> jax.Array:
    """y, or NaN where more positions came than there is room for."""
    return jnp.where(kept["position"] > kept["key"].shape[1], jnp.nan, y)
