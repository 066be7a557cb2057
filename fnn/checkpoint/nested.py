"""Nested dicts of arrays as JSON, for files that are read without a tree to compare with."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.checkpoint.stored_leaf import Spec
from fnn.errors import describe
from fnn.paths import join
from fnn.stacked import Stacked


def structure_of(path: str, tree: Any) -> Any:
    """Nested dicts as JSON: {"names": {name: …}, "stacked": sizes}, and null for an array.

    Errors: ``TypeError`` for anything else, with its path.
    """
    if not isinstance(tree, dict):
        if not hasattr(tree, "shape"):
            raise TypeError(f"{path} is a nested dict of arrays, as init returns it, got {describe(tree)}")
        return None
    sizes = list(tree.sizes) if isinstance(tree, Stacked) else []
    return {"names": {name: structure_of(join(path, name), part) for name, part in tree.items()}, "stacked": sizes}


def tree_like(path: str, structure: Any, specs: dict[str, Spec]) -> Any:
    """The tree of that structure with shapes in the place of arrays, as ``load`` takes it."""
    if structure is None:
        spec = specs[path]
        if spec.random:
            return jax.random.wrap_key_data(jnp.zeros(spec.shape, spec.dtype), impl=spec.random)
        return jax.ShapeDtypeStruct(spec.shape, spec.dtype)
    tree = {name: tree_like(join(path, name), part, specs) for name, part in structure["names"].items()}
    return Stacked(tree, tuple(structure["stacked"])) if structure["stacked"] else tree
