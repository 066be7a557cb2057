"""Values: frozen dataclasses that print as their constructor call, compare and hash by their fields; hashable dicts."""

import dataclasses
from typing import Any

MANY = {"many": True}
"""Metadata of a field that holds the constructor's ``*arguments``."""


class Value:
    """A base of frozen dataclasses made with ``eq=False, repr=False``: values are equal if their fields are.

    A value with a field that cannot be hashed, such as an array or a traced number, equals only itself and hashes by
    identity. Comparing and hashing never raise.
    """

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        ours, theirs = _compared(self), _compared(other)
        return _hash(ours) is not None and _hash(theirs) is not None and ours == theirs

    def __hash__(self) -> int:
        fields = _hash(_compared(self))
        return object.__hash__(self) if fields is None else hash((type(self), fields))

    def __repr__(self) -> str:
        """The call; arguments with defaults are shown by name, and left out at their defaults."""
        return called(self, bare=True)


class FrozenDict(dict):
    """A dict that is never modified, and so can be hashed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def called(value: Any, *, bare: bool = False) -> str:
    """A dataclass as its constructor call, without fields at their defaults; ``bare``: required ones without names."""
    shown: list[str] = []
    for field in dataclasses.fields(value):
        if not field.repr or _is_default(field, content := getattr(value, field.name)):
            continue
        if "many" in field.metadata:
            shown.extend(map(_shown, content))
        elif bare and not field.kw_only and field.default is dataclasses.MISSING:
            shown.append(_shown(content))
        else:
            shown.append(f"{field.name}={_shown(content)}")
    return f"{type(value).__name__}({', '.join(shown)})"


def _is_default(field: dataclasses.Field, value: Any) -> bool:
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return default is not dataclasses.MISSING and type(value) is type(default) and bool(value == default)


def _shown(value: Any) -> str:
    """A value as it prints; a function by its name, without its address."""
    return getattr(value, "__qualname__", repr(value)) if callable(value) else repr(value)


def _compared(value: Any) -> tuple:
    return tuple(getattr(value, field.name) for field in dataclasses.fields(value) if field.compare)


def _hash(fields: tuple) -> int | None:
    try:
        return hash(fields)
    except TypeError:  # an array, or something else that is mutable
        return None
