"""A function of one example, over a batch of them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, is_floating
from fnn.layer import wide_dtype


def each_example(per_example: Callable[[Any, Any], Any], prediction: Any, target: Any) -> jax.Array:
    """``per_example`` of every example, computed in at least float32."""
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves((prediction, target))}
    if len(sizes) != 1 or not all(size and size[0] for size in sizes):
        raise ValueError(
            f"prediction and target have one leading axis of N examples, got {describe(prediction)} and"
            f" {describe(target)}"
        )

    def widened(leaf: Any) -> Any:
        return leaf.astype(wide_dtype(leaf.dtype)) if is_floating(leaf) else leaf

    def one(prediction: Any, target: Any) -> jax.Array:
        found = per_example(prediction, target)
        if isinstance(found, tuple | list | dict | None) or not is_floating(found):
            raise TypeError(
                f"{per_example.__qualname__} returns the loss of one example, a floating number, got {describe(found)}"
            )
        found = jnp.asarray(found)
        if found.ndim and all(jnp.shape(leaf)[: found.ndim] != found.shape for leaf in jax.tree.leaves(target)):
            raise ValueError(
                f"{per_example.__qualname__} returns the loss of one example, a number, or one for each step of a"
                f" target that is a sequence, got {describe(found)} for the target {describe(target)}; write"
                f" .sum() or .mean() of it"
            )
        return found

    return jax.vmap(one)(*jax.tree.map(widened, (prediction, target)))
