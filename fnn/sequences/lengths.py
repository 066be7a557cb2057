"""The lengths of sequences (N, T, …) padded to one T: which steps count, and which are padding.

Steps past a length are padding. Padding may hold anything, even NaN: it is replaced before any arithmetic. A length
outside [0, T] raises if its value is known; inside a program its sequence becomes NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, floating_array, is_concrete, is_floating


def checked_lengths(lengths: Any, samples: int, steps: int) -> jax.Array:
    """Returns the lengths (N,) of N sequences of T steps in a dtype that can count to T, or raises."""
    if lengths is None or isinstance(lengths, tuple | list | dict):
        raise TypeError(f"expected integer lengths ({samples},), got {describe(lengths)}")
    lengths = jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(f"expected integer lengths, got {describe(lengths)}; a mask is not a length: write mask.sum(1)")
    if lengths.shape != (samples,):
        raise ValueError(f"expected one length a sequence, ({samples},), got {describe(lengths)}")
    if is_concrete(lengths):
        low, high = int(np.asarray(lengths).min()), int(np.asarray(lengths).max())
        if low < 0 or high > steps:
            raise ValueError(
                f"lengths lie in [0, {steps}], got values from {low} to {high}; integers that are not lengths need a"
                f" second axis, (N, 1)"
            )
    return widened(lengths)


def widened(lengths: Any) -> Any:
    """Lengths, an array or its shape, in a dtype that can count to T: 8 bits are too few."""
    if lengths.dtype.itemsize >= 4:
        return lengths
    if isinstance(lengths, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(lengths.shape, jnp.int32)
    return lengths.astype(jnp.int32)


def lengths_of(x: Any) -> Any:
    """The lengths of ``(x, lengths)`` or ``(x, lengths, carry)``, arrays or shapes; None if x is anything else."""
    if type(x) is not tuple or len(x) not in (2, 3):
        return None
    first, second = x[:2]
    if not all(hasattr(each, "shape") and hasattr(each, "dtype") for each in (first, second)):
        return None
    rank = 3 if is_floating(first) else 2 if jnp.issubdtype(first.dtype, jnp.integer) else -1
    return second if len(first.shape) == rank and is_lengths(second) else None


def is_lengths(x: Any) -> bool:
    """Whether x could be the lengths of sequences: integers (N,)."""
    return hasattr(x, "dtype") and len(x.shape) == 1 and jnp.issubdtype(x.dtype, jnp.integer)


def without_lengths(x: Any) -> Any:
    """The x of ``(x, lengths)``, arrays or shapes; anything else unchanged."""
    return x if lengths_of(x) is None else x[0]


def apart(x: Any) -> tuple[jax.Array, jax.Array | None]:
    """Splits x or ``(x, lengths)``: x (N, …) and None, or x (N, T, C) with padding set to 0 and the lengths (N,)."""
    if lengths_of(x) is None or len(x) != 2:
        return floating_array(x), None
    values = floating_array(x[0])
    lengths = checked_lengths(x[1], *values.shape[:2])
    return without_padding(values, lengths), lengths


def joined_again(dx: Any, lengths: jax.Array | None) -> Any:
    """The gradient of the input of ``apart``: dx if there are no lengths, else (dx with 0 past them, None)."""
    if lengths is None:
        return dx
    return (None if dx is None else without_padding(dx, lengths)), None


def impossible(lengths: jax.Array, steps: int) -> jax.Array:
    """Which lengths lie outside [0, T], (N,), for programs, where it cannot raise."""
    return (lengths < 0) | (lengths > steps)


def valid_steps(lengths: jax.Array, steps: int) -> jax.Array:
    """Which steps are not padding, (N, T)."""
    return jnp.arange(steps, dtype=lengths.dtype).reshape(1, -1) < lengths.reshape(-1, 1)


def without_padding(x: jax.Array, lengths: jax.Array, fill: float = 0.0) -> jax.Array:
    """x (N, T, …) with padding replaced by ``fill``; a floating sequence with an impossible length becomes NaN."""
    wide = (slice(None), slice(None), *(None,) * (x.ndim - 2))
    kept = jnp.where(valid_steps(lengths, x.shape[1])[wide], x, jnp.asarray(fill, x.dtype))
    if is_concrete(lengths) or not is_floating(x):
        return kept
    return jnp.where(impossible(lengths, x.shape[1]).reshape(-1, *(1,) * (x.ndim - 1)), jnp.nan, kept).astype(x.dtype)
