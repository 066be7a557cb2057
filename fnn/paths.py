"""Names, paths and globs: the one way to name a place in a model or in a tree of arrays.

A **path** is the sequence of names from the root, joined by a slash: ``encoder/dense_0/kernel``. A layer's path is the
prefix of the paths of its parameters. A **glob** selects paths:

* ``*`` matches any characters, slashes included; ``?`` one character; ``[ab]`` an a or a b;
* a leading ``*/`` also matches nothing, so ``*/bias`` selects ``bias`` and ``encoder/dense_0/bias``;
* a last name ``kernel`` stands for ``kernel`` and every ``*_kernel``: ``*/kernel`` selects recurrent kernels too;
* a glob that selects no path is an error: a misspelt glob must not silently select nothing.
"""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import jax

SEPARATOR = "/"


def join(*names: str) -> str:
    """Joins names or paths; empty ones, of children that add no segment, are left out."""
    return SEPARATOR.join(name for name in names if name)


def check_name(name: str) -> str:
    """Returns a valid name of a child or raises ``ValueError``."""
    if not isinstance(name, str) or not name or any(character in name for character in f"{SEPARATOR}*?["):
        raise ValueError(f"a name is a non-empty string without {SEPARATOR!r} and without *, ? and [, got {name!r}")
    return name


def path_of(key_path: tuple) -> str:
    """The path of a key path of ``jax.tree_util``."""
    return jax.tree_util.keystr(key_path, simple=True, separator=SEPARATOR)


def named_leaves(tree: Any) -> dict[str, Any]:
    """All leaves of a pytree by path, in the order of ``jax.tree.leaves``.

    >>> named_leaves({"dense_0": {"bias": 1, "kernel": 2}})
    {'dense_0/bias': 1, 'dense_0/kernel': 2}
    """
    return {path_of(key_path): leaf for key_path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}


def map_named(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Like ``jax.tree.map``, with the path of the leaf as the first argument."""
    return jax.tree_util.tree_map_with_path(lambda path, *leaves: function(path_of(path), *leaves), tree, *rest)


def lies_in(path: str, layers: Iterable[str]) -> bool:
    """Whether a path lies in one of the layers at these paths.

    >>> lies_in("encoder/dense_0/bias", ["encoder"]), lies_in("encoder_2/bias", ["encoder"]), lies_in("bias", [""])
    (True, False, True)
    """
    return any(not layer or path == layer or path.startswith(f"{layer}{SEPARATOR}") for layer in layers)


def matches(glob: str, path: str) -> bool:
    """Whether a glob selects a path.

    >>> matches("*/kernel", "kernel"), matches("*/kernel", "lstm_0/recurrent_kernel")
    (True, True)
    """
    head, _, last = path.rpartition(SEPARATOR)
    if glob.rpartition(SEPARATOR)[2] == "kernel" and last.endswith("_kernel"):
        path = join(head, "kernel")
    return any(fnmatchcase(path, each) for each in {glob, glob.removeprefix("*/")})


def select(globs: str | Iterable[str], paths: Iterable[str]) -> list[str]:
    """The paths that at least one glob selects, in their own order.

    Raises ``ValueError`` for a glob that selects nothing.
    """
    globs = (globs,) if isinstance(globs, str) else tuple(globs)
    paths = list(paths)
    for glob in globs:
        if not any(matches(glob, path) for path in paths):
            raise ValueError(f"the glob {glob!r} matches none of the paths {_some(paths)}")
    return [path for path in paths if any(matches(glob, path) for glob in globs)]


def _some(paths: list[str], limit: int = 12) -> str:
    shown = ", ".join(path or "''" for path in paths[:limit])
    return f"[{shown}]" if len(paths) <= limit else f"[{shown}, … {len(paths) - limit} more]"
