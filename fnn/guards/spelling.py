"""Misspelt methods: one that nobody calls, with nearly the name of a method of the contract, raises in its class.

``def foward`` in a layer, ``def updates`` in a metric: to Python these are new methods, and the base class's method
silently stays in use.
"""

import difflib
import types
from collections.abc import Iterator
from typing import Any

SIMILAR = 0.8
"""The least similarity of a misspelling, "aplly" for "apply"; names of different length ("unfold") must exceed it."""


def check_spelling(cls: type, what: str, aside: tuple[str, ...] = ()) -> None:
    """Raises ``TypeError`` for a method with nearly the name of an inherited one; ``what`` is the kind of class.

    A helper may have any name: a method that another method of the class mentions, one defined beside the method that
    it resembles (``weights`` beside ``weight``), or one that adds words to it (``forward_fn``). The methods ``aside``
    are rarely overridden, so a resemblance to them means nothing.
    """
    known = [name for name in _inherited(cls) if name not in aside]
    for name in unread(cls):
        meant = closest(name, known)
        if meant and meant not in vars(cls) and f"_{meant}_" not in f"_{name}_":
            raise TypeError(
                f"nothing calls {cls.__name__}.{name}: did you mean {meant}? The methods of {what} are"
                f" {', '.join(known)}; if the method is your own, give it a name less like these"
            )


def unread(cls: type) -> list[str]:
    """The public methods of a class that override nothing and that no other method of the class mentions."""
    known = set(_inherited(cls))
    own = {name: code for name, code in _methods(cls).items() if not name.startswith("_") and name not in known}
    return [
        name
        for name in own
        if not any(name in _mentioned(code) for other, code in _methods(cls).items() if other != name)
    ]


def closest(name: str, known: list[str], similar: float = SIMILAR) -> str | None:
    """The most similar known name, ignoring capitals and underscores; ``None`` if no name is similar."""
    ratios = {each: difflib.SequenceMatcher(None, _plain(name), _plain(each)).ratio() for each in known}
    best = max(ratios, key=lambda each: ratios[each], default=None)
    if best is None or ratios[best] < similar:
        return None
    return best if ratios[best] > similar or len(best) == len(name) else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _inherited(cls: type) -> list[str]:
    """The public methods and properties of the base classes, in the order of definition."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__[1:]):
        names |= dict.fromkeys(name for name in _methods(base) if not name.startswith("_"))
    return list(names)


def _methods(cls: type) -> dict[str, types.CodeType]:
    """The code of the functions and properties defined in a class, without its fields."""
    found: dict[str, types.CodeType] = {}
    for name, value in vars(cls).items():
        value = getattr(value, "fget", None) or getattr(value, "__func__", value)
        code = getattr(value, "__code__", None)
        if isinstance(code, types.CodeType) and name not in vars(cls).get("__annotations__", {}):
            found[name] = code
    return found


def _mentioned(code: types.CodeType) -> Iterator[Any]:
    """The names and constants in a function and in nested functions."""
    yield from code.co_names
    for constant in code.co_consts:
        yield from _mentioned(constant) if isinstance(constant, types.CodeType) else (constant,)
