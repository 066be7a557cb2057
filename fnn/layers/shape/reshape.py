"""Layers that change the shape of a sample but not its entries, and the identity."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from fnn.errors import describe
from fnn.layer import Cache, Layer, Params, State
from fnn.layers.shape._fixed_map import FixedMap


@dataclasses.dataclass(frozen=True)
class Flatten(FixedMap, name="flatten"):
    """Merges all axes of a sample into one.

    Forward:   y = x as (N, rest)
    Backward:  dx = dy in the shape of x

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, rest), any dtype, kept

    >>> Flatten().apply({}, {}, jax.numpy.zeros((2, 3, 4)))[0].shape
    (2, 12)
    """

    def mapped(self, x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return dy.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Reshape(FixedMap, name="reshape"):
    """Reshapes every sample; one entry of ``shape`` may be −1 and is inferred.

    Forward:   y = x as (N, *shape)
    Backward:  dx = dy in the shape of x

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, *shape), any dtype, kept

    Errors: ``ValueError`` if the sizes do not agree.

    >>> Reshape((3, -1)).apply({}, {}, jax.numpy.zeros((2, 12)))[0].shape
    (2, 3, 4)
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple | list):
            raise TypeError(f"a shape is a tuple, got {self.shape!r}; write ({self.shape!r},)")
        object.__setattr__(self, "shape", tuple(self.shape))
        if self.shape.count(-1) > 1 or any(size < -1 for size in self.shape):
            raise ValueError(f"a shape has sizes of at least 0 and at most one −1, got {self.shape}")

    def mapped(self, x: jax.Array) -> jax.Array:
        size, known = math.prod(x.shape[1:]), math.prod(each for each in self.shape if each != -1)
        fits = known == size if -1 not in self.shape else known != 0 and size % known == 0
        if not fits:
            raise ValueError(f"a sample of {describe(x)} has {size} entries and does not fit the shape {self.shape}")
        return x.reshape(x.shape[0], *(size // known if each == -1 else each for each in self.shape))

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return dy.reshape(shape)


@dataclasses.dataclass(frozen=True)
class Transpose(FixedMap, name="transpose"):
    """Reorders the axes of every sample: axis a of the output is axis ``axes[a]`` of the input.

    Forward:   y[n, i_axes[0], i_axes[1], …] = x[n, i_0, i_1, …]
    Backward:  dx = dy with its axes in the inverse order

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, …), any dtype, kept

    ``axes`` are those of one sample, counted from 0 without the batch axis, each listed once: for images (N, H, W, C),
    height is 0, width 1 and channels 2, and ``Transpose((1, 0, 2))`` swaps height and width.

    Errors: ``ValueError`` if ``axes`` is not a permutation of 0, 1, …, or not as long as a sample has axes.

    >>> Transpose((2, 0, 1)).apply({}, {}, jax.numpy.zeros((5, 2, 3, 4)))[0].shape
    (5, 4, 2, 3)
    """

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.axes, tuple | list):
            raise TypeError(f"axes is a tuple with every axis of a sample once, got {self.axes!r}")
        object.__setattr__(self, "axes", tuple(self.axes))
        if sorted(self.axes) != list(range(len(self.axes))):
            raise ValueError(
                f"axes lists every axis of a sample once, counted from 0 without the batch axis"
                f" (for {len(self.axes)} axes a permutation of {tuple(range(len(self.axes)))}), got {self.axes}"
            )

    def mapped(self, x: jax.Array) -> jax.Array:
        if x.ndim - 1 != len(self.axes):
            raise ValueError(
                f"expected axes for the {x.ndim - 1} axes of a sample of {describe(x)}, got {self.axes};"
                f" the batch axis is not counted"
            )
        return x.transpose(0, *(axis + 1 for axis in self.axes))

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return dy.transpose(0, *(int(axis) + 1 for axis in np.argsort(self.axes)))


@dataclasses.dataclass(frozen=True)
class Identity(Layer, name="identity"):
    """Returns its input.

    Forward:   y = x
    Backward:  dx = dy

    Cache:   nothing
    Shapes:  any array or pytree of arrays → the same

    >>> Identity().apply({}, {}, jax.numpy.arange(3))[0]
    Array([0, 1, 2], dtype=int32)
    """

    over_time = "each step"

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        return x, state, {}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        return {}, dy
