"""What to say where arrays do not fit because x has the channels in front, as PyTorch has them."""

import math
from collections.abc import Callable
from typing import Any

import jax

LAYOUTS = {3: "sequences are (N, T, C)", 4: "images are (N, H, W, C)", 5: "volumes are (N, D, H, W, C)"}


def channels_last_note(x: Any, missing: Callable[[Any], int]) -> str:
    """The words, if more layers find their arrays with the second axis of x moved to the end; else nothing.

    ``missing(x)`` is how many layers find no arrays; it may raise.
    """
    shape: Any = tuple(x.shape) if hasattr(x, "shape") else ()
    if len(shape) not in LAYOUTS:
        return ""
    moved = (shape[0], *shape[2:], shape[1])
    before, after = (_tried(missing, jax.ShapeDtypeStruct(each, x.dtype)) for each in (shape, moved))
    if after >= before or (after and math.isinf(before)):
        return ""
    return (
        f"in fnn {LAYOUTS[len(shape)]}: x has the shape {shape}, and the channels of the weights in its second"
        f" axis; give numpy.moveaxis(x, 1, -1), or jax.ShapeDtypeStruct({moved}, {str(x.dtype)!r})"
    )


def _tried(missing: Callable[[Any], int], x: Any) -> float:
    try:
        return missing(x)
    except Exception:  # whatever a layer says of such an x
        return math.inf
