"""Pooling over the whole image, or over all steps of a sequence."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.corners import Kinks, ties
from fnn.errors import is_concrete, output_gradient
from fnn.layer import Cache, Layer, Params, State, Static, wide_dtype
from fnn.layers.pool.windowed import image_or_sequences
from fnn.sequences.lengths import joined_again, without_padding


@dataclasses.dataclass(frozen=True)
class _GlobalPool(Layer):
    """For ``(x, lengths)``, x (N, T, C), the steps within the lengths are pooled, and the cache has ``lengths``."""

    over_time = "lengths"

    def lengths_after(self, lengths: Any, steps: int) -> None:
        return None

    def _given(self, x: Any) -> tuple[jax.Array, jax.Array | None, Cache]:
        x, lengths = image_or_sequences(x)
        if lengths is None:
            return x, None, {"shape": Static(x.shape)}
        if is_concrete(lengths) and not np.asarray(lengths).all():
            raise ValueError(f"an empty sequence has no mean and no maximum, got the lengths {lengths.tolist()}")
        return x, lengths, {"shape": Static(x.shape), "lengths": lengths}


@dataclasses.dataclass(frozen=True)
class GlobalAvgPool(_GlobalPool, name="global_avg_pool"):
    """The mean over all spatial axes.

    Forward:   y[n, c] = (1/m) Σ_i x[n, i, c],  m = the number of positions
    Backward:  dx[n, i, c] = dy[n, c] / m

    Cache:   ``shape`` Static, of x; ``lengths`` if given
    Shapes:  (N, *spatial, C) → (N, C), any floating dtype, kept; for ``(x, lengths)``, x (N, T, C), the mean is over
             the steps i < m = lengths[n], and dx is 0 past them

    Errors: ``ValueError`` for a length of 0; inside jit the mean is then NaN.

    >>> GlobalAvgPool().apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0]
    Array([[1.5]], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, lengths, cache = self._given(x)
        if lengths is None:
            return x.mean(tuple(range(1, x.ndim - 1))), state, cache
        total = x.astype(wide_dtype(x.dtype)).sum(1)
        return (total / lengths.astype(total.dtype)[:, None]).astype(x.dtype), state, cache

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, Any]:
        shape = cache["shape"].value
        samples, channels = output_gradient(dy, (shape[0], shape[-1])).shape
        places = cache["lengths"].astype(dy.dtype)[:, None] if "lengths" in cache else math.prod(shape[1:-1])
        dx = jnp.broadcast_to((dy / places).reshape(samples, *(1 for _ in shape[1:-1]), channels), shape)
        return {}, joined_again(dx, cache.get("lengths"))


@dataclasses.dataclass(frozen=True)
class GlobalMaxPool(_GlobalPool, name="global_max_pool"):
    """The maximum over all spatial axes.

    Forward:   y[n, c] = max_i x[n, i, c],  i*[n, c] = the first i that attains it
    Backward:  dx[n, i, c] = dy[n, c] where i = i*[n, c], else 0

    A tie sends its gradient to the first element (in row-major order); NaN counts as the maximum, the first if several.

    Cache:   ``winner`` i* (N, C), a row-major index; ``shape`` Static, of x; ``lengths`` if given
    Shapes:  (N, *spatial, C) → (N, C), any floating dtype, kept; for ``(x, lengths)``, x (N, T, C), the maximum is over
             the steps within the lengths

    Errors: ``ValueError`` for a length of 0; inside jit the maximum is then NaN.

    >>> GlobalMaxPool().apply({}, {}, jnp.arange(4.0).reshape(1, 2, 2, 1))[0]
    Array([[3.]], dtype=float32)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, lengths, cache = self._given(x)
        places = x.reshape(x.shape[0], -1, x.shape[-1])
        if lengths is not None:
            places = without_padding(places, lengths, -math.inf)
        winner = lax.argmax(places, 1, jnp.int32)
        y = jnp.take_along_axis(places, winner[:, None], axis=1, mode="promise_in_bounds")[:, 0]
        if lengths is not None:
            y = jnp.where((lengths == 0)[:, None], jnp.nan, y).astype(x.dtype)
        return y, state, {"winner": winner, **cache}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, Any]:
        winner, shape = cache["winner"], cache["shape"].value
        dy = output_gradient(dy, winner.shape)
        place = lax.broadcasted_iota(winner.dtype, (1, math.prod(shape[1:-1]), 1), 1)
        dx = jnp.where(place == winner[:, None], dy[:, None], 0).reshape(shape)
        return {}, joined_again(dx, cache.get("lengths"))

    def kinks_at(self, x: np.ndarray) -> Kinks:
        return ties(x, tuple(range(1, x.ndim - 1)), "channels have a tie for the maximum")
