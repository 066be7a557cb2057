"""The classes and functions that a stored model may name: those of fnn, and those that were registered.

Loading a model looks names up here and nowhere else: nothing is imported, and no code comes from the file.
"""

import dataclasses
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from fnn.layer import Layer

T = TypeVar("T", bound=Callable)

MODULES = {"jax.nn": jax.nn, "jax.numpy": jnp}
"""The modules whose functions a model may name, besides fnn."""

NOT_IN_MODELS = {
    "jax.numpy": ("from_dlpack", "fromfile", "load", "printoptions", "save", "savez", "set_printoptions"),
    "fnn": ("clear_compiled", "load", "load_model", "read_metadata", "register", "save", "save_model"),
}
"""Functions of these modules that read or write files, or change settings: no layer calls them on its input."""

REGISTERED: dict[str, Any] = {}
"""Users' classes and functions, by name."""


def register(thing: T) -> T:
    """Lets models with this class, or function, be stored and loaded: ``fnn.register(MyLayer)``, or as a decorator.

    A model that holds one is stored with the name alone, so the program that loads it defines and registers the same
    class first. Registering the same class again, as a notebook does when a cell is run twice, replaces it.

    Errors: ``TypeError`` if neither a dataclass nor a function with a name; ``ValueError`` for a name that fnn uses, or
    that another class or function was registered under.

    >>> import dataclasses, fnn
    >>> @fnn.register
    ... @dataclasses.dataclass(frozen=True)
    ... class Doubled(fnn.Layer):
    ...     def apply(self, params, state, x, *, train=False, key=None):
    ...         return 2 * x, state
    >>> fnn.from_json(fnn.to_json(fnn.Serial(Doubled())))
    Serial(Doubled())
    """
    name = getattr(thing, "__name__", "")
    if not callable(thing) or not name.isidentifier() or (isinstance(thing, type) and not _is_stored_by_fields(thing)):
        raise TypeError(f"register takes a frozen dataclass, such as a layer, or a named function, got {thing!r}")
    if name in known_classes():
        raise ValueError(f"fnn has a {name} of its own: give {thing!r} another name")
    other = REGISTERED.get(name)
    kept: Any = thing
    if other is not None and _place(other) != _place(thing):
        raise ValueError(f"{other!r} is registered as {name}: give {thing!r} another name")
    REGISTERED[name] = thing
    return kept


def known_classes() -> dict[str, type]:
    """The classes of fnn that a model may hold, by the name under which they are stored."""
    import fnn
    from fnn import initializers
    from fnn.gradients.manual_vjp import ManualVjp
    from fnn.layers.recurrent.lstm import ForgetGateBias
    from fnn.losses.linear_head import LinearHead

    named = {name: each for name, each in vars(fnn).items() if isinstance(each, type) and issubclass(each, Layer)}
    made = {f"initializers.{name}": each for name, each in vars(initializers).items() if _is_initializer(each)}
    return {**named, **made, **{each.__name__: each for each in (ForgetGateBias, LinearHead, ManualVjp)}}


def name_of_class(kind: type) -> str | None:
    """The name under which a class is stored; ``None`` if it is neither fnn's nor registered."""
    found = next((name for name, each in known_classes().items() if each is kind), None)
    return found or next((name for name, each in REGISTERED.items() if each is kind), None)


def name_of_function(function: Any) -> str | None:
    """The name under which a function is stored."""
    name = getattr(function, "__name__", "")
    for prefix, module in _modules():
        if name not in NOT_IN_MODELS.get(prefix, ()) and getattr(module, name, None) is function:
            return f"{prefix}.{name}"
    return next((name for name, each in REGISTERED.items() if each is function), None)


def class_named(name: str) -> type | None:
    """The class that is stored under that name."""
    found = known_classes().get(name) or REGISTERED.get(name)
    return found if isinstance(found, type) else None


def function_named(name: str) -> Any:
    """The function that is stored under that name, ``None`` if there is none."""
    for prefix, module in _modules():
        if name.startswith(f"{prefix}.") and "." not in (last := name.removeprefix(f"{prefix}.")):
            found = getattr(module, last, None)
            hidden = last.startswith("_") or last in NOT_IN_MODELS.get(prefix, ())
            return found if _is_function(found) and not hidden else None
    found = REGISTERED.get(name)
    return None if isinstance(found, type) else found


def _modules() -> Iterator[tuple[str, ModuleType]]:
    import fnn

    yield from (*MODULES.items(), ("fnn", fnn))


def _is_function(thing: Any) -> bool:
    return callable(thing) and not isinstance(thing, type | ModuleType)


def _is_initializer(thing: Any) -> bool:
    return isinstance(thing, type) and thing.__module__ == "fnn.initializers" and dataclasses.is_dataclass(thing)


def _is_stored_by_fields(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def _place(thing: Any) -> tuple[Any, Any]:
    return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
