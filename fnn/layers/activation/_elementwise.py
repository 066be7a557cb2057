"""What the activations that act on each entry alone share: one derivation, y = f(x) and dx = f'(x) ⊙ dy, serves all."""

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, on_corners
from fnn.errors import floating_array, output_gradient
from fnn.layer import Cache, Layer, Params, State, wide_dtype
from fnn.layers._rows import as_matrix


@dataclasses.dataclass(frozen=True)
class Elementwise(Layer, name="elementwise"):
    """The base of elementwise activations: a subclass gives ``f``, ``derivative`` (or ``gradient``) and ``corners``.

    Forward:   y = f(x)
    Backward:  dx = f'(x) ⊙ dy

    Cache:   ``x``, or ``y`` where the slope is a function of the output (which the next layer keeps anyway)
    Shapes:  any → the same, any floating dtype, kept; computed in at least float32

    An activation can also be called on an array: ``Relu()(x)``. NaN passes through all of them; ±∞ has the limit.
    """

    cached: ClassVar[Literal["x", "y"]] = "x"

    corners: ClassVar[tuple[float, ...]] = ()
    """Where the function or its slope jumps."""

    over_time = "each step"

    def f(self, x: jax.Array) -> jax.Array:
        """The function, written so that ``jax.grad`` gives the documented slope on kinks."""
        raise NotImplementedError

    def derivative(self, value: jax.Array) -> jax.Array:
        """f'(x) from the cached value: x, or y if ``cached`` says so."""
        raise NotImplementedError

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        """dx. A slope that is exactly 0 on a whole side is a selection in its place: 0 · ∞ would be NaN."""
        return self.derivative(value) * dy

    def kinks_at(self, x: np.ndarray) -> Kinks | None:
        return on_corners(x, *self.corners) if self.corners else None

    def __call__(self, x: Any) -> jax.Array:
        x = floating_array(x)
        return self.f(as_matrix(x).astype(wide_dtype(x.dtype))).astype(x.dtype).reshape(x.shape)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        y = self(x)
        return y, state, {self.cached: x if self.cached == "x" else y}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy = output_gradient(dy, cache[self.cached].shape)
        wide = wide_dtype(dy.dtype)
        value = as_matrix(cache[self.cached]).astype(wide)
        dx = self.gradient(value, as_matrix(dy).astype(wide)).astype(dy.dtype)
        return {}, dx.reshape(dy.shape)


def without_infinities(x: jax.Array) -> jax.Array:
    """x with 0 in the place of ±∞: for the branch of a ``where`` that is not taken there, and must not be NaN."""
    return jnp.where(jnp.isinf(x), 0, x)
