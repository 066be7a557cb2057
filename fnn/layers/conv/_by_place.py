"""Sums over small windows, position by position of the window, where every channel stays by itself.

    sum_of_views       y[n, o, c] = Σ_k a[k, c] x[n, i, c]             over the positions k of the window at output o
    spread_into_views  y[n, i, c] = Σ_(o, k) a[k, c] x[n, o, c]        the transpose; in both i = o·s + k·d − p

A depthwise convolution is this sum, and so is an average pool, with a = 1. XLA fuses it into one loop; on a CPU its
grouped convolution is at least twenty times slower, and its window reduction over a dilated array five to ten times.
"""

import functools
import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layers.conv._windows import Windows, views

LARGEST = 64
"""Elements of a window up to which this is used: the program grows with them."""


def sum_of_views(x: jax.Array, w: Windows, weights: jax.Array | None = None) -> jax.Array:
    """From the image to the windows; ``weights`` (K, C) has a row for each position, and is 1 if not given."""
    return _weighted(views(x, w, 0), weights)


def spread_into_views(x: jax.Array, w: Windows, weights: jax.Array | None = None) -> jax.Array:
    """From the windows to the image, for one remainder r of the positions i modulo s at a time.

    These are i = m·s + r; they meet only the positions k of the window with k·d − p = r + q·s, at o = m − q. So nothing
    is added or multiplied with the zeros with which x would be dilated.
    """
    counts = tuple(-(-size // stride) for size, stride in zip(w.sizes, w.strides, strict=True))
    parts = []
    for remainder in itertools.product(*map(range, w.strides)):
        chosen, shifts = [], []
        for k, place in enumerate(w.places):
            off = [
                r + low - each * dilation
                for r, (low, _), each, dilation in zip(remainder, w.pads, place, w.dilation, strict=True)
            ]
            if not any(each % stride for each, stride in zip(off, w.strides, strict=True)):
                chosen.append(k)
                shifts.append([each // stride for each, stride in zip(off, w.strides, strict=True)])
        moved = (_shifted(x, shift, counts) for shift in shifts)
        own = None if weights is None else [weights[k] for k in chosen]
        parts.append(_weighted(moved, own) if chosen else jnp.zeros((len(x), *counts, x.shape[-1]), x.dtype))
    y = parts[0] if len(parts) == 1 else _interleaved(parts, w.strides)
    return y[(slice(None), *map(slice, w.sizes))]


def _shifted(x: jax.Array, shift: list[int], counts: tuple[int, ...]) -> jax.Array:
    """x at m + shift for m below ``counts``, and 0 outside."""
    pads = [(-low, low + count - size, 0) for low, count, size in zip(shift, counts, x.shape[1:-1], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


def _interleaved(parts: list[jax.Array], strides: tuple[int, ...]) -> jax.Array:
    """The array whose positions with each remainder modulo the strides are one of the parts, in row-major order."""
    samples, *counts, channels = parts[0].shape
    rank = len(counts)
    blocks = jnp.stack(parts).reshape(*strides, *parts[0].shape)
    order = (each for axis in range(rank) for each in (rank + 1 + axis, axis))
    blocks = blocks.transpose(rank, *order, 2 * rank + 1)
    return blocks.reshape(samples, *(m * s for m, s in zip(counts, strides, strict=True)), channels)


def _weighted(views: Iterable[jax.Array], weights: Iterable[jax.Array] | None) -> jax.Array:
    if weights is not None:
        views = (view * each.reshape(*(1,) * (view.ndim - 1), -1) for view, each in zip(views, weights, strict=True))
    return functools.reduce(jnp.add, views)
