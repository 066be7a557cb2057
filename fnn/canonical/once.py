"""A cache for what is made from a value, so that it is made once."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from fnn.canonical.text import canonical

T = TypeVar("T")


def once_for_same(make: Callable[[Any], T], kept: int = 32) -> Callable[[Any], T]:
    """``make`` with a cache of the ``kept`` latest results.

    A result is reused for a value that is equal and has the same canonical text: nothing that its functions capture,
    read from globals or hold as attributes has changed. Without a hash, the result is made anew each time.
    ``cache_clear()`` empties the cache.
    """

    @functools.lru_cache(maxsize=kept)
    def remembered(value: Any, text: str, code: tuple) -> T:
        del text, code
        return make(value)

    @functools.wraps(make)
    def made(value: Any) -> T:
        try:
            hash(value)
        except TypeError:  # it holds an array, or something else that is mutable
            return make(value)
        text, code, _ = canonical(value)
        return remembered(value, text, tuple(code.items()))

    made.cache_clear = remembered.cache_clear  # type: ignore[attr-defined]
    return made
