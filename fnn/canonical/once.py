"""A memory for what is made of a value, so that it is made once."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from fnn.canonical.text import canonical

T = TypeVar("T")


def once_for_same(make: Callable[[Any], T], kept: int = 32) -> Callable[[Any], T]:
    """``make`` with a memory: the same value gets what the last of the ``kept`` latest got.

    The same is one that is equal and has the same canonical text: what its functions capture, read from global
    variables or hold as attributes has not changed either. For a value that cannot be hashed it is made anew.
    ``cache_clear()`` forgets everything.
    """

    @functools.lru_cache(maxsize=kept)
    def remembered(value: Any, text: str, code: tuple) -> T:
        del text, code
        return make(value)

    @functools.wraps(make)
    def made(value: Any) -> T:
        try:
            hash(value)
        except TypeError:  # an array in it, or something else that can change
            return make(value)
        text, code, _ = canonical(value)
        return remembered(value, text, tuple(code.items()))

    made.cache_clear = remembered.cache_clear  # type: ignore[attr-defined]
    return made
