"""Checks that a user's functions and methods take the arguments that fnn calls them with.

Python's own error counts the arguments; these errors name them.
"""

import inspect
from typing import Any


def takes(function: Any, *names: str, **keywords: Any) -> bool:
    """Whether a function can be called with these arguments; true if its signature is unknown."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*names, **keywords)
    except TypeError:
        return False
    return True


def check_takes(what: str, function: Any, *names: str) -> None:
    """Raises ``TypeError`` unless ``function`` can be called with arguments of these names."""
    if not callable(function):
        raise TypeError(f"{what} is a function of ({', '.join(names)}), got {function!r}")
    if not takes(function, *names):
        raise TypeError(
            f"{what} is called with ({', '.join(names)}), but {getattr(function, '__qualname__', function)!s} takes"
            f" {inspect.signature(function)}"
        )


def check_methods(cls: type, **methods: tuple[str, ...]) -> None:
    """Raises ``TypeError`` for a method defined in a class that cannot be called with arguments of these names."""
    for name, names in methods.items():
        method = vars(cls).get(name)
        if inspect.isfunction(method) and not takes(method, "self", *names):
            raise TypeError(
                f"{cls.__name__}.{name} is called with ({', '.join(names)}), but takes {inspect.signature(method)}"
            )
