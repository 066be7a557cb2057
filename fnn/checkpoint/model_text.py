"""A model as data: JSON of class names and fields, from which another process makes an equal model."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn.checkpoint.registry import class_named, function_named, name_of_class, name_of_function
from fnn.combinators.named import NamedChildren
from fnn.errors import instance_hint
from fnn.layer import Layer
from fnn.paths import join

FORMAT = 1
"""The version of the text."""

KINDS = ("class", "function", "tuple", "dict", "dtype", "float")
"""What an object of the text can stand for: its first key says it."""


def to_json(model: Layer, *, indent: int | None = None) -> str:
    """A model as JSON, which ``from_json`` turns into an equal model, in another process too.

        {"format": 1, "model": {"class": "Dense", "fields": {"features": 3, …}}}

    Every field is written, defaults too, so that a default that changes changes no stored model. Classes are those of
    fnn and those given to ``fnn.register``; functions are stored by name if they are in ``jax.nn``, ``jax.numpy`` or
    fnn, or registered.

    Errors: ``TypeError``, with the path, for what has no text: a class or function that is not registered, an array.

    >>> import fnn, jax
    >>> text = to_json(fnn.Serial(fnn.Dense(3), fnn.Lambda(jax.nn.relu)))
    >>> from_json(text)
    Serial(Dense(features=3), Lambda(fn=relu))
    """
    if not isinstance(model, Layer):
        shown = repr(model) if isinstance(model, type) else f"a {type(model).__name__}"
        raise TypeError(f"to_json takes a model, which is a layer, got {shown}{instance_hint(model)}")
    return json.dumps({"format": FORMAT, "model": _written("", model)}, indent=indent, ensure_ascii=False)


def from_json(text: str | bytes) -> Layer:
    """The model that ``to_json`` wrote.

    Names are looked up among the classes and functions that ``to_json`` can write. Nothing is imported and no code is
    executed but the constructors of those classes.

    Errors: ``ValueError``, with the path, for text that is no model, a newer format, an unknown class, function or
    field, two layers of one name, and what a constructor refuses; ``TypeError`` for what is not text.
    """
    if not isinstance(text, str | bytes | bytearray):
        raise TypeError(f"from_json takes the text that fnn.to_json returned, got {type(text).__name__}")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"this is no JSON of a model: {error}") from error
    if not isinstance(whole, dict) or set(whole) != {"format", "model"}:
        raise ValueError('the JSON of a model is {"format": 1, "model": …}, as fnn.to_json writes it')
    if whole["format"] != FORMAT:
        raise ValueError(f"the model has the format {whole['format']!r}, and this fnn reads {FORMAT}: use a newer fnn")
    try:
        model = _read("", whole["model"])
    except RecursionError as error:
        raise ValueError("the layers of the model are nested too deeply") from error
    if not isinstance(model, Layer):
        raise ValueError(f"the JSON describes no layer, but {model!r}")
    return model


def _written(path: str, value: Any) -> Any:
    if isinstance(value, np.bool | np.integer | np.floating):
        value = value.item()  # NumPy's scalars, as of a sweep over numpy.linspace
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": str(value)}
    if type(value) is tuple:
        return {"tuple": [_written(join(path, str(i)), each) for i, each in enumerate(value)]}
    if isinstance(value, Mapping):
        return {"dict": [[_written(path, key), _written(join(path, str(key)), each)] for key, each in value.items()]}
    if isinstance(value, np.dtype | type) and (dtype := _dtype(value)) is not None:
        return {"dtype": dtype.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _instance(path, value)
    name = name_of_function(value)
    if name is None:
        what = "a function without a name that can be found again" if callable(value) else f"a {type(value).__name__}"
        shown = getattr(value, "__qualname__", repr(value))
        raise TypeError(
            f"{_at(path)} {shown} is {what}: a stored model holds numbers, text, layers, and functions of jax.nn,"
            f" jax.numpy or fnn, or given to fnn.register"
        )
    return {"function": name}


def _instance(path: str, value: Any) -> dict[str, Any]:
    name = name_of_class(type(value))
    if name is None:
        kind = type(value).__name__
        raise TypeError(f"{_at(path)} {kind} is no class of fnn that a model holds: write fnn.register({kind})")
    if isinstance(value, NamedChildren):
        layers = [[child, _written(join(path, child), layer)] for child, layer in value.children().items()]
        options = {key: _written(join(path, key), each) for key, each in value._options().items()}
        return {"class": name, "layers": layers, "fields": options}
    fields = [field for field in dataclasses.fields(value) if field.init]
    return {
        "class": name,
        "fields": {field.name: _written(join(path, field.name), getattr(value, field.name)) for field in fields},
    }


def _read(path: str, node: Any) -> Any:
    if node is None or isinstance(node, bool | int | float | str):
        return node
    kind = next(iter(node), None) if isinstance(node, dict) else None
    if kind not in KINDS or (kind != "class" and len(node) != 1):
        raise ValueError(f"{_at(path)} expected a number, text or an object of {list(KINDS)}, got {str(node)[:80]}")
    content = node[kind]
    try:
        return _READERS[kind](path, node if kind == "class" else content)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{_at(path)} {str(content)[:80]} cannot be made: {error}") from error


def _read_class(path: str, node: dict[str, Any]) -> Any:
    name, fields, layers = node["class"], node["fields"], node.get("layers", [])
    named = isinstance(layers, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in layers)
    if not isinstance(fields, dict) or not named:
        raise ValueError(f"{_at(path)} fields are an object, and layers a list of [name, layer], got {str(node)[:80]}")
    kind = class_named(name) if isinstance(name, str) else None
    if kind is None or set(node) - {"class", "fields", "layers"}:
        raise ValueError(
            f"{_at(path)} there is no class {name!r} here: it belongs to a newer fnn, or is to be given to"
            f" fnn.register before the model is loaded"
        )
    children = {child: _read(join(path, child), layer) for child, layer in layers}
    if len(children) < len(layers):
        raise ValueError(f"{_at(path)} two layers have one name, of {[child for child, _ in layers]}")
    known = {field.name for field in dataclasses.fields(kind) if field.init}
    if issubclass(kind, NamedChildren):
        known = {field.name for field in dataclasses.fields(kind)} - {"names", "layers"}
    if unknown := sorted(set(fields) - known):
        raise ValueError(f"{_at(path)} {name} has no field {unknown[0]!r}; it has {sorted(known)}")
    given = {key: _read(join(path, key), each) for key, each in fields.items()}
    try:
        return kind(**children, **given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_at(path)} {name} cannot be made of {given}: {error}") from error


def _read_function(path: str, name: Any) -> Any:
    found = function_named(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(
            f"{_at(path)} there is no function {name!r} here: it is to be given to fnn.register before the model is"
            f" loaded"
        )
    return found


def _read_float(path: str, name: Any) -> float:
    if name not in ("nan", "inf", "-inf"):
        raise ValueError(f"{_at(path)} a float that JSON lacks is 'nan', 'inf' or '-inf', got {name!r}")
    return float(name)


def _read_dict(path: str, items: Any) -> dict[Any, Any]:
    found = {_read(path, key): _read(join(path, str(key)), each) for key, each in items}
    if len(found) < len(items):
        raise ValueError(f"{_at(path)} two entries of a dict have one name, of {[key for key, _ in items]}")
    return found


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "class": _read_class,
    "function": _read_function,
    "tuple": lambda path, entries: tuple(_read(join(path, str(i)), each) for i, each in enumerate(entries)),
    "dict": _read_dict,
    "dtype": lambda path, name: jnp.dtype(name),
    "float": _read_float,
}


def _dtype(value: Any) -> np.dtype | None:
    try:
        found = jnp.dtype(value)
    except TypeError:
        return None
    return None if found.hasobject or found.names else found  # any class is a dtype of objects to NumPy


def _at(path: str) -> str:
    return f"in {path or 'the model'}:"
