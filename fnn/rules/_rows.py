"""Rows of a matrix, dense or one-hot, and the products that a contribution is made of."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.rules._sums import over_blocks, wide


@functools.partial(jax.tree_util.register_dataclass, data_fields=["index"], meta_fields=["size"])
@dataclasses.dataclass(frozen=True)
class OneHot:
    """Rows (…, M, size) that are 1 at one ``index`` (…, M) each; 0 everywhere if it lies outside."""

    index: jax.Array
    size: int

    @property
    def valid(self) -> jax.Array:
        """Which indices lie inside."""
        return (self.index >= 0) & (self.index < self.size)

    def times(self, matrix: jax.Array) -> jax.Array:
        """The rows of a matrix (…, size, F) at the indices."""
        index = jnp.where(self.valid, self.index, 0)
        found = jnp.take_along_axis(matrix, index[..., None], -2)
        return jnp.where(self.valid[..., None], found, 0)

    def gram(self, other: "Rows") -> jax.Array:
        """The inner products of these rows with the others, (…, M, M')."""
        if isinstance(other, OneHot):
            same = self.index[..., :, None] == other.index[..., None, :]
            return same & self.valid[..., :, None]
        return self.times(jnp.swapaxes(other, -1, -2))


Rows = Any
"""Rows (…, M, D): an array, or ``OneHot``."""


def width_of(rows: Rows) -> int:
    """D."""
    return rows.size if isinstance(rows, OneHot) else rows.shape[-1]


def leading(rows: Rows) -> tuple[int, ...]:
    """The axes before M."""
    return rows.index.shape[:-1] if isinstance(rows, OneHot) else rows.shape[:-2]


def gram(one: Rows, other: Rows) -> jax.Array:
    """The inner products of all rows of two matrices of one width, (…, M, M')."""
    if isinstance(one, OneHot):
        return one.gram(other)
    if isinstance(other, OneHot):
        return jnp.swapaxes(other.gram(one), -1, -2)
    return jnp.einsum("...md,...nd->...mn", one, other, preferred_element_type=wide(one))


def gathered(rows: Rows, axis: str) -> Rows:
    """The rows of all members of a mapped axis, (…, N · M, D)."""
    if isinstance(rows, OneHot):
        index = lax.all_gather(rows.index, axis, axis=rows.index.ndim - 1, tiled=True)
        return dataclasses.replace(rows, index=index)
    return lax.all_gather(rows, axis, axis=rows.ndim - 2, tiled=True)


def times(rows: Rows, matrix: jax.Array) -> jax.Array:
    """The products of the rows with a matrix (…, D, F)."""
    if isinstance(rows, OneHot):
        return rows.times(matrix)
    return jnp.einsum("...md,...df->...mf", rows, matrix, preferred_element_type=wide(rows))


def added_up(hot: OneHot, rows: jax.Array) -> jax.Array:
    """The rows (…, M, F) at the same index added up, as many rows as before, in any order; without those outside."""

    def one(index: jax.Array, valid: jax.Array, rows: jax.Array) -> jax.Array:
        order = jnp.argsort(index)
        sorted_ = index[order]
        new = jnp.concatenate([jnp.zeros(1, jnp.int32), (sorted_[1:] != sorted_[:-1]).astype(jnp.int32)])
        kept = jnp.where(valid[:, None], rows, 0).astype(wide(rows))
        return jax.ops.segment_sum(kept[order], jnp.cumsum(new), len(index), indices_are_sorted=True)

    return over_blocks(one, 1)(hot.index, hot.valid, rows)
