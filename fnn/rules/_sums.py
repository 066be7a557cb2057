"""Sums over the entries of arrays, in at least float32."""

from collections.abc import Callable
from typing import Any

import jax

from fnn.layer import wide_dtype


def inner(one: jax.Array, other: jax.Array) -> jax.Array:
    """Σ a b over all entries; one array may be boolean."""
    dtype = wide(other) if one.dtype == bool else wide(one)
    return (one.astype(dtype) * other.astype(dtype)).sum()


def scaled(x: jax.Array, c: jax.Array) -> jax.Array:
    """c x in the dtype of x, c a scalar."""
    return x * c.astype(x.dtype)


def square_of(x: jax.Array) -> jax.Array:
    """Σ x² over all entries."""
    return squares(x).sum()


def squares(x: jax.Array) -> jax.Array:
    """Σ x² over the last axis."""
    widened = x.astype(wide(x))
    return (widened * widened).sum(-1) if x.ndim else widened * widened


def wide(x: jax.Array) -> Any:
    """The dtype in which to sum entries of x."""
    return wide_dtype(x.dtype)


def over_blocks(function: Callable, rank: int) -> Callable:
    """The function, mapped over all leading axes of its arguments: those of the first before its last ``rank``."""

    def mapped(*arguments: jax.Array) -> Any:
        run = function
        for _ in range(arguments[0].ndim - rank):
            run = jax.vmap(run)
        return run(*arguments)

    return mapped
