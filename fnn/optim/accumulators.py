"""Trees like the parameters: gradients checked against them, accumulators made for them, and the count of a state."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, is_floating
from fnn.layer import wide_dtype
from fnn.paths import named_leaves


def check_gradients(grads: Any, params: Any = None, accumulator: Any = None) -> tuple[Any, Any]:
    """The gradients as arrays, and the tree that gives updates their dtypes: params if given, else the gradients.

    Raises ``TypeError`` if the structure differs from that of params or of an accumulator in the state, or if a leaf is
    not floating; ``ValueError`` if a shape differs.
    """
    if params is not None:
        check_like("gradients", grads, "params", params)
    if accumulator is not None:
        check_like("gradients", grads, "optimiser state", accumulator)
    for name, tree in (("gradient", grads), ("parameter", params)):
        if not all(is_floating(leaf) for leaf in jax.tree.leaves(tree)):
            path, leaf = next((path, leaf) for path, leaf in named_leaves(tree).items() if not is_floating(leaf))
            raise TypeError(f"the {name} at {path!r} is {describe(leaf)}; an optimiser takes floating leaves only")
    grads = jax.tree.map(jnp.asarray, grads)
    return grads, grads if params is None else jax.tree.map(jnp.asarray, params)


def check_like(name: str, tree: Any, like_name: str, like: Any) -> None:
    """Raises unless a tree has the structure (``TypeError``) and the shapes (``ValueError``) of ``like``."""
    same_structure = jax.tree.structure(tree) == jax.tree.structure(like)
    if same_structure and _shapes(tree) == _shapes(like):
        return  # without computing any path
    ours, theirs = named_leaves(tree), named_leaves(like)
    if not same_structure:
        for path in theirs:
            if path not in ours:
                raise TypeError(f"the {name} differ in structure from the {like_name}: they have no leaf at {path!r}")
        for path in ours:
            if path not in theirs:
                raise TypeError(f"the {name} differ in structure from the {like_name}: an extra leaf at {path!r}")
        raise TypeError(
            f"the {name} differ in structure from the {like_name}, in the types of their containers:"
            f" {jax.tree.structure(tree)} is not {jax.tree.structure(like)}"
        )
    for path, leaf in ours.items():
        if jnp.shape(leaf) != jnp.shape(theirs[path]):
            raise ValueError(
                f"the {name} at {path!r} have shape {jnp.shape(leaf)}, the {like_name} {jnp.shape(theirs[path])}"
            )


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]


def accumulator_dtype(leaf: Any) -> Any:
    """The dtype in which to compute and accumulate for a leaf: its own, but at least float32."""
    return jnp.dtype(wide_dtype(leaf.dtype))


def full_like(params: Any, value: Any) -> Any:
    """An accumulator for params, filled with a value: arrays of their shapes, at least float32."""

    def full(param: Any) -> jax.Array:
        param = jnp.asarray(param)
        return jnp.full_like(param, value, dtype=accumulator_dtype(param))

    return jax.tree.map(full, params)


def zeros_like(params: Any) -> Any:
    """An accumulator for params, filled with zeros."""
    return full_like(params, 0)


def zero_count() -> jax.Array:
    """The ``count`` of a new state."""
    return jnp.zeros((), jnp.int32)


def increment(count: jax.Array) -> jax.Array:
    """One more update; stays at the largest integer instead of wrapping around."""
    count = jnp.asarray(count)
    return count + (count < jnp.iinfo(count.dtype).max).astype(count.dtype)
