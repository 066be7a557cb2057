"""The lengths of sequences (N, T, …) that were filled up to one T: which steps count, and which are padding.

What stands past a length is padding. It may hold anything, NaN included: it is replaced before it meets any arithmetic.
A length outside [0, T] raises where it can be looked at; inside a program its sequence becomes NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, floating_array, is_concrete, is_floating


def checked_lengths(lengths: Any, samples: int, steps: int) -> jax.Array:
    """Returns the lengths (N,) of N sequences of T steps as an array that can count up to T, or raises."""
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
                f"lengths lie in [0, {steps}], got values from {low} to {high}; integers that are no lengths are given"
                f" a second axis, (N, 1)"
            )
    return widened(lengths)


def widened(lengths: Any) -> Any:
    """Lengths, an array or its shape, in a dtype that can count up to T: 8 bits cannot."""
    if lengths.dtype.itemsize >= 4:
        return lengths
    if isinstance(lengths, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(lengths.shape, jnp.int32)
    return lengths.astype(jnp.int32)


def apart(x: Any) -> tuple[jax.Array, jax.Array | None]:
    """x (N, …) and no lengths, or x (N, T, C) with its padding at 0 and the lengths (N,), of x or ``(x, lengths)``."""
    if not isinstance(x, tuple) or not _are_sequences(x):
        return floating_array(x), None
    values = floating_array(x[0])
    lengths = checked_lengths(x[1], *values.shape[:2])
    return without_padding(values, lengths), lengths


def _are_sequences(x: tuple) -> bool:
    typed = len(x) == 2 and all(hasattr(each, "dtype") for each in x)
    return typed and x[0].ndim == 3 and jnp.issubdtype(x[1].dtype, jnp.integer)


def impossible(lengths: jax.Array, steps: int) -> jax.Array:
    """Which lengths lie outside [0, T], (N,): inside a program that cannot be raised."""
    return (lengths < 0) | (lengths > steps)


def valid_steps(lengths: jax.Array, steps: int) -> jax.Array:
    """Which steps are none of padding, (N, T)."""
    return jnp.arange(steps, dtype=lengths.dtype).reshape(1, -1) < lengths.reshape(-1, 1)


def without_padding(x: jax.Array, lengths: jax.Array, fill: float = 0.0) -> jax.Array:
    """x (N, T, …) with ``fill`` in the place of its padding, and NaN (of floats) in one of an impossible length."""
    wide = (slice(None), slice(None), *(None,) * (x.ndim - 2))
    kept = jnp.where(valid_steps(lengths, x.shape[1])[wide], x, jnp.asarray(fill, x.dtype))
    if is_concrete(lengths) or not is_floating(x):
        return kept
    return jnp.where(impossible(lengths, x.shape[1]).reshape(-1, *(1,) * (x.ndim - 1)), jnp.nan, kept).astype(x.dtype)
