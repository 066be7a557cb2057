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
    """Puts ``value`` in front of and behind the axes of every sample.

    Forward:   y = x with ``value`` around it
    Backward:  dx = the part of dy where x stands

    Cache:   ``shape`` Static, of x
    Shapes:  (N, …) → (N, …), any dtype, kept; axis a of a sample grows by before + after

    ``width`` speaks of one sample, without the batch: a tuple has an entry for each of its axes, the channels too,
    which is a pair (before, after), or an integer n for (n, n). One integer for all holds for every axis of a sample
    but the last: for the spatial axes, not for the channels. Of images (N, H, W, C), ``Pad(1)`` is
    ``Pad(((1, 1), (1, 1), (0, 0)))``.

    Errors: ``ValueError`` for negative widths, not one an axis, or one integer where a sample has no axis but its
    last; ``TypeError`` for a value that the dtype of the input does not have.

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
                f"width is an integer of at least 0, or a tuple with a pair (before, after) of them for every axis of"
                f" a sample, got {self.width!r}"
            )

    def mapped(self, x: jax.Array) -> jax.Array:
        if not is_floating(x) and not float(self.value).is_integer():
            raise TypeError(f"value={self.value} is no number of the input's dtype: {describe(x)}")
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
                    f" no other; write width=(({self.width}, {self.width}),)"
                )
            return ((self.width, self.width),) * (axes - 1) + ((0, 0),)
        if len(self.width) != axes:
            raise ValueError(f"width has {len(self.width)} entries for the {axes} axes of a sample of {describe(x)}")
        return self.width


def _is_width(each: Any) -> bool:
    return isinstance(each, int) and not isinstance(each, bool) and each >= 0
