"""Images with more places, made of their channels."""

import dataclasses
import itertools
import math

import jax

from fnn.errors import describe
from fnn.layers.conv._windows import per_axis, sizes
from fnn.layers.shape._fixed_map import FixedMap, spatial_factors


@dataclasses.dataclass(frozen=True)
class PixelShuffle(FixedMap, name="pixel_shuffle"):
    """Moves channels into space: every position becomes a block of ``factor`` r along each spatial axis.

    Forward, for images:  y[n, h·r + i, w·r + j, c] = x[n, h, w, c·r² + i·r + j],  0 ≤ i, j < r
    Backward:             dx[n, h, w, c·r² + i·r + j] = dy[n, h·r + i, w·r + j, c]

    With d spatial axes the input channel is c·rᵈ plus the row-major index in the block; with one factor per axis, rᵈ is
    their product.

    Cache:   ``shape`` Static, of x
    Shapes:  (N, *spatial, C·rᵈ) → (N, *spatial·r, C), any dtype, kept

    The channels are in PyTorch's order, c·r² + i·r + j, not TensorFlow's (i·r + j)·C + c.

    Errors: ``ValueError`` if the number of channels is not a multiple of rᵈ.

    >>> import jax.numpy as jnp
    >>> PixelShuffle(2).apply({}, {}, jnp.arange(4.0).reshape(1, 1, 1, 4))[0][0, :, :, 0]
    Array([[0., 1.],
           [2., 3.]], dtype=float32)

    Source: Shi et al. 2016, eq. 4.
    """

    factor: int | tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", sizes("factor", self.factor))

    def mapped(self, x: jax.Array) -> jax.Array:
        factors = spatial_factors(x, "factor", self.factor)
        block, rank = math.prod(factors), len(factors)
        if x.shape[-1] % block:
            raise ValueError(f"expected channels in a multiple of {block}, the size of a block, got {describe(x)}")
        split = x.reshape(*x.shape[:-1], x.shape[-1] // block, *factors)
        # From (N, *spatial, C, *r) to (N, spatial₁, r₁, spatial₂, r₂, …, C).
        pairs = ((1 + axis, rank + 2 + axis) for axis in range(rank))
        moved = split.transpose(0, *itertools.chain.from_iterable(pairs), rank + 1)
        enlarged = (size * factor for size, factor in zip(x.shape[1:-1], factors, strict=True))
        return moved.reshape(x.shape[0], *enlarged, x.shape[-1] // block)

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        factors = per_axis("factor", self.factor, dy.ndim - 2)
        rank = len(factors)
        blocks = itertools.chain.from_iterable(zip(shape[1:-1], factors, strict=True))
        split = dy.reshape(shape[0], *blocks, dy.shape[-1])
        places, within = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
        return split.transpose(0, *places, 2 * rank + 1, *within).reshape(shape)
