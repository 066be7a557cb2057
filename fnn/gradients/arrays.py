"""Trees of arrays: in another dtype, drawn at random, as shapes alone, and by path in NumPy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import is_floating
from fnn.paths import named_leaves


def cast(tree: Any, dtype: Any) -> Any:
    """All leaves as JAX arrays, the floating ones in that dtype; integers, booleans and random keys stay."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype if is_floating(leaf) else None), tree)


def normal_like(seed: int, tree: Any) -> Any:
    """Standard normal numbers in the place of every floating leaf, ``None`` in the place of the others."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.standard_normal(leaf.shape).astype(leaf.dtype)) if is_floating(leaf) else None,
        tree,
    )


def shapes(tree: Any, dtype: Any = None) -> Any:
    """The shapes and dtypes of all leaves, the floating ones in another dtype if one is given."""

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        other = dtype is not None and is_floating(leaf)
        return jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype) if other else leaf.dtype)

    return jax.tree.map(shape, tree)


def gradient_like(tree: Any) -> Any:
    """The leaves that have a gradient, ``None`` in the place of the others."""
    return jax.tree.map(lambda leaf: leaf if is_floating(leaf) else None, tree)


def is_key(leaf: Any) -> bool:
    """Whether a leaf is a typed random key, which NumPy cannot hold."""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def array(leaf: Any) -> np.ndarray:
    """A leaf as a NumPy array of float64, a random key as its bits."""
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).astype(np.float64)


def arrays(tree: Any) -> dict[str, np.ndarray]:
    """All leaves by path, as NumPy arrays of float64."""
    return {path: array(leaf) for path, leaf in named_leaves(tree).items()}
