"""Where a class or function comes from: the program's own are compared by their code, a package's by their name."""

import functools
import sys
import types
from typing import Any


def is_installed(module: str) -> bool:
    """Whether a module belongs to fnn, Python or an installed package, not to the program itself.

    >>> is_installed("fnn.layers"), is_installed("functools"), is_installed("jax"), is_installed("__main__")
    (True, True, True, False)
    """
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    if top == "fnn" or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return True
    loaded = sys.modules.get(module) or sys.modules.get(top)
    places = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", ())]
    return any("site-packages" in place or "dist-packages" in place for place in places if place)


def public_name(thing: Any) -> str | None:
    """The name by which an installed class or function can be imported, in fnn the shortest; ``None`` if it has none.

    >>> import fnn, jax
    >>> public_name(fnn.optim.momentum), public_name(jax.jit(max)), public_name(max)
    ('fnn.optim.momentum', None, 'max')
    """
    try:
        module, name = thing.__module__, thing.__qualname__
    except Exception:  # a foreign object may raise anything
        return None
    if not isinstance(module, str) or not isinstance(name, str) or not is_installed(module):
        return None
    parts = module.split(".")
    tried = [".".join(parts[:length]) for length in range(1, len(parts))] if parts[0] == "fnn" else []
    for place in [*tried, module]:
        found: Any = sys.modules.get(place)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is thing:
            return name if place == "builtins" else f"{place}.{name}"
    return None


def written(kind: type) -> dict[str, Any]:
    """What the author wrote in a class, by name: methods, as functions, other attributes, and bases.

    Docstring, annotations, what Python or ``dataclass`` generates, and bases from packages are left out.
    """
    own: dict[str, Any] = {
        f"base {base.__name__}": base for base in kind.__bases__ if not is_installed(base.__module__)
    }
    return own | {name: _inside(each) for name, each in sorted(vars(kind).items()) if _is_written(name, each)}


def _inside(attribute: Any) -> Any:
    """The functions inside a method, a property and the like."""
    if isinstance(attribute, staticmethod | classmethod):
        return attribute.__func__
    if isinstance(attribute, property):
        return tuple(each for each in (attribute.fget, attribute.fset, attribute.fdel) if each)
    return attribute.func if isinstance(attribute, functools.cached_property) else attribute


_PYTHONS = ("_abc_", "__annotate")


def _is_written(name: str, attribute: Any) -> bool:
    if isinstance(attribute, types.MemberDescriptorType | types.GetSetDescriptorType) or name.startswith(_PYTHONS):
        return False
    if not name.startswith("__") or not name.endswith("__"):
        return True
    function = _inside(attribute)
    if not isinstance(function, types.FunctionType) or is_installed(function.__globals__.get("__name__", "__main__")):
        return False
    return function.__code__.co_filename != "<string>"  # the file name of what dataclass generates
