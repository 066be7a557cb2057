"""Upsampling: by repetition or by interpolation."""

import dataclasses
import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import floating_array
from fnn.layer import wide_dtype
from fnn.layers.conv._windows import per_axis, sizes
from fnn.layers.shape._fixed_map import FixedMap, spatial_factors


@dataclasses.dataclass(frozen=True)
class UpSample(FixedMap, name="up_sample"):
    """Enlarges the spatial axes by ``scale``, one integer for all or one per axis.

    Forward, nearest, along one axis with scale s:

        y[n, j, c] = x[n, ⌊j/s⌋, c]

    Backward, nearest:

        dx[n, i, c] = Σ_(r = 0 … s−1) dy[n, i·s + r, c]

    Forward, linear, along one axis:

        y[n, j, c] = (1 − u + i) x[n, i, c] + (u − i) x[n, i + 1, c],  u = (j + ½)/s − ½,  i = ⌊u⌋

    Backward, linear:

        dx = Aᵀ dy, axis by axis, with the matrix A (size·s, size) of y = A x

    u, the position of output j among the inputs, is clipped to [0, size − 1].

    Cache:   ``shape`` Static, of x
    Shapes:  (N, *spatial, C) → (N, *spatial·s, C); nearest: any dtype, linear: any floating dtype; kept

    Linear agrees with ``jax.image.resize``, and with PyTorch's linear, bilinear and trilinear interpolation with
    ``align_corners=False``.

    Errors: ``ValueError`` for an unknown method, an input without spatial axes, or a wrong number of scales.

    >>> UpSample(2).apply({}, {}, jnp.array([[[1.0], [2.0]]]))[0].ravel()
    Array([1., 1., 2., 2.], dtype=float32)
    >>> UpSample(2, method="linear").apply({}, {}, jnp.array([[[1.0], [2.0]]]))[0].ravel()
    Array([1.  , 1.25, 1.75, 2.  ], dtype=float32)
    """

    scale: int | tuple[int, ...]
    _: dataclasses.KW_ONLY
    method: Literal["nearest", "linear"] = "nearest"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", sizes("scale", self.scale))
        if self.method not in ("nearest", "linear"):
            raise ValueError(f"method is 'nearest' or 'linear', got {self.method!r}")

    def mapped(self, x: jax.Array) -> jax.Array:
        scales = spatial_factors(x, "scale", self.scale)
        if self.method == "linear":
            return _along_axes(floating_array(x), _interpolations(x.shape, scales))
        for axis, s in enumerate(scales, start=1):
            x = jnp.repeat(x, s, axis)
        return x

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        scales = per_axis("scale", self.scale, dy.ndim - 2)
        if self.method == "linear":
            # In the reverse order of forward, so that intermediate arrays have the same shapes.
            return _along_axes(dy, {axis: a.T for axis, a in reversed(_interpolations(shape, scales).items())})
        blocks = itertools.chain.from_iterable(zip(shape[1:-1], scales, strict=True))
        return dy.reshape(shape[0], *blocks, shape[-1]).sum(tuple(range(2, 2 * len(scales) + 1, 2)))


def _interpolations(shape: tuple[int, ...], scales: tuple[int, ...]) -> dict[int, np.ndarray]:
    """The interpolation matrices, by axis, for the axes with a scale above 1."""
    return {axis: _interpolation(shape[axis], scale) for axis, scale in enumerate(scales, start=1) if scale > 1}


def _interpolation(size: int, scale: int) -> np.ndarray:
    """A (size·scale, size): the weights of the inputs in each output."""
    places = np.clip((np.arange(size * scale) + 0.5) / scale - 0.5, 0, size - 1)
    return np.maximum(1 - np.abs(places[:, None] - np.arange(size)), 0)


def _along_axes(x: jax.Array, matrices: dict[int, np.ndarray]) -> jax.Array:
    # Full precision: the weights are exact, and the sums have two terms.
    y = x.astype(wide_dtype(x.dtype))
    for axis, matrix in matrices.items():
        product = jnp.tensordot(y, jnp.asarray(matrix, y.dtype), (axis, 1), precision=lax.Precision.HIGHEST)
        y = jnp.moveaxis(product, -1, axis)
    return y.astype(x.dtype)
