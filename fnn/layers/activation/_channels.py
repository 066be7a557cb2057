"""What activations with a parameter for each channel share."""

from typing import Any

import jax

from fnn.layer import wide_dtype


def channels(x: Any) -> tuple[int, ...]:
    """The shape of the parameter: (C,)."""
    if x.ndim < 1:
        raise ValueError("expected an input (…, C), got a scalar")
    return (x.shape[-1],)


def wide_beside(x: jax.Array, parameter: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x and the parameter beside it, (1, …, C), in at least float32."""
    wide = wide_dtype(x.dtype)
    return x.astype(wide), parameter.astype(wide).reshape((1,) * (x.ndim - 1) + parameter.shape)
