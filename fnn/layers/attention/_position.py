"""The carry of layers whose output depends on the position of a step: the number of steps before it."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import floating_array


def first_position() -> dict[str, jax.Array]:
    """``position`` 0, an int32 scalar."""
    return {"position": jnp.zeros((), jnp.int32)}


def next_position(carry: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """The position after this one."""
    return {"position": carry["position"] + jnp.int32(1)}


def one_step(x: Any, rank: int, form: str) -> jax.Array:
    """Returns the input of one step, or raises unless it has that many axes."""
    x = floating_array(x)
    if x.ndim != rank:
        raise ValueError(f"expected the input of one step {form}, got the shape {x.shape}")
    return x
