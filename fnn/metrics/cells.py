"""A sketch of how the numbers of two labels lie among each other: cells in the order of the floating numbers.

A floating number has a key, a whole number of as many bits, and keys are in the order of the numbers. A cell is a
stretch of keys that share all but their last ``level`` bits (0: a single number), with the sums of the weights of both
labels in it. The cells of a sketch do not overlap: which of two numbers in different cells is larger is known exactly.

Two sketches are put together by sorting their cells. A cell that lies within another becomes a part of it; two
stretches of this kind lie apart, or one within the other. The cells are then the leaves of a tree, whose nodes are the
least stretches around several. Where there are more cells than room, the ``capacity − 1`` nodes that hold the largest
share of both labels stay divided, and each of the others becomes one cell. So cells are narrow where the numbers are,
whatever their offset and scale, and hold about equal shares.

Sums of zeros are no cells. All shapes are static.

Source: Shrivastava et al. 2004, the q-digest, whose stretches these are.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.metrics.sums import Sum, two_sum

SHARES = 2**22
"""The shares of cells are compared in whole numbers, so that a node is never lighter than one below it."""


class Cells(NamedTuple):
    """``key`` and ``level`` of every cell, in order, and the sums of the weights of its labels."""

    key: jax.Array
    level: jax.Array
    negative: Sum
    positive: Sum


def key_of(numbers: jax.Array) -> jax.Array:
    """The keys of floating numbers; −0 has that of 0."""
    numbers = jnp.where(numbers == 0, 0, numbers)
    bits = jax.lax.bitcast_convert_type(numbers, _unsigned(numbers.dtype))
    sign = _shifted(jnp.ones_like(bits), _width(bits) - 1)
    return jnp.where(bits < sign, bits | sign, ~bits)


def cells_of(numbers: jax.Array, positive: jax.Array, weights: jax.Array, capacity: int) -> Cells:
    """Those of numbers (N,), of which some are ``positive``; numbers that weigh nothing may be anything."""
    key = jnp.where(weights == 0, jnp.zeros((), _unsigned(numbers.dtype)), key_of(numbers))
    negative, positive = (Sum.of(jnp.where(which, weights, 0)) for which in (~positive, positive))
    return _compressed(Cells(key, jnp.zeros(key.shape, jnp.int32), negative, positive), capacity)


def joined(one: Cells, other: Cells) -> Cells:
    """Those of both, as many as before."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), one, other)
    return _compressed(both, len(one.key))


@functools.partial(jax.jit, static_argnames="capacity")
def _compressed(cells: Cells, capacity: int) -> Cells:
    cells, count = _sorted(cells), len(cells.key)
    # Between neighbours: whether one lies within the other (or both are the same), and the level of their node.
    ends = cells.key | _low_bits(cells.key, cells.level)
    within = cells.key[1:] <= jax.lax.cummax(ends)[:-1]
    node = _bits(cells.key[1:] ^ cells.key[:-1])
    first = _without(cells.key[1:], node)
    start = jnp.searchsorted(cells.key, first)
    stop = jnp.searchsorted(cells.key, first | _low_bits(first, node), side="right")
    shares = _cumulated(_shares(cells))
    weight = (shares[stop] - shares[start]) * 128 + node
    # As many nodes as there is room for stay apart. A node is heavier than those below it, so cells stay stretches.
    weight = jnp.where(within, -1, weight)
    apart = jnp.zeros(count, bool).at[0].set(True)
    if count > 1:
        kept = jax.lax.top_k(weight, min(capacity, count) - 1)[1]
        apart = apart.at[1 + kept].set(True) & jnp.concatenate([apart[:1], ~within])
    begins = jnp.nonzero(apart, size=capacity, fill_value=count)[0]
    ends_before = jnp.append(begins[1:], count)
    levels = jnp.maximum(cells.level, jnp.append(jnp.zeros((1,), node.dtype), jnp.where(apart[1:], 0, node)))
    group = jnp.clip(jnp.cumsum(apart) - 1, 0, capacity - 1)
    level = jnp.zeros(capacity, jnp.int32).at[group].max(levels)
    key = _without(jnp.take(cells.key, begins, mode="fill", fill_value=0), level)
    negative, positive = (_sums(sum, begins, ends_before) for sum in (cells.negative, cells.positive))
    return Cells(key, level, negative, positive)


def _sorted(cells: Cells) -> Cells:
    """In the order of their keys, those around others before these; what is no cell comes last."""
    empty = (cells.negative.high == 0) & (cells.positive.high == 0)
    key = jnp.where(empty, ~jnp.zeros_like(cells.key), cells.key)
    level = jnp.where(empty, 0, cells.level)
    order = jnp.lexsort((-level, key))
    return jax.tree.map(lambda leaf: leaf[order], cells._replace(key=key, level=level))


def _shares(cells: Cells) -> jax.Array:
    """The share of both labels in every cell, as whole numbers that add up to about ``SHARES``; at least 1."""
    total = jnp.zeros_like(cells.negative.high)
    for sum in (cells.negative.high, cells.positive.high):
        total = total + sum / jnp.where(sum.sum() > 0, sum.sum(), 1)
    return jnp.round(jnp.where(jnp.isfinite(total), total, 0) * (SHARES // 2)).astype(jnp.int32)


def _sums(sum: Sum, begins: jax.Array, ends: jax.Array) -> Sum:
    """The sums over stretches of neighbours, as differences of running ones.

    Of every number the multiple of a grid is summed, without rounding since the grid is that of the total, and then
    what is left.
    """
    total = sum.high.sum()
    info = jnp.finfo(total.dtype)
    near = jax.lax.reduce_precision(total, exponent_bits=info.nexp, mantissa_bits=0)  # the nearest power of two
    grid = 2 * info.eps * jax.lax.stop_gradient(jnp.where(near > 0, near, 1))
    whole = jnp.round(sum.high / grid) * grid
    parts = (_cumulated(part) for part in (whole, (sum.high - whole) + sum.low))
    return Sum(*two_sum(*(part[ends] - part[begins] for part in parts)))


def _cumulated(numbers: jax.Array) -> jax.Array:
    return jnp.append(jnp.zeros_like(numbers[:1]), jnp.cumsum(numbers, dtype=numbers.dtype))


# ---- keys


def _unsigned(dtype: jnp.dtype) -> jnp.dtype:
    return jnp.dtype(f"uint{8 * jnp.dtype(dtype).itemsize}")


def _width(key: jax.Array) -> int:
    return 8 * key.dtype.itemsize


def _shifted(key: jax.Array, level: jax.Array | int) -> jax.Array:
    return jax.lax.shift_left(key, jnp.full(key.shape, level, key.dtype))  # by its width: 0


def _low_bits(key: jax.Array, level: jax.Array) -> jax.Array:
    """The last ``level`` bits set."""
    return ~jax.lax.shift_left(~jnp.zeros_like(key), level.astype(key.dtype))


def _without(key: jax.Array, level: jax.Array) -> jax.Array:
    return key & ~_low_bits(key, level)


def _bits(key: jax.Array) -> jax.Array:
    """How many bits a key has, without the zeros before them."""
    return _width(key) - jax.lax.clz(key).astype(jnp.int32)
