"""Maxout: the largest of each few channels."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, ties
from fnn.errors import floating_array, output_gradient, positive
from fnn.layer import Cache, Layer, Params, State


@dataclasses.dataclass(frozen=True)
class Maxout(Layer, name="maxout"):
    """The maximum of every ``pieces`` consecutive channels; behind a ``Dense(features · pieces)``, a maxout unit.

    Forward:   y[…, f] = max_k x[…, f·p + k],  k = 0 … p − 1,  k*[…, f] = the first k that attains it
    Backward:  dx[…, f·p + k] = dy[…, f] where k = k*[…, f], else 0

    A tie sends its gradient to the first; a NaN wins.

    Cache:   ``winner`` k* (…, F), one byte an output for up to 256 pieces
    Shapes:  (…, F·p) → (…, F), any floating dtype, kept

    Errors: ``ValueError`` if ``pieces`` does not divide the number of channels.

    >>> Maxout(2)(jnp.array([1.0, 3.0, -2.0, -5.0]))
    Array([ 3., -2.], dtype=float32)

    Source: Goodfellow et al. 2013, §3.
    """

    pieces: int

    over_time = "each step"

    def __post_init__(self) -> None:
        positive("pieces", self.pieces)

    def __call__(self, x: Any) -> jax.Array:
        return self.forward({}, {}, x)[0]

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        if x.ndim < 1 or x.shape[-1] % self.pieces:
            channels = f"the {x.shape[-1]} channels of the input" if x.ndim else "a scalar"
            raise ValueError(f"pieces={self.pieces} does not divide {channels}; expected an input (…, F·pieces)")
        groups = x.reshape(*x.shape[:-1], -1, self.pieces)
        winner = groups.argmax(-1, keepdims=True)  # the first of equals; NaN counts as the largest
        y = jnp.take_along_axis(groups, winner, -1)
        return y.squeeze(-1), state, {"winner": winner.squeeze(-1).astype(_small_enough(self.pieces))}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy, winner = output_gradient(dy, cache["winner"].shape), cache["winner"][..., None]
        place = jax.lax.broadcasted_iota(winner.dtype, (*dy.shape, self.pieces), dy.ndim)
        dx = jnp.where(winner == place, dy[..., None], 0)
        return {}, dx.reshape(*dy.shape[:-1], -1)

    def kinks_at(self, x: np.ndarray) -> Kinks:
        return ties(x.reshape(*x.shape[:-1], -1, self.pieces), (-1,), "groups of channels have a tie for the maximum")


def _small_enough(pieces: int) -> Any:
    return jnp.uint8 if pieces <= 256 else jnp.int32
