"""Softmax along an axis."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import floating_array
from fnn.layer import Cache, Layer, Params, State


@dataclasses.dataclass(frozen=True)
class Softmax(Layer, name="softmax"):
    """The softmax along an axis. For training, give the logits to ``CrossEntropy`` instead: that is exact and cheaper.

    Forward:   yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m),  m = maxⱼ xⱼ
    Backward:  dx = y ⊙ (dy − Σⱼ dyⱼ yⱼ)

    Cache:   ``y``
    Shapes:  any → the same, any floating dtype, kept

    Can also be called on an array.

    >>> Softmax()(jnp.zeros(4))
    Array([0.25, 0.25, 0.25, 0.25], dtype=float32)

    Source: Bridle 1990.
    """

    axis: int = -1

    def __call__(self, x: Any) -> jax.Array:
        return self.forward({}, {}, x)[0]

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        # The shift changes nothing, so its own gradient is left out of the automatic one.
        exponentials = jnp.exp(x - jax.lax.stop_gradient(x.max(self.axis, keepdims=True)))
        y = exponentials / exponentials.sum(self.axis, keepdims=True)
        return y, state, {"y": y}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        y = cache["y"]
        return {}, y * (dy - (dy * y).sum(self.axis, keepdims=True))
