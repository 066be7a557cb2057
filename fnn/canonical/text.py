"""Canonical text of a value: the same for equal values, in every process."""

import copyreg
import dataclasses
import enum
import functools
import types
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from fnn.canonical.bytecode import Unset, captured, globals_read, instructions
from fnn.canonical.digest import array_text, described, sha256
from fnn.canonical.origin import is_installed, public_name, written

DEPTH, SIZE = 100, 100_000
"""How deep values may nest, and how many a text may describe."""

SHORT, LISTED = 200, 10
"""The most characters of a string that is written out, and of values that cannot be compared that are listed."""


class Text(NamedTuple):
    """The ``text``; digests of the ``code`` of its functions, by name; in words, what cannot be compared."""

    text: str
    code: dict[str, str]
    not_compared: list[str]


def canonical(value: Any) -> Text:
    """Describes a value so that another process, such as a later run, can tell whether it has the same value.

    The text holds class names, fields and exact numbers; arrays by dtype, shape and digest; functions and classes of an
    installed package by name. A function of the program itself, or one made inside another (as optax does), is written
    with its defaults, the variables it captured and the globals it reads, recursively, and with a digest of its code
    (see ``instructions``). The same holds for the methods of the program's own classes. Other objects are written as
    they would be pickled. Those that cannot be pickled (a lock, a file, a generator), or nest without end, are named by
    their class and listed. Never raises.

    >>> canonical((1, 1.0, True, {"b": -0.0, "a": np.arange(3)})).text
    "(1, 1.0, True, {'a': int64[3](0, 1, 2), 'b': -0.0})"
    >>> import threading
    >>> canonical([threading.Lock()])
    Text(text='[<_thread.lock>]', code={}, not_compared=['an entry of a list is a _thread.lock'])
    """
    writer = _Writer()
    text = writer.write(value, "it")
    others = list(dict.fromkeys(writer.not_compared))
    more = [f"so are {len(others) - LISTED} more"] if len(others) > LISTED else []
    return Text(text, writer.code, others[:LISTED] + more)


class _Writer:
    def __init__(self) -> None:
        self.code: dict[str, str] = {}
        self.not_compared: list[str] = []
        self._place, self._left = "", SIZE
        self._open: dict[int, int] = {}  # the depth of each value that is being written, by identity
        self._digests: dict[types.CodeType, str] = {}
        self._named: dict[int, tuple[Any, str]] = {}  # classes and functions already written in full, with their names

    def write(self, value: Any, place: str) -> str:
        """The text of a value that is found at this place."""
        before, self._place = self._place, place
        self._left -= 1
        try:
            if value is None or type(value) in (bool, int, float, complex):
                return repr(value)
            if type(value) in (str, bytes):
                return _quoted(value)
            if id(value) in self._open:  # the value contains itself
                return f"<{len(self._open) - self._open[id(value)]} up>"
            if len(self._open) >= DEPTH or self._left < 0:
                limit = "is nested too deeply" if self._left >= 0 else f"lies beyond the limit of {SIZE:,} values"
                return self._foreign(value, f", which {limit},")
            self._open[id(value)] = len(self._open)
            try:
                return self._written(value)
            except Exception:  # a deleted array, one of other processes, a class that fails to pickle
                return self._foreign(value)
            finally:
                del self._open[id(value)]
        finally:
            self._place = before

    def _written(self, value: Any) -> str:
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, Tracer):
            return self._foreign(value)
        if isinstance(value, jax.Device):
            return f"<a {value.platform} device>"
        if isinstance(value, enum.Enum):
            return f"{self._class(type(value))}({self.write(value.value, 'the value of an enum')})"
        if isinstance(value, np.dtype):
            return f"dtype({value})"
        if isinstance(value, jax.ShapeDtypeStruct):
            return f"ShapeDtypeStruct({described(value)})"
        if isinstance(value, jax.Array | np.ndarray | np.generic) or _is_array(value):
            return self._array(value)
        if isinstance(value, types.ModuleType):
            return f"<module {value.__name__}>"
        if callable(value):
            if name := public_name(value):
                return name
            if isinstance(value, types.FunctionType):
                return self._function(value)
            if isinstance(value, functools.partial):
                return self._call(type(value), ("func", value.func), ("args", value.args), ("keywords", value.keywords))
            if isinstance(value, _WRAPPERS):
                return f"{type(value).__name__}({self.write(value.__wrapped__, 'what a function wraps')})"
        return self._container(value)

    def _container(self, value: Any) -> str:
        kind = type(value)
        if kind is tuple:
            return f"({', '.join(self._entries(value))}{',' if len(value) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(self._entries(value))}]"
        if isinstance(value, set | frozenset):
            return f"{self._class(kind)}({', '.join(self._entries(sorted(value, key=self._alone)))})"
        if kind in (dict, types.MappingProxyType):
            return f"{{{', '.join(map(self._pair, sorted(value.items(), key=lambda item: self._alone(item[0]))))}}}"
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return self._call(kind, *zip(kind._fields, value, strict=True))
        if dataclasses.is_dataclass(value):
            compared = [field.name for field in dataclasses.fields(value) if field.compare]
            return self._call(kind, *((name, getattr(value, name, Unset)) for name in compared))
        return self._pickled(value)

    def _alone(self, value: Any) -> str:
        """The text of a value wherever it occurs, as a sort key."""
        if type(value) is str:
            return repr(value)
        writer = _Writer()
        writer._open, writer._left = dict(self._open), self._left
        text = writer.write(value, "")
        self._left = writer._left
        return f"{text}{writer.code}"

    def _pair(self, pair: tuple[Any, Any]) -> str:
        key = self.write(pair[0], "the key of an entry")
        return f"{key}: {self.write(pair[1], f'entry {key[:SHORT]}')}"

    def _entries(self, values: Iterable[Any]) -> list[str]:
        return [self.write(value, f"an entry of a {type(values).__name__}") for value in values]

    def _call(self, kind: type, *fields: tuple[str, Any]) -> str:
        name = kind.__name__
        arguments = ", ".join(f"{field}={self.write(value, f'{field!r} of {name}')}" for field, value in fields)
        return f"{self._class(kind)}({arguments})"

    def _array(self, value: Any) -> str:
        array = value if isinstance(value, jax.Array) else np.asanyarray(value)
        if array.dtype != object:
            return array_text(array)
        return f"{described(array)}({self.write(array.tolist(), 'an array of objects')})"

    def _function(self, function: types.FunctionType) -> str:
        if id(function) in self._named:
            return self._named[id(function)][1]
        name = function.__qualname__
        shown = self._label(name, self._digest(function.__code__))
        if "<" not in name:  # made only once; local functions may be equal, and are written each time
            self._named[id(function)] = function, f"<{shown}>"
        about = []
        defaults = {"defaults": function.__defaults__, "keyword defaults": function.__kwdefaults__}
        about += [f"{what}={self.write(given, f'the {what} of {name}')}" for what, given in defaults.items() if given]
        for free, value in captured(function).items():
            about.append(f"{free}={self.write(value, f'{free!r}, captured by {name},')}")
        if not is_installed(function.__globals__.get("__name__", "__main__")):
            for free, value in globals_read(function).items():
                about.append(f"{free}={self.write(value, f'{free!r}, a global that {name} reads,')}")
        return f"<{'; '.join([shown, *about])}>"

    def _digest(self, code: types.CodeType) -> str:
        if code not in self._digests:
            lines = instructions(code, lambda value: self.write(value, f"a constant of {code.co_name}"))
            self._digests[code] = sha256(lines)
        return self._digests[code]

    def _label(self, name: str, digest: str) -> str:
        """The name, numbered if other code has the same name."""
        label, number = name, 1
        while self.code.setdefault(label, digest) != digest:
            number += 1
            label = f"{name} ({number})"
        return label

    def _class(self, kind: type) -> str:
        if name := public_name(kind):
            return name
        if is_installed(kind.__module__):
            return f"{kind.__module__}.{kind.__qualname__}"
        if id(kind) in self._named:
            return self._named[id(kind)][1]
        name, others = kind.__qualname__, [other for other, _ in self._named.values() if isinstance(other, type)]
        same = sum(other.__qualname__ == name for other in others)
        shown = f"{name} ({same + 1})" if same else name
        self._named[id(kind)] = kind, shown
        if issubclass(kind, enum.Enum):
            return shown
        about = [f"{name}={self.write(value, f'{name!r} of {kind.__name__}')}" for name, value in written(kind).items()]
        return f"{shown}{{{'; '.join(about)}}}" if about else shown

    def _pickled(self, value: Any) -> str:
        """An object as it would be pickled: by name, or by its constructor, arguments and state."""
        reduce: Any = copyreg.dispatch_table.get(type(value))
        parts: Any = reduce(value) if reduce else value.__reduce_ex__(4)
        if isinstance(parts, str):
            return f"<{type(value).__name__} {parts}>"
        make, arguments = parts[:2]
        state = parts[2] if len(parts) > 2 else None
        contents = [list(each) for each in parts[3:5] if each is not None]
        name = type(value).__name__
        if make is copyreg.__newobj__:  # type: ignore[attr-defined]
            make, *arguments = arguments
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):  # of a class with slots
            state = state[1] if state[0] is None else state[0] | state[1]
        about = [self.write(each, f"a part of a {name}") for each in (*arguments, *contents)]
        if isinstance(state, dict) and all(isinstance(key, str) for key in state):
            kept = sorted(key for key in state if not key.startswith("__"))
            about += [f"{key}={self.write(state[key], f'{key!r} of a {name}')}" for key in kept]
        elif state is not None:
            about.append(self.write(state, f"the state of a {name}"))
        return f"{self.write(make, f'the class of a {name}')}({', '.join(about)})"

    def _foreign(self, value: Any, why: str = "") -> str:
        name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        self.not_compared.append(f"{self._place}{why} is a {name}")
        return f"<{name}>"


_WRAPPERS: tuple[Any, ...] = (type(jax.jit(len)), type(functools.lru_cache(len)))


def _is_array(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("__array__", "shape", "dtype")) and not callable(value)


def _quoted(value: str | bytes) -> str:
    if len(value) <= SHORT:
        return repr(value)
    return f"{value[:SHORT]!r}…{sha256(repr(value))}"
