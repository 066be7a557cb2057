"""Layers that move entries and change none: their backward moves the gradient back."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe
from fnn.layer import Cache, Layer, Params, State, Static


def _reshaped(dy: Any, shape: tuple[int, ...]) -> Any:
    # The gradient of something that is not floating (indices on their way to an embedding) is None, and stays so.
    return None if dy is None else dy.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Flatten(Layer, name="flatten"):
    """Joins all axes of a sample.

    Forward:   y = x as (N, rest)
    Backward:  dx = dy in the shape of x

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, rest), any dtype, kept

    >>> Flatten().apply({}, {}, jnp.zeros((2, 3, 4)))[0].shape
    (2, 12)
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = jnp.asarray(x)
        if x.ndim < 1:
            raise ValueError("expected an input (N, …), got a scalar")
        return x.reshape(x.shape[0], math.prod(x.shape[1:])), state, {"shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        return {}, _reshaped(dy, cache["shape"].value)


@dataclasses.dataclass(frozen=True)
class Reshape(Layer, name="reshape"):
    """Gives every sample a shape; one entry may be −1 and is worked out.

    Forward:   y = x as (N, *shape)
    Backward:  dx = dy in the shape of x

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, *shape), any dtype, kept

    Errors: ``ValueError`` if the sizes do not agree.

    >>> Reshape((3, -1)).apply({}, {}, jnp.zeros((2, 12)))[0].shape
    (2, 3, 4)
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple | list):
            raise TypeError(f"a shape is a tuple, got {self.shape!r}; write ({self.shape!r},)")
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.shape.count(-1) > 1 or any(size < -1 for size in self.shape):
            raise ValueError(f"a shape has sizes of at least 0 and at most one −1, got {self.shape}")

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = jnp.asarray(x)
        if x.ndim < 1:
            raise ValueError("expected an input (N, …), got a scalar")
        size, known = math.prod(x.shape[1:]), math.prod(each for each in self.shape if each != -1)
        fits = known == size if -1 not in self.shape else known != 0 and size % known == 0
        if not fits:
            raise ValueError(f"a sample of {describe(x)} has {size} entries and does not fit the shape {self.shape}")
        shape = tuple(size // known if each == -1 else each for each in self.shape)
        return x.reshape(x.shape[0], *shape), state, {"shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        return {}, _reshaped(dy, cache["shape"].value)
