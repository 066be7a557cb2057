"""A sketch of how the numbers of two labels are ordered relative to each other: cells along the floating-point numbers.

A floating-point number has a key, an unsigned integer of as many bits; keys are ordered like the numbers. A cell
records the ``first`` and ``last`` key in it, and the sums of the weights of both labels. The cells of a sketch do not
overlap: of two numbers in different cells we know which is larger, and in a cell with a single key all are equal.

To merge two sketches, their cells are sorted, and overlapping cells become one. If there are then more cells than fit,
neighbours are merged along a binary tree: a node is a range of keys that share all but their last bits, and two
neighbours meet in the smallest such range that contains both. The ``capacity − 1`` nodes with the largest share of both
labels stay split; the cells in any other node become one. So cells are narrow where there are many numbers, at any
offset and scale, and hold about equal shares. The tree is the same for all sketches, so that the cells of one do not
straddle those of another.

Cells whose sums are zero are empty slots. All shapes are static.

Source: after Shrivastava et al. 2004, the q-digest, which counts in the nodes of this tree.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fnn.metrics.sums import Sum, two_sum

SHARES = 2**22
"""Shares are compared as integers, so that a node is never lighter than one below it."""


class Cells(NamedTuple):
    """The first and last key of every cell, in order, and the sums of the weights of both labels in it."""

    first: jax.Array
    last: jax.Array
    negative: Sum
    positive: Sum


def key_of(numbers: jax.Array) -> jax.Array:
    """The keys of floating-point numbers; −0 has the key of 0."""
    numbers = jnp.where(numbers == 0, 0, numbers)
    bits = jax.lax.bitcast_convert_type(numbers, _unsigned(numbers.dtype))
    sign = jnp.full_like(bits, 1 << (_width(bits) - 1))
    return jnp.where(bits < sign, bits | sign, ~bits)


def cells_of(numbers: jax.Array, positive: jax.Array, weights: jax.Array, capacity: int) -> Cells:
    """The cells of numbers (N,), some of them ``positive``; numbers of weight 0 may be anything."""
    key = jnp.where(weights == 0, jnp.zeros((), _unsigned(numbers.dtype)), key_of(numbers))
    of_each = [Sum.of(jnp.where(which, weights, 0)) for which in (~positive, positive)]
    return _compressed(Cells(key, key, *of_each), capacity)


def joined(one: Cells, other: Cells) -> Cells:
    """The cells of both, in as many cells as each has."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), one, other)
    return _compressed(both, len(one.first))


@functools.partial(jax.jit, static_argnames="capacity")
def _compressed(cells: Cells, capacity: int) -> Cells:
    cells, count = _sorted(cells), len(cells.first)
    reached = jax.lax.cummax(cells.last)
    within = cells.first[1:] <= reached[:-1]
    # The node that contains each cell and the one before it, and the share of all cells that overlap it.
    bits = _bits(cells.first[1:] ^ reached[:-1])
    low, high = cells.first[1:] & ~_low_bits(cells.first[1:], bits), cells.first[1:] | _low_bits(cells.first[1:], bits)
    shares = _cumulated(_shares(cells))
    share = shares[jnp.searchsorted(cells.first, high, side="right")] - shares[jnp.searchsorted(reached, low)]
    # A node outweighs those below it: they hold no more and have fewer bits.
    weight = jnp.where(within, -1, share * 128 + bits)
    begins = jnp.zeros(count, bool).at[0].set(True)
    if count > 1:
        heaviest = jax.lax.top_k(weight, min(capacity, count) - 1)[1]
        begins = begins.at[1 + heaviest].set(weight[heaviest] >= 0)
    start = jnp.nonzero(begins, size=capacity, fill_value=count)[0]
    stop = jnp.append(start[1:], count)
    negative, positive = (_sums(sum, start, stop) for sum in (cells.negative, cells.positive))
    return Cells(jnp.take(cells.first, start, mode="clip"), reached[stop - 1], negative, positive)


def _sorted(cells: Cells) -> Cells:
    """The cells by first key, empty slots last."""
    empty = (cells.negative.high == 0) & (cells.positive.high == 0)
    first, last = (jnp.where(empty, ~jnp.zeros_like(key), key) for key in (cells.first, cells.last))
    order = jnp.argsort(first)
    return jax.tree.map(lambda leaf: leaf[order], cells._replace(first=first, last=last))


def _shares(cells: Cells) -> jax.Array:
    """The share of both labels in every cell, as integers that add up to about ``SHARES``."""
    total = jnp.zeros_like(cells.negative.high)
    for sum in (cells.negative.high, cells.positive.high):
        total = total + sum / jnp.where(sum.sum() > 0, sum.sum(), 1)
    return jnp.round(jnp.where(jnp.isfinite(total), total, 0) * (SHARES // 2)).astype(jnp.int32)


def _sums(sum: Sum, begins: jax.Array, ends: jax.Array) -> Sum:
    """The sums over ranges of neighbouring cells, as differences of running sums.

    Every number is split into a multiple of a grid, chosen by the total so that these add up without rounding, and a
    remainder; the two are summed separately.
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


def _low_bits(key: jax.Array, count: jax.Array) -> jax.Array:
    """A key with the last ``count`` bits set."""
    return ~jax.lax.shift_left(~jnp.zeros_like(key), count.astype(key.dtype))  # by its width: 0


def _bits(key: jax.Array) -> jax.Array:
    """The bit length of a key, without leading zeros."""
    return _width(key) - jax.lax.clz(key).astype(jnp.int32)
