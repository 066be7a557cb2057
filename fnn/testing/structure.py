"""The same structure, shapes, dtypes and objects, and the same bits."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from fnn.errors import describe
from fnn.gradients.arrays import arrays
from fnn.paths import named_leaves
from fnn.testing.violations import Violations


def identical(found: Violations, what: str, got: Any, expected: Any) -> bool:
    """Adds a line for every leaf that is not the same, bit for bit."""
    if not alike(found, what, got, expected):
        return False
    ours, theirs = arrays(got), arrays(expected)
    differing = [path or "value" for path in theirs if not np.array_equal(ours[path], theirs[path], equal_nan=True)]
    return found.expect(not differing, f"{what}: expected the same bits, {', '.join(differing)} differ")


def alike(found: Violations, what: str, got: Any, expected: Any) -> bool:
    """Adds a line for everything in which the structure, shapes or dtypes differ; says whether nothing does."""
    before = len(found.lines)
    ours, theirs = named_leaves(got), named_leaves(expected)
    for path in theirs.keys() - ours.keys():
        found.add(f"{what}, {path or 'value'}: expected {describe(theirs[path])}, got nothing")
    for path in ours.keys() - theirs.keys():
        found.add(f"{what}, {path or 'value'}: expected nothing here, got {describe(ours[path])}")
    for path in ours.keys() & theirs.keys():
        same = describe(ours[path]) == describe(theirs[path])
        found.expect(same, f"{what}, {path or 'value'}: expected {describe(theirs[path])}, got {describe(ours[path])}")
    ours, theirs = jax.tree.structure(got), jax.tree.structure(expected)
    if len(found.lines) == before:
        found.expect(ours == theirs, f"{what}: expected the structure {theirs}, got {ours}")
    return len(found.lines) == before


def alike_compiled(found: Violations, what: str, got: Any, expected: Any) -> bool:
    """``alike`` as a compiled function sees it: a number is an array, and weak types are compared too.

    Says whether nothing but weak types differs. Raises ``TypeError`` for a leaf that is no array and no number.
    """
    got, expected = (jax.eval_shape(lambda tree: tree, tree) for tree in (got, expected))
    if not alike(found, what, got, expected):
        return False
    weak, ours = {path: leaf.weak_type for path, leaf in named_leaves(expected).items()}, named_leaves(got)
    differing = [path or "value" for path in weak if ours[path].weak_type != weak[path]]
    found.expect(
        not differing,
        f"{what}: expected the same weak types, {', '.join(differing)} differ, for which a step is compiled once more;"
        " give the number a dtype",
    )
    return True


def watched(tree: Any) -> Callable[[], bool]:
    """Says later whether a tree still has the same containers and, in them, the very same leaves."""
    leaves, treedef = jax.tree.flatten(tree)

    def unaltered() -> bool:
        after, now = jax.tree.flatten(tree)
        return treedef == now and all(one is other for one, other in zip(leaves, after, strict=True))

    return unaltered


def expect_cache(found: Violations, cache: Any) -> bool:
    """Adds a line unless a cache is a dict, and for every leaf that is no array; says whether it is a dict."""
    for path, leaf in named_leaves(cache).items() if isinstance(cache, dict) else ():
        found.expect(
            isinstance(leaf, jax.Array),
            f"cache, {path}: expected an array (a static fact rides as Static), got {type(leaf).__name__}",
        )
    return found.expect(isinstance(cache, dict), f"cache: expected a dict, got {type(cache).__name__}")
