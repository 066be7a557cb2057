"""A random rectangle on an image."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.layer import named_key


def rectangle(key: jax.Array, shape: tuple[int, ...], height: Any, width: Any) -> jax.Array:
    """Which pixels (H, W) lie in a rectangle of this height and width, integers that may be traced.

    Its centre (the pixel after the middle if a side is even) is a uniformly random pixel of the image, and the
    rectangle is clipped at the edges. So corners are covered less often than the middle, as in the original papers.
    """
    sides = []
    for name, size, extent in (("row", shape[0], height), ("column", shape[1], width)):
        extent = jnp.asarray(extent).astype(jnp.int32)
        first = jax.random.randint(named_key(key, name), (), 0, size, jnp.int32) - extent // 2
        places = jnp.arange(size, dtype=jnp.int32)
        sides.append((places >= first) & (places < first + extent))
    return sides[0][:, None] & sides[1][None, :]
