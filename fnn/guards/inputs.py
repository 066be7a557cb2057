"""What a layer is initialised with: arrays or their shapes, looked at before any of it is traced."""

from typing import Any

from fnn.errors import not_one_array
from fnn.guards.foreign import foreign, leaves


def arrays_or_shapes(x: Any) -> Any:
    """Returns the x that a layer is initialised with, arrays or ``jax.ShapeDtypeStruct``s in any pytree, or raises."""
    refuse_shapes(x)
    for leaf in leaves(x):
        if (other := foreign(leaf)) is not None:
            raise other.refusal("expected arrays or their shapes")
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            hint = "; write numpy.asarray(x)" if isinstance(x, list) else ""
            raise TypeError(f"expected arrays or their shapes, jax.ShapeDtypeStruct(shape, dtype), got {x!r}{hint}")
    return x


def array_or_shape(x: Any) -> Any:
    """Returns the x that a layer of one array is initialised with, or raises."""
    if isinstance(arrays_or_shapes(x), tuple | list | dict | None):
        raise TypeError(not_one_array(x))
    return x


def refuse_shapes(x: Any) -> None:
    """Raises for the numbers of a shape in the place of an array: to JAX ``(1, 5)`` is two arrays of integers."""
    found = leaves(x) if isinstance(x, tuple | list) else []
    if found and all(type(leaf) is int for leaf in found):
        shape = x if all(type(size) in (int, type(None)) for size in x) else x[0]
        known = tuple(size if type(size) is int else 1 for size in shape) if isinstance(shape, tuple | list) else (1, 5)
        raise TypeError(
            f"expected an array, or the shape and dtype of one, got {x!r}; a shape is given as"
            f" jax.ShapeDtypeStruct({known}, 'float32')"
        )
