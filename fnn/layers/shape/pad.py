"""Padding."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import describe, is_floating
from fnn.layers.shape._fixed_map import FixedMap

Width = int | tuple[int | tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Pad(FixedMap, name="pad"):
    """Pads the axes of every sample with ``value``.

    Forward:   y = x with ``value`` around it
    Backward:  dx = dy without the padded entries

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, …), any dtype, kept; axis a of a sample grows by before + after

    ``width`` describes one sample, without the batch axis. A tuple has one entry for each axis, channels included: a
    pair (before, after), or an integer n for (n, n). A single integer pads the spatial axes, all but the last: for
    images (N, H, W, C), ``Pad(1)`` is ``Pad(((1, 1), (1, 1), (0, 0)))``.

    Errors: ``ValueError`` for negative widths, a tuple that does not have one entry per axis, or a single integer for
    samples of one axis; ``TypeError`` for a value that the dtype of the input cannot hold.

    >>> Pad(((1, 2),), value=9.0).apply({}, {}, jnp.array([[1.0, 2.0]]))[0]
    Array([[9., 1., 2., 9., 9.]], dtype=float32)
    """

    width: Width
    _: dataclasses.KW_ONLY
    value: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.width, tuple | list):
            pairs = tuple(tuple(each) if isinstance(each, tuple | list) else (each, each) for each in self.width)
            object.__setattr__(self, "width", pairs)
        else:
            pairs = ((self.width, self.width),)
        if not all(len(pair) == 2 and all(_is_width(each) for each in pair) for pair in pairs):
            raise ValueError(
                f"width is an integer of at least 0, or a tuple of pairs (before, after), one for every axis of a"
                f" sample, got {self.width!r}"
            )

    def mapped(self, x: jax.Array) -> jax.Array:
        if not is_floating(x) and not float(self.value).is_integer():
            raise TypeError(f"the input's dtype cannot hold value={self.value}: {describe(x)}")
        value = jnp.asarray(self.value).astype(x.dtype)
        return lax.pad(x, value, [(0, 0, 0), *((*pair, 0) for pair in self._pairs(x))])

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        starts = (0, *(before for before, _ in self._pairs(dy)))
        return lax.slice(dy, starts, tuple(start + size for start, size in zip(starts, shape, strict=True)))

    def _pairs(self, x: Any) -> tuple[Any, ...]:
        axes = x.ndim - 1
        if isinstance(self.width, int):
            if axes < 2:
                raise ValueError(
                    f"width={self.width} pads every axis of a sample but the last, and a sample of {describe(x)} has"
                    f" only one; write width=(({self.width}, {self.width}),)"
                )
            return ((self.width, self.width),) * (axes - 1) + ((0, 0),)
        if len(self.width) != axes:
            raise ValueError(f"width has {len(self.width)} entries for the {axes} axes of a sample of {describe(x)}")
        return self.width


def _is_width(each: Any) -> bool:
    return isinstance(each, int) and not isinstance(each, bool) and each >= 0
