"""Pooling: the maximum or the mean of every window, or of the whole image."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import floating_array, output_gradient
from fnn.layer import Cache, Layer, Params, State, Static, wide_dtype
from fnn.layers.windows import Padding, Windows, check_padding, sizes, views, warn_of_images, windows


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

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        warn_of_images(self, "window", x)
        return {}, {}

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
        candidates = views(x, w, -math.inf)
        y = next(candidates)
        winner = jnp.zeros(y.shape, jnp.uint8 if math.prod(w.window) <= 256 else jnp.int32)
        for k, candidate in enumerate(candidates, start=1):
            # Strictly greater, so that the first of equals stays; a NaN compares as nothing and must win by name.
            better = (candidate > y) | (jnp.isnan(candidate) & ~jnp.isnan(y))
            y, winner = jnp.where(better, candidate, y), jnp.where(better, jnp.array(k, winner.dtype), winner)
        return y, state, {"winner": winner, "shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        shape, winner = cache["shape"].value, cache["winner"]
        dy = output_gradient(dy, winner.shape)
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
        samples, *sizes, channels = cache["shape"].value
        w = self._windows(tuple(sizes))
        dy = output_gradient(dy, (samples, *w.out, channels))
        share = dy.astype(wide_dtype(dy.dtype))
        share = share / _counts(w, share.dtype)
        return {}, _sum_windows(share, w.window, (1,) * len(w.window), w.adjoint_pads, spread=w.strides).astype(
            dy.dtype
        )


def _sum_windows(x: jax.Array, window: Any, strides: Any, pads: Any, *, spread: Any = None) -> jax.Array:
    zero = np.zeros((), x.dtype)  # a traced zero would hide from JAX that this is a sum, which it can differentiate
    if spread is not None:
        between = ((low, high, stride - 1) for (low, high), stride in zip(pads, spread, strict=True))
        x, pads = lax.pad(x, jnp.asarray(zero), [(0, 0, 0), *between, (0, 0, 0)]), ((0, 0),) * len(pads)
    return lax.reduce_window(x, zero, lax.add, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


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
        samples, channels = output_gradient(dy, (shape[0], shape[-1])).shape
        share = dy / math.prod(shape[1:-1])
        return {}, jnp.broadcast_to(share.reshape(samples, *(1 for _ in shape[1:-1]), channels), shape)


@dataclasses.dataclass(frozen=True)
class GlobalMaxPool(Layer, name="global_max_pool"):
    """The maximum over all spatial axes.

    Forward:   y[n, c] = max_i x[n, i, c],  i*[n, c] = the first i that attains it
    Backward:  dx[n, i, c] = dy[n, c] where i = i*[n, c], else 0

    A tie sends its gradient to the first element (in row order); a NaN wins, the first of several.

    Cache:   ``winner`` i* (N, C), counted in row order; ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, C), any floating dtype, kept

    >>> GlobalMaxPool().apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0]
    Array([[3.]], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = _image(x)
        places = x.reshape(x.shape[0], -1, x.shape[-1])
        winner = lax.argmax(places, 1, jnp.int32)
        y = jnp.take_along_axis(places, winner[:, None], axis=1, mode="promise_in_bounds")[:, 0]
        return y, state, {"winner": winner, "shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        winner, shape = cache["winner"], cache["shape"].value
        dy = output_gradient(dy, winner.shape)
        place = lax.broadcasted_iota(winner.dtype, (1, math.prod(shape[1:-1]), 1), 1)
        return {}, jnp.where(place == winner[:, None], dy[:, None], 0).reshape(shape)
