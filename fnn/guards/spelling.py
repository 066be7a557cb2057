"""Methods that nobody calls: one named nearly as a method of its contract is refused where its class is defined.

``def foward`` in a layer, ``def updates`` in a metric: Python takes them for methods of the author's own, and the one
that was meant stays that of the base.
"""

import difflib
import types
from collections.abc import Iterator
from typing import Any

SIMILAR = 0.8
"""So alike, at least, are a name and its misspelling: "aplly" and "apply" are 0.8; more if one is longer ("unfold")."""


def check_spelling(cls: type, what: str, aside: tuple[str, ...] = ()) -> None:
    """Raises ``TypeError`` for a method nearly named as an inherited one; ``what`` is the kind of class.

    A helper may have any name: a method that others of the class call by its name is one, and one beside the method
    that could have been meant (``weights`` beside ``weight``), or that makes more words of it (``forward_fn``). Methods
    ``aside`` are seldom given, and so seldom meant.
    """
    known = [name for name in _inherited(cls) if name not in aside]
    for name in unread(cls):
        meant = closest(name, known)
        if meant and meant not in vars(cls) and f"_{meant}_" not in f"_{name}_":
            raise TypeError(
                f"{cls.__name__}.{name} is called by nobody: did you mean {meant}? The methods of {what} are"
                f" {', '.join(known)}; give one of your own a name that is further from these"
            )


def unread(cls: type) -> list[str]:
    """The public methods of a class's own that override nothing, and that no other method of the class mentions."""
    known = set(_inherited(cls))
    own = {name: code for name, code in _methods(cls).items() if not name.startswith("_") and name not in known}
    return [
        name
        for name in own
        if not any(name in _mentioned(code) for other, code in _methods(cls).items() if other != name)
    ]


def closest(name: str, known: list[str], similar: float = SIMILAR) -> str | None:
    """The known name that is most like this one, but for capitals and underscores; ``None`` if none is alike."""
    ratios = {each: difflib.SequenceMatcher(None, _plain(name), _plain(each)).ratio() for each in known}
    best = max(ratios, key=lambda each: ratios[each], default=None)
    if best is None or ratios[best] < similar:
        return None
    return best if ratios[best] > similar or len(best) == len(name) else None


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _inherited(cls: type) -> list[str]:
    """The public methods and properties of the bases, in the order of their definition."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__[1:]):
        names |= dict.fromkeys(name for name in _methods(base) if not name.startswith("_"))
    return list(names)


def _methods(cls: type) -> dict[str, types.CodeType]:
    """The code of the functions and properties that stand in the body of a class; fields are none of them."""
    found: dict[str, types.CodeType] = {}
    for name, value in vars(cls).items():
        value = getattr(value, "fget", None) or getattr(value, "__func__", value)
        code = getattr(value, "__code__", None)
        if isinstance(code, types.CodeType) and name not in vars(cls).get("__annotations__", {}):
            found[name] = code
    return found


def _mentioned(code: types.CodeType) -> Iterator[Any]:
    """The names and constants in a function and in those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        yield from _mentioned(constant) if isinstance(constant, types.CodeType) else (constant,)
