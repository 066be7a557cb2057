"""Pooling: the maximum or the mean of every window, or the mean of the whole image."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import floating_array
from fnn.layer import Cache, Layer, Params, State, Static, wide_dtype
from fnn.layers.windows import Padding, Windows, check_padding, sizes, windows


@dataclasses.dataclass(frozen=True)
class _Pool(Layer):
    window: int | tuple[int, ...]
    _: dataclasses.KW_ONLY
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"

    def __post_init__(self) -> None:
        for name in ("window", "strides"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, sizes(name, getattr(self, name)))
        check_padding(self.padding)

    def _windows(self, sizes: tuple[int, ...]) -> Windows:
        w = windows(sizes, self.window, self.window if self.strides is None else self.strides, 1, self.padding)
        if any(max(pad) >= size for pad, size in zip(w.pads, w.window, strict=True)):
            raise ValueError(f"padding {self.padding!r} makes windows of {self.window} that hold padding alone")
        return w


def _image(x: Any) -> jax.Array:
    x = floating_array(x)
    if x.ndim < 3:
        raise ValueError(f"expected an input (N, spatial, …, C), got the shape {x.shape}")
    return x


@dataclasses.dataclass(frozen=True)
class MaxPool(_Pool, name="max_pool"):
    """The maximum of every window; ``strides`` default to the window.

    Forward:   y[n, o, c] = max_k x[n, o·s + k − p, c],  k*[n, o, c] = the first k that attains it
    Backward:  dx[n, i, c] = Σ_(o: o·s + k* − p = i) dy[n, o, c]

    A tie sends its gradient to the first element (in row order); padding never wins over a number above −∞; a NaN wins.

    Cache:   ``winner`` k* (N, *spatial', C), one byte an output for windows of up to 256; ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, *spatial', C), any floating dtype, kept

    Errors: ``ValueError`` for a window larger than the padded image, or that could hold padding alone.

    >>> MaxPool(2).apply({}, {}, jnp.arange(16.0).reshape(1, 4, 4, 1))[0].ravel()
    Array([ 5.,  7., 13., 15.], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = _image(x)
        w = self._windows(x.shape[1:-1])
        padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), [(0, 0, 0), *((*pad, 0) for pad in w.pads), (0, 0, 0)])
        slices = (lax.slice(padded, *limits) for limits in _slices(w, padded.shape))
        y = next(slices)
        winner = jnp.zeros(y.shape, jnp.uint8 if math.prod(w.window) <= 256 else jnp.int32)
        for k, candidate in enumerate(slices, start=1):
            # Strictly greater, so that the first of equals stays; a NaN compares as nothing and must win by name.
            better = (candidate > y) | (jnp.isnan(candidate) & ~jnp.isnan(y))
            y, winner = jnp.where(better, candidate, y), jnp.where(better, jnp.array(k, winner.dtype), winner)
        return y, state, {"winner": winner, "shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        shape, winner = cache["shape"].value, cache["winner"]
        w = self._windows(shape[1:-1])
        dx = jnp.zeros(shape, dy.dtype)
        for k, place in enumerate(itertools.product(*map(range, w.window))):
            # The k-th element of every window, spread out by the strides to where it stands in x.
            pads = [
                (each - low, size + low - each - (out - 1) * stride - 1, stride - 1)
                for each, size, stride, (low, _), out in zip(place, w.sizes, w.strides, w.pads, w.out, strict=True)
            ]
            dx = dx + lax.pad(jnp.where(winner == k, dy, 0), jnp.zeros((), dy.dtype), [(0, 0, 0), *pads, (0, 0, 0)])
        return {}, dx


def _slices(w: Windows, padded: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """The limits of the slice that holds the k-th element of every window, for each k in row order."""
    strides = (1, *w.strides, 1)
    for place in itertools.product(*map(range, w.window)):
        ends = (k + (out - 1) * stride + 1 for k, out, stride in zip(place, w.out, w.strides, strict=True))
        yield (0, *place, 0), (padded[0], *ends, padded[-1]), strides


@dataclasses.dataclass(frozen=True)
class AvgPool(_Pool, name="avg_pool"):
    """The mean of every window; padding is not counted; ``strides`` default to the window.

    Forward:   y[n, o, c] = (1 / m[o]) Σ_k x[n, o·s + k − p, c],  m[o] = the elements of window o inside the image
    Backward:  dx[n, i, c] = Σ_(o, k: o·s + k − p = i) dy[n, o, c] / m[o]

    Cache:   ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, *spatial', C), any floating dtype, kept

    Errors: ``ValueError`` for a window larger than the padded image, or that could hold padding alone.

    >>> AvgPool(2).apply({}, {}, jnp.arange(16.0).reshape(1, 4, 4, 1))[0].ravel()
    Array([ 2.5,  4.5, 10.5, 12.5], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = _image(x)
        w = self._windows(x.shape[1:-1])
        total = _sum_windows(x.astype(wide_dtype(x.dtype)), w.window, w.strides, w.pads)
        return (total / _counts(w, total.dtype)).astype(x.dtype), state, {"shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        w = self._windows(cache["shape"].value[1:-1])
        share = dy.astype(wide_dtype(dy.dtype))
        share = share / _counts(w, share.dtype)
        return {}, _sum_windows(share, w.window, (1,) * len(w.window), w.adjoint_pads, spread=w.strides).astype(
            dy.dtype
        )


def _sum_windows(x: jax.Array, window: Any, strides: Any, pads: Any, *, spread: Any = None) -> jax.Array:
    return lax.reduce_window(
        x,
        np.zeros((), x.dtype),  # a traced zero would hide from JAX that this is a sum, which it can differentiate
        lax.add,
        (1, *window, 1),
        (1, *strides, 1),
        ((0, 0), *pads, (0, 0)),
        base_dilation=None if spread is None else (1, *spread, 1),
    )


def _counts(w: Windows, dtype: Any) -> jax.Array:
    """How many elements of each window lie inside the image, (1, *spatial', 1)."""
    counts = jnp.ones((1, *(1 for _ in w.out), 1), dtype)
    for axis, (size, window, stride, _, (low, _), out) in enumerate(zip(*w, w.out, strict=True), start=1):
        start = jnp.arange(out) * stride - low
        inside = jnp.minimum(start + window, size) - jnp.maximum(start, 0)
        shape = [1] * (len(w.out) + 2)
        shape[axis] = out
        counts = counts * inside.astype(dtype).reshape(shape)
    return counts


@dataclasses.dataclass(frozen=True)
class GlobalAvgPool(Layer, name="global_avg_pool"):
    """The mean over all spatial axes.

    Forward:   y[n, c] = (1/m) Σ_i x[n, i, c],  m = the number of places
    Backward:  dx[n, i, c] = dy[n, c] / m

    Cache:   ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, C), any floating dtype, kept

    >>> GlobalAvgPool().apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0]
    Array([[1.5]], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = _image(x)
        return x.mean(tuple(range(1, x.ndim - 1))), state, {"shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        shape = cache["shape"].value
        share = dy / math.prod(shape[1:-1])
        return {}, jnp.broadcast_to(share.reshape(share.shape[0], *(1 for _ in shape[1:-1]), share.shape[-1]), shape)
