"""Checks of what ``init`` is given, arrays or their shapes, before anything is traced."""

from typing import Any

from fnn.errors import not_one_array
from fnn.guards.foreign import foreign, leaves


def arrays_or_shapes(x: Any) -> Any:
    """Returns x, or raises unless it is a pytree of arrays or ``jax.ShapeDtypeStruct``s."""
    refuse_shapes(x)
    for leaf in leaves(x):
        if (other := foreign(leaf)) is not None:
            raise other.refusal("expected arrays or their shapes")
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            hint = "; write numpy.asarray(x)" if isinstance(x, list) else ""
            raise TypeError(f"expected arrays or their shapes, jax.ShapeDtypeStruct(shape, dtype), got {x!r}{hint}")
    return x


def array_or_shape(x: Any) -> Any:
    """Returns x, or raises unless it is one array or one ``jax.ShapeDtypeStruct``."""
    if isinstance(arrays_or_shapes(x), tuple | list | dict | None):
        raise TypeError(not_one_array(x))
    return x


def refuse_shapes(x: Any) -> None:
    """Raises for a bare shape: to JAX, ``(1, 5)`` is a pytree of two integers."""
    found = leaves(x) if isinstance(x, tuple | list) else []
    if found and all(type(leaf) is int for leaf in found):
        shape = x if all(type(size) in (int, type(None)) for size in x) else x[0]
        known = tuple(size if type(size) is int else 1 for size in shape) if isinstance(shape, tuple | list) else (1, 5)
        raise TypeError(
            f"expected an array, or the shape and dtype of one, got {x!r}; write a shape as"
            f" jax.ShapeDtypeStruct({known}, 'float32')"
        )
