"""Pooling: the maximum or the mean of every window."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.corners import Kinks, ties
from fnn.errors import output_gradient
from fnn.guards.inputs import array_or_shape
from fnn.layer import Cache, Layer, OverTime, Params, State, Static, wide_dtype
from fnn.layers.conv._by_place import LARGEST, spread_into_views, sum_of_views
from fnn.layers.conv._windows import (
    Padding,
    Windows,
    check_padding,
    is_aligned,
    sizes,
    views,
    warn_of_images,
    windows,
    windows_within,
)
from fnn.sequences.lengths import apart, joined_again, valid_steps, without_lengths, without_padding


@dataclasses.dataclass(frozen=True)
class _Pool(Layer):
    window: int | tuple[int, ...]
    _: dataclasses.KW_ONLY
    strides: int | tuple[int, ...] | None = None
    padding: Padding = "VALID"

    @property
    def over_time(self) -> OverTime:  # type: ignore[override]
        return "lengths" if is_aligned(self.padding, self.window if self.strides is None else self.strides) else "mixed"

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return windows_within(lengths, self._windows((steps,)))

    def __post_init__(self) -> None:
        for name in ("window", "strides"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, sizes(name, getattr(self, name)))
        check_padding(self.padding)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        warn_of_images(self, "window", array_or_shape(without_lengths(x)))
        return {}, {}

    def _windows(self, sizes: tuple[int, ...]) -> Windows:
        w = windows(sizes, self.window, self.window if self.strides is None else self.strides, 1, self.padding)
        if any(max(pad) >= size for pad, size in zip(w.pads, w.window, strict=True)):
            raise ValueError(f"with padding {self.padding!r} some windows of {self.window} would hold only padding")
        return w

    def _given(self, x: Any) -> tuple[jax.Array, jax.Array | None]:
        x, lengths = image_or_sequences(x)
        if lengths is not None and self.over_time == "mixed":
            raise ValueError(
                "with padding='SAME' and strides, where windows begin depends on a sequence's padding; use 'VALID'"
            )
        return x, lengths

    def _within(self, y: jax.Array, lengths: jax.Array | None, shape: tuple[int, ...]) -> tuple[jax.Array, Cache]:
        """y with 0 past each sequence's outputs, and the cache entries for an x of this shape."""
        if lengths is None:
            return y, {"shape": Static(shape)}
        return without_padding(y, self.lengths_after(lengths, shape[1])), {"shape": Static(shape), "lengths": lengths}


def image_or_sequences(x: Any) -> tuple[jax.Array, jax.Array | None]:
    """x (N, spatial, …, C) and None, or sequences (N, T, C) with their padding set to 0, and their lengths."""
    x, lengths = apart(x)
    if x.ndim < 3:
        raise ValueError(f"expected an input (N, spatial, …, C), got the shape {x.shape}")
    return x, lengths


@dataclasses.dataclass(frozen=True)
class MaxPool(_Pool, name="max_pool"):
    """The maximum of every window; ``strides`` default to the window.

    Forward:   y[n, o, c] = max_k x[n, o·s + k − p, c],  k*[n, o, c] = the first k that attains it
    Backward:  dx[n, i, c] = Σ_(o: o·s + k* − p = i) dy[n, o, c]

    A tie sends its gradient to the first element (in row-major order); padding counts as −∞; NaN is the maximum.
    For ``(x, lengths)``, x (N, T, C), a window sees only the steps within the length, and each sequence has the same
    outputs as it would alone, followed by 0; the cache then has ``lengths``. There "SAME" with strides raises.

    Cache:   ``winner`` k* (N, *spatial', C), one byte an output for windows of up to 256; ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, *spatial', C), any floating dtype, kept

    Errors: ``ValueError`` for a window larger than the padded image, or one that could hold only padding.

    >>> MaxPool(2).apply({}, {}, jnp.arange(16.0).reshape(1, 4, 4, 1))[0].ravel()
    Array([ 5.,  7., 13., 15.], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, lengths = self._given(x)
        if lengths is not None:
            x = without_padding(x, lengths, -math.inf)
        w = self._windows(x.shape[1:-1])
        candidates = views(x, w, -math.inf)
        y = next(candidates)
        winner = jnp.zeros(y.shape, jnp.uint8 if math.prod(w.window) <= 256 else jnp.int32)
        for k, candidate in enumerate(candidates, start=1):
            # Strictly greater, so that the first of a tie stays; NaN compares false and needs its own test.
            better = (candidate > y) | (jnp.isnan(candidate) & ~jnp.isnan(y))
            y, winner = jnp.where(better, candidate, y), jnp.where(better, jnp.array(k, winner.dtype), winner)
        y, kept = self._within(y, lengths, x.shape)
        return y, state, {"winner": winner, **kept}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, Any]:
        shape, winner = cache["shape"].value, cache["winner"]
        dy = self._within(output_gradient(dy, winner.shape), cache.get("lengths"), shape)[0]
        w = self._windows(shape[1:-1])
        if w.strides == w.window and not any(map(any, w.pads)):
            return {}, joined_again(_to_winners(dy, winner, w), cache.get("lengths"))
        dx = functools.reduce(
            jnp.add, (_placed(jnp.where(winner == k, dy, 0), w, place) for k, place in enumerate(w.places))
        )
        return {}, joined_again(dx, cache.get("lengths"))

    def kinks_at(self, x: np.ndarray) -> Kinks:
        w = self._windows(x.shape[1:-1])
        padded = np.pad(x, ((0, 0), *w.pads, (0, 0)), constant_values=-np.inf)
        seen = np.lib.stride_tricks.sliding_window_view(padded, w.window, tuple(range(1, x.ndim - 1)))
        seen = seen[(slice(None), *(slice(None, None, stride) for stride in w.strides))]
        return ties(seen, tuple(range(x.ndim, seen.ndim)), "windows have a tie for the maximum")


def _placed(each: jax.Array, w: Windows, place: tuple[int, ...]) -> jax.Array:
    """The element at one place of every window, spread by the strides to its position in x, with 0 elsewhere."""
    pads = [
        (at - low, size + low - at - (out - 1) * stride - 1, stride - 1)
        for at, size, stride, (low, _), out in zip(place, w.sizes, w.strides, w.pads, w.out, strict=True)
    ]
    return lax.pad(each, jnp.zeros((), each.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


def _to_winners(dy: jax.Array, winner: jax.Array, w: Windows) -> jax.Array:
    """dx of windows side by side, where every element lies in one window: a selection, in one pass over dx."""
    rank, axes = len(w.window), range(len(w.window))
    within = tuple(2 + 2 * axis for axis in axes)  # (N, out, window, out, window, …, C)
    place: Any = 0
    for axis, size in zip(within, w.window, strict=True):
        shape = tuple(size if each == axis else 1 for each in range(2 * rank + 2))
        place = place * size + lax.broadcasted_iota(winner.dtype, shape, axis)
    winner, dy = (jnp.expand_dims(each, within) for each in (winner, dy))
    seen = [out * size for out, size in zip(w.out, w.window, strict=True)]
    dx = jnp.where(winner == place, dy, 0).reshape(len(dy), *seen, dy.shape[-1])
    rest = ((0, size - each, 0) for size, each in zip(w.sizes, seen, strict=True))
    return lax.pad(dx, jnp.zeros((), dx.dtype), [(0, 0, 0), *rest, (0, 0, 0)])


@dataclasses.dataclass(frozen=True)
class AvgPool(_Pool, name="avg_pool"):
    """The mean of every window, without padding; ``strides`` default to the window.

    Forward:   y[n, o, c] = (1 / m[o]) Σ_k x[n, o·s + k − p, c],  m[o] = the elements of window o inside the image
    Backward:  dx[n, i, c] = Σ_(o, k: o·s + k − p = i) dy[n, o, c] / m[o]

    For ``(x, lengths)``, x (N, T, C), m counts only the steps within the length, and each sequence has the same outputs
    as it would alone, followed by 0; the cache then has ``lengths``. There "SAME" with strides raises.

    Cache:   ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, *spatial', C), any floating dtype, kept

    Errors: ``ValueError`` for a window larger than the padded image, or one that could hold only padding.

    >>> AvgPool(2).apply({}, {}, jnp.arange(16.0).reshape(1, 4, 4, 1))[0].ravel()
    Array([ 2.5,  4.5, 10.5, 12.5], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, lengths = self._given(x)
        w = self._windows(x.shape[1:-1])
        total = _sums(x.astype(wide_dtype(x.dtype)), w)
        y, cache = self._within((total / _counts(w, total.dtype, lengths)).astype(x.dtype), lengths, x.shape)
        return y, state, cache

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, Any]:
        shape, lengths = cache["shape"].value, cache.get("lengths")
        w = self._windows(shape[1:-1])
        dy = self._within(output_gradient(dy, (shape[0], *w.out, shape[-1])), lengths, shape)[0]
        share = dy.astype(wide_dtype(dy.dtype))
        share = share / _counts(w, share.dtype, lengths)
        dx = _spread(share, w).astype(dy.dtype)
        return {}, joined_again(dx, cache.get("lengths"))


def _sums(x: jax.Array, w: Windows) -> jax.Array:
    """The sum of every window."""
    small = math.prod(w.window) <= LARGEST
    return sum_of_views(x, w) if small else _sum_windows(x, w.window, w.strides, w.pads)


def _spread(x: jax.Array, w: Windows) -> jax.Array:
    """The transpose: each number added to all elements of its window."""
    if math.prod(w.window) <= LARGEST:
        return spread_into_views(x, w)
    return _sum_windows(x, w.window, (1,) * len(w.window), w.adjoint_pads, spread=w.strides)


def _sum_windows(x: jax.Array, window: Any, strides: Any, pads: Any, *, spread: Any = None) -> jax.Array:
    zero = np.zeros((), x.dtype)  # with a traced zero JAX would not recognise a sum, and not differentiate it
    if spread is not None:
        between = ((low, high, stride - 1) for (low, high), stride in zip(pads, spread, strict=True))
        x, pads = lax.pad(x, jnp.asarray(zero), [(0, 0, 0), *between, (0, 0, 0)]), ((0, 0),) * len(pads)
    return lax.reduce_window(x, zero, lax.add, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def _counts(w: Windows, dtype: Any, lengths: jax.Array | None = None) -> jax.Array:
    """How many elements of each window lie inside the image, (1, *spatial', 1), or within the lengths, (N, T', 1).

    1 for a window past the end of its sequence, whose mean is not used.
    """
    if lengths is not None:
        within = valid_steps(lengths, w.sizes[0])[..., None].astype(dtype)
        return jnp.maximum(_sums(within, w), 1)
    counts = jnp.ones((1, *(1 for _ in w.out), 1), dtype)
    for axis, (size, window, stride, _, (low, _), out) in enumerate(zip(*w, w.out, strict=True), start=1):
        start = jnp.arange(out) * stride - low
        inside = jnp.minimum(start + window, size) - jnp.maximum(start, 0)
        shape = [1] * (len(w.out) + 2)
        shape[axis] = out
        counts = counts * inside.astype(dtype).reshape(shape)
    return counts
