"""Where a gradient is asked for beside the point that is given: on kinks, at short numbers, at two batches at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import is_floating
from fnn.gradients.arrays import is_key, normal_like


def rounded(tree: Any) -> Any:
    """The floating leaves at multiples of one half, spread out: where the kinks and ties of most functions are."""
    return jax.tree.map(lambda leaf: np.round(4 * np.asarray(leaf)) / 2 if is_floating(leaf) else leaf, tree)


def bfloat16_values(tree: Any) -> Any:
    """The floating leaves rounded to values of bfloat16, in their own dtype, so that every dtype has the same point."""

    def each(leaf: Any) -> Any:
        return np.asarray(leaf).astype(jnp.bfloat16).astype(leaf.dtype) if is_floating(leaf) else leaf

    return jax.tree.map(each, tree)


def moved(tree: Any, distance: float, seed: int) -> Any:
    """The floating leaves with normal noise of that standard deviation."""

    def each(leaf: Any, noise: Any) -> Any:
        return leaf if noise is None else jnp.asarray(np.asarray(leaf) + distance * np.asarray(noise))

    return jax.tree.map(each, tree, normal_like(seed, tree))


def pair(tree: Any) -> Any:
    """Every leaf stacked with itself in the reverse order of samples: two batches."""

    def each(leaf: Any) -> Any:
        module = jnp if is_key(leaf) else np  # NumPy compiles nothing
        return module.stack([leaf, module.flip(leaf, 0) if leaf.ndim else leaf])

    return jax.tree.map(each, tree)
