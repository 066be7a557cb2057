"""What lies outside an image: a constant, or its edge repeated."""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.augment.strength import is_number

Fill = float | Literal["edge"]
"""A value for every channel, or ``"edge"``: the nearest pixel."""


def check_fill(fill: Any) -> None:
    """Raises if ``fill`` is neither a number nor ``"edge"``."""
    if isinstance(fill, str):
        if fill != "edge":
            raise ValueError(f"fill is a number or 'edge', got {fill!r}")
    elif not is_number(fill) and not (hasattr(fill, "dtype") and jnp.shape(fill) == ()):
        raise TypeError(f"fill is a number or 'edge', got {fill!r}")


def bordered(image: jax.Array, width: int, fill: Fill) -> jax.Array:
    """An image (H, W, C) with ``width`` more pixels on each of its four sides."""
    widths = ((width, width), (width, width), (0, 0))
    if isinstance(fill, str):
        return jnp.pad(image, widths, mode="edge")
    return jnp.pad(image, widths, constant_values=jnp.asarray(fill, image.dtype))
