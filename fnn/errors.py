"""Errors that teach: the checks that all layers share, and the one note that says where in the model an error arose."""

import numbers
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn.guards.foreign import foreign, leaves
from fnn.paths import join

MEMBERS = 16
"""How many members of a list of numbers are described one by one."""


def describe(x: Any) -> str:
    """Dtype and shape of every leaf: ``float32[64,28,28,1]``, ``(float32[2,3], bool[2])``."""
    if x is None:
        return "None"
    if isinstance(x, tuple | list):
        if len(x) > MEMBERS and not any(hasattr(leaf, "shape") for leaf in leaves(x)):
            return f"({', '.join(describe(each) for each in x[:MEMBERS])}, … {len(x)} in all)"
        return f"({', '.join(describe(each) for each in x)})"
    if isinstance(x, dict):
        return f"{{{', '.join(f'{name}: {describe(each)}' for name, each in x.items())}}}"
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if shape is None or dtype is None:
        return type(x).__name__
    return f"{dtype}[{','.join(map(str, shape))}]"


class Place(str):
    """The note on an exception raised inside a model; outer combinators recognise it by its type and extend it."""

    __slots__ = ("path", "rest")
    path: str
    rest: str

    def __new__(cls, path: str, rest: str) -> "Place":
        self = super().__new__(cls, f"in {path}: {rest}" if path else f"in {rest}")
        self.path, self.rest = path, rest
        return self

    def __getnewargs__(self) -> tuple[str, str]:
        return self.path, self.rest  # an exception can be sent to another process


@contextmanager
def located(name: str, layer: Any, x: Any, verb: str = "applied to") -> Iterator[None]:
    """Adds one note with the path to an exception: the innermost combinator adds it, outer ones prefix their names."""
    try:
        yield
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        for index, note in enumerate(notes):
            if isinstance(note, Place):
                notes[index] = Place(join(name, note.path), note.rest)
                break
        else:
            error.add_note(Place(name, f"{layer!r}, {verb} {describe(x)}"))
        raise


def is_floating(x: Any) -> bool:
    """Whether x is floating, so that it has a gradient."""
    return jnp.issubdtype(jax.dtypes.result_type(x) if not hasattr(x, "dtype") else x.dtype, jnp.floating)


def is_concrete(x: Any) -> bool:
    """Whether the values of x can be read: it is not traced by jit, vmap, scan or grad."""
    return not isinstance(x, Tracer)


def one_array(x: Any) -> jax.Array:
    """Returns x as an array, or raises: ``jnp.asarray`` would silently stack a tuple of arrays."""
    if isinstance(x, tuple | dict | None) or (isinstance(x, list) and any(hasattr(each, "shape") for each in x)):
        raise TypeError(not_one_array(x))
    if (other := foreign(x)) is not None:
        raise other.refusal("expected an array")
    return jnp.asarray(x)


def floating_array(x: Any) -> jax.Array:
    """Returns x as a non-empty array of floating dtype, or raises."""
    if isinstance(x, list):
        raise TypeError(not_one_array(x))
    x = one_array(x)
    if not is_floating(x):
        raise TypeError(
            f"expected an array of floating dtype, got {describe(x)}; convert it with x.astype(jnp.float32)"
        )
    if x.size == 0:
        raise ValueError(f"the batch is empty: {describe(x)}")
    return x


def not_one_array(x: Any) -> str:
    """The message for several arrays, or a list of numbers, where one array was expected."""
    if x is None:
        return "expected one array, got None"
    found = leaves(x)
    if found and not any(hasattr(leaf, "shape") for leaf in found):
        return f"expected one array, got a {type(x).__name__}; write numpy.asarray(x)"
    if isinstance(x, dict):
        return f"expected one array, got {describe(x)}; a Graph takes arrays by name, and a MultiLoss those it returns"
    return f"expected one array, got {describe(x)}; First(layer) applies a layer to the first of them"


def exact_array(x: Any) -> jax.Array:
    """Returns x as an array or raises: JAX would silently wrap NumPy's 64-bit integers to 32 bits."""
    return jnp.asarray(x if isinstance(x, jax.Array) else exact_numpy(x))


def exact_numpy(x: Any) -> np.ndarray:
    """Returns x as a NumPy array of the dtype that JAX would give it; raises if that dtype cannot hold the values."""
    nested = isinstance(x, tuple | list) and any(getattr(each, "ndim", 0) for each in x)
    if nested or isinstance(x, dict | None):
        raise TypeError(f"expected one array, got {describe(x)}")
    if (other := foreign(x)) is not None:
        raise other.refusal("expected an array of numbers")
    try:
        x = np.asarray(x)
    except ValueError:
        raise ValueError(
            f"expected one array, got rows of different lengths, {describe(x)}; pad them to one length"
        ) from None
    if (other := foreign(x)) is not None:
        raise other.refusal("expected an array of numbers")
    kept = jax.dtypes.canonicalize_dtype(x.dtype)
    if x.dtype.kind in "iu" and x.size:
        low, high = int(x.min()), int(x.max())
        if low < jnp.iinfo(kept).min or high > jnp.iinfo(kept).max:
            raise ValueError(
                f"expected integers that {kept} can hold, got values from {low} to {high};"
                f" make them smaller, or enable 64 bits with jax.config.update('jax_enable_x64', True)"
            )
    return x.astype(kept, copy=False)


def integer_array(x: Any, what: str = "indices") -> jax.Array:
    """Returns x as an array of integers of 32 bits or more, or raises: 8 or 16 bits may not count up to V."""
    x = exact_array(x)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        if is_floating(x) and is_concrete(x):
            missing = np.argwhere(np.isnan(np.asarray(x)))
            if missing.size:
                raise ValueError(
                    f"{what} are integers, and one is missing (NaN) in sample {missing[0, 0]}; leave such samples out:"
                    f" astype(int) would make up a value"
                )
        raise TypeError(f"{what} are integers, got {describe(x)}; convert them with astype(int)")
    return x.astype(jnp.int32) if x.dtype.itemsize < 4 else x


def whose(kind: str, names: Any) -> str:
    """A hint for params or state with these names that seem to belong to another model."""
    if "loss" in names:
        return (
            f"{kind} with an entry 'loss' belong to objective.model, which ends with the head of its loss: apply"
            f" objective.model, not the model that you gave the Objective"
        )
    return f"were these {kind} made by this model's init?"


def part(params: Any, name: str) -> Any:
    """Returns ``params[name]``, a parameter or a dict of them, or raises."""
    if not isinstance(params, dict) or name not in params:
        # The type of a tracer means nothing to the reader.
        other = describe(params) if isinstance(params, jax.Array) else type(params).__name__
        found = sorted(params) if isinstance(params, dict) else other
        raise ValueError(f"expected a parameter {name!r}, found {found}; {whose('params', found)}")
    return params[name]


def parameter(params: Any, name: str, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Returns ``params[name]`` or raises unless it has the shape that the input needs and the dtype of the input."""
    value = part(params, name)
    if jnp.shape(value) != shape:
        raise ValueError(
            f"parameter {name!r} has shape {jnp.shape(value)} where this input needs {shape};"
            f" give the model inputs like those of its init, or initialise it again with an input of this shape"
        )
    return same_dtype(name, value, dtype)


def same_dtype(name: str, value: Any, dtype: Any) -> jax.Array:
    """Returns the value or raises: nothing in fnn promotes silently."""
    value = jnp.asarray(value)
    if value.dtype != dtype:
        raise TypeError(f"parameter {name!r} is {value.dtype} but the input is {dtype}; cast one of them explicitly")
    return value


def output_gradient(dy: Any, shape: tuple[int, ...]) -> jax.Array:
    """Returns dy, or raises unless it has the shape of the output: nothing is broadcast."""
    if isinstance(dy, tuple | list | dict) or not hasattr(dy, "shape"):
        raise TypeError(f"expected the gradient of one output, an array of shape {shape}, got {describe(dy)}")
    if dy.shape != shape:
        raise ValueError(f"expected the gradient of an output of shape {shape}, got {describe(dy)}")
    return dy


def instance_hint(thing: Any) -> str:
    """A hint for a class given in place of an object."""
    return f"; did you mean {thing.__name__}(…)?" if isinstance(thing, type) else ""


def tuple_of(kind: type, name: str, things: Any) -> tuple:
    """Returns the things as a tuple, or raises ``TypeError`` unless all are of one class."""
    if isinstance(things, kind):
        raise TypeError(f"{name} is a list, got one {type(things).__name__}; write {name}=[{things!r}]")
    if isinstance(things, type) and issubclass(things, kind):
        raise TypeError(f"{name} is a list, got {things!r}; write {name}=[{things.__name__}(…)]")
    if isinstance(things, str | bytes | dict) or not isinstance(things, Iterable):
        raise TypeError(f"{name} is a list of objects of {kind.__name__}, got {things!r}")
    things = tuple(things)
    for each in things:
        if not isinstance(each, kind):
            raise TypeError(f"{name} holds objects of {kind.__name__}, got {each!r}{instance_hint(each)}")
    return things


def positive(name: str, value: Any) -> None:
    """Raises unless value is an integer (Python's or NumPy's) of at least 1."""
    if isinstance(value, Tracer):
        raise TypeError(
            f"{name} is an integer, got the traced {describe(value)}: a size must be known when a program is compiled,"
            f" so one program cannot sweep it; loop over it in Python, with one program for each value"
        )
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} is an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} is at least 1, got {value}")


def returned(owner: Any, method: str, names: str, value: Any) -> Any:
    """Returns what a method returned, or raises unless it is a tuple of as many values as ``names``, ``(y, state)``."""
    if not isinstance(value, tuple) or len(value) != names.count(",") + 1:
        raise TypeError(f"{type(owner).__name__}.{method} returns {names}, got {describe(value)}")
    return value
