"""Softmax and its logarithm along an axis."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import floating_array, output_gradient
from fnn.layer import Cache, Layer, OverTime, Params, State, wide_dtype
from fnn.layers._rows import sums_of_columns


@dataclasses.dataclass(frozen=True)
class _AlongAxis(Layer):
    axis: int = -1

    @property
    def over_time(self) -> OverTime:  # type: ignore[override]
        return "each step" if self.axis in (-1, 2) else "mixed"

    def __call__(self, x: Any) -> jax.Array:
        return self.forward({}, {}, x)[0]

    def _shifted(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """x − max x, of which no exponential overflows, its exponential, and the sum of that, in at least float32."""
        x = x.astype(wide_dtype(x.dtype))
        # The shift changes nothing, so its own gradient is left out of the automatic one.
        shifted = x - jax.lax.stop_gradient(x.max(self.axis, keepdims=True))
        exponentials = jnp.exp(shifted)
        return shifted, exponentials, self._sum(exponentials)

    def _sum(self, x: jax.Array) -> jax.Array:
        """The sum along the axis, which is kept."""
        last = self.axis in (-1, x.ndim - 1)
        return sums_of_columns(x) if last else x.sum(self.axis, keepdims=True)


@dataclasses.dataclass(frozen=True)
class Softmax(_AlongAxis, name="softmax"):
    """The softmax along an axis. For training, give the logits to ``CrossEntropy`` instead: that is exact and cheaper.

    Forward:   yᵢ = e^(xᵢ − m) / Σⱼ e^(xⱼ − m),  m = maxⱼ xⱼ
    Backward:  dx = y ⊙ (dy − Σⱼ dyⱼ yⱼ / Σⱼ yⱼ)

    Σⱼ yⱼ is 1 but for rounding, which would stay in dx, as large as what is common to all dy, where y is of 16 bits.
    An entry of −∞ has the probability 0; a row of nothing else has none, and is NaN.

    Cache:   ``y``
    Shapes:  any → the same, any floating dtype, kept; computed in at least float32

    Can also be called on an array.

    >>> Softmax()(jnp.zeros(4))
    Array([0.25, 0.25, 0.25, 0.25], dtype=float32)

    Source: Bridle 1990.
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        _, exponentials, total = self._shifted(x)
        y = (exponentials / total).astype(x.dtype)
        return y, state, {"y": y}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy, wide = output_gradient(dy, cache["y"].shape), wide_dtype(dy.dtype)
        y, wide_dy = cache["y"].astype(wide), dy.astype(wide)
        mean = self._sum(wide_dy * y) / self._sum(y)
        return {}, (y * (wide_dy - mean)).astype(dy.dtype)


@dataclasses.dataclass(frozen=True)
class LogSoftmax(_AlongAxis, name="log_softmax"):
    """The logarithm of the softmax along an axis, without its underflow.

    Forward:   yᵢ = xᵢ − m − log Σⱼ e^(xⱼ − m),  m = maxⱼ xⱼ
    Backward:  dx = dy − e^y Σⱼ dyⱼ

    An entry of −∞ has the logarithm −∞; a row of nothing else is NaN.

    Cache:   ``y``
    Shapes:  any → the same, any floating dtype, kept; computed in at least float32

    Can also be called on an array.

    >>> [f"{y:.2f}" for y in LogSoftmax()(jnp.array([0.0, 0.0, -1e4]))]
    ['-0.69', '-0.69', '-10000.69']

    Source: Bridle 1990.
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        shifted, _, total = self._shifted(x)
        y = (shifted - jnp.log(total)).astype(x.dtype)
        return y, state, {"y": y}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy, wide = output_gradient(dy, cache["y"].shape), wide_dtype(dy.dtype)
        y, wide_dy = cache["y"].astype(wide), dy.astype(wide)
        return {}, (wide_dy - jnp.exp(y) * self._sum(wide_dy)).astype(dy.dtype)
