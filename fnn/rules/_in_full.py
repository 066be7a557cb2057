"""The norm of a gradient that has to be formed: for a few examples at a time."""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
from jax.custom_batching import custom_vmap

from fnn.rules._sums import square_of


def square_in_full(made: Any, array: Callable[[Any], Any] = lambda made: made.array()) -> Any:
    """The squares of ``array(made)``, summed leaf by leaf, for one example after another under ``vmap``.

    As many are formed at a time as take no more memory than a quarter of what they are formed from.
    """
    leaves, treedef = jax.tree.flatten(made)

    def squares(*leaves: jax.Array) -> Any:
        return jax.tree.map(square_of, array(treedef.unflatten(leaves)))

    run = custom_vmap(squares)

    @run.def_vmap
    def _(size: int, batched: list[bool], *leaves: jax.Array) -> tuple[Any, Any]:
        mapped = [leaf for leaf, each in zip(leaves, batched, strict=True) if each]

        def one(mapped: list[Any]) -> list[Any]:
            rest = iter(mapped)
            return [next(rest) if each else leaf for leaf, each in zip(leaves, batched, strict=True)]

        first = [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in mapped]
        formed = jax.eval_shape(lambda mapped: array(treedef.unflatten(one(mapped))), first)
        entries = max(1, sum(leaf.size for leaf in jax.tree.leaves(formed)))
        at_once = min(size, max(1, sum(leaf.size for leaf in mapped) // (4 * entries)))
        found = lax.map(lambda mapped: squares(*one(mapped)), mapped, batch_size=at_once)
        return found, jax.tree.map(lambda _: True, found)

    return run(*leaves)
