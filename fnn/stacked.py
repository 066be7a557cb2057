"""Parameters of several layers stacked in one array: a dict that marks them, and maps that see one layer at a time.

The shape alone is ambiguous: (3, 8) may be the matrix of one layer or the biases of three. An optimiser that depends on
matrices, norms or sizes uses this module, so that every layer gets the update that it would get alone.
"""

from collections.abc import Callable, Iterator
from typing import Any, Self

import jax
import jax.numpy as jnp

from fnn.errors import describe
from fnn.paths import path_of


@jax.tree_util.register_pytree_with_keys_class
class Stacked(dict):
    """A dict of parameters stacked over layers: ``sizes`` are the lengths of the leading axes that every leaf has.

    ``Repeat.init`` returns it. Its entries, paths and printed form are those of the dict of one layer. ``jax.tree.map``
    treats it as another container than ``dict``, so all trees of one call must be of the same kind:
    ``Stacked(plain, (3,))`` and ``dict(stacked)`` convert.

    >>> params = Stacked({"bias": jnp.zeros((3, 8))}, (3,))
    >>> params["bias"].shape, params.sizes, jax.tree.map(jnp.sum, params)
    ((3, 8), (3,), {'bias': Array(0., dtype=float32)})
    """

    sizes: tuple[int, ...]

    def __init__(self, entries: Any, sizes: tuple[int, ...]) -> None:
        super().__init__(entries)
        self.sizes = tuple(sizes)

    def tree_flatten_with_keys(self) -> tuple[list, tuple]:
        """The entries by name, as for a dict."""
        names = sorted(self)
        return [(jax.tree_util.DictKey(name), self[name]) for name in names], (tuple(names), self.sizes)

    def tree_flatten(self) -> tuple[list, tuple]:
        names = sorted(self)
        return [self[name] for name in names], (tuple(names), self.sizes)

    @classmethod
    def tree_unflatten(cls, about: tuple, entries: Any) -> Self:
        names, sizes = about
        return cls(zip(names, entries, strict=True), sizes)

    def copy(self) -> Self:
        return type(self)(self, self.sizes)

    def __or__(self, other: Any) -> Self:
        return type(self)(dict(self) | other, self.sizes)

    def __reduce__(self) -> tuple:
        return type(self), ({name: self[name] for name in sorted(self)}, self.sizes)


def stack(tree: Any, n: int) -> Any:
    """Marks a tree whose leaves have gained a leading axis of n layers; an empty dict, or a leaf, stays as it is."""
    if isinstance(tree, Stacked):
        return Stacked(tree, (n, *tree.sizes))
    return Stacked(tree, (n,)) if isinstance(tree, dict) and tree else tree


def unstack(tree: Any) -> Any:
    """Marks a tree whose leaves have lost their first leading axis: the inverse of ``stack``."""
    if not isinstance(tree, Stacked):
        return tree
    return Stacked(tree, tree.sizes[1:]) if len(tree.sizes) > 1 else dict(tree)


def map_layers(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Like ``fnn.paths.map_named``, but where layers are stacked the function sees one layer at a time.

    ``function(path, *leaves)`` returns a pytree of arrays, which are stacked again as the leaves are.

    >>> stacked = Stacked({"kernel": jnp.arange(6.0).reshape(2, 3)}, (2,))
    >>> map_layers(lambda path, w: w / w.sum(), stacked)["kernel"].sum(1)
    Array([1., 1.], dtype=float32)
    """
    named, treedef = jax.tree_util.tree_flatten_with_path(tree)
    columns = [[leaf for _, leaf in named], *(treedef.flatten_up_to(other) for other in rest)]
    results = []
    for (key_path, leaf), sizes, row in zip(named, stacked_sizes(tree), zip(*columns, strict=True), strict=True):
        _check(key_path, leaf, sizes)
        each = _of_one_layer(function, path_of(key_path))
        for _ in sizes:
            each = jax.vmap(each)
        results.append(each(*row))
    return treedef.unflatten(results)


def layer_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """The shape of every leaf in one layer, without the stacked axes, by path.

    >>> layer_shapes({"first": jnp.zeros((2, 8)), "rest": Stacked({"bias": jnp.zeros((3, 8))}, (3,))})
    {'first': (2, 8), 'rest/bias': (8,)}
    """
    named, shapes = jax.tree_util.tree_flatten_with_path(tree)[0], {}
    for (key_path, leaf), sizes in zip(named, stacked_sizes(tree), strict=True):
        _check(key_path, leaf, sizes)
        shapes[path_of(key_path)] = jnp.shape(leaf)[len(sizes) :]
    return shapes


def stacked_sizes(tree: Any) -> list[tuple[int, ...]]:
    """The lengths of the stacked axes of every leaf, in the order of ``jax.tree.leaves``; ``()`` if not stacked."""
    return list(_sizes(tree, ()))


def _sizes(tree: Any, outer: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for node in jax.tree.leaves(tree, is_leaf=_is_stacked):
        if isinstance(node, Stacked):
            yield from _sizes(dict(node), (*outer, *node.sizes))
        else:
            yield outer


def _is_stacked(node: Any) -> bool:
    return isinstance(node, Stacked)


def _of_one_layer(function: Callable[..., Any], path: str) -> Callable[..., Any]:
    return lambda *leaves: function(path, *leaves)


def _check(key_path: tuple, leaf: Any, sizes: tuple[int, ...]) -> None:
    if jnp.shape(leaf)[: len(sizes)] != sizes:
        raise ValueError(
            f"the leaf at {path_of(key_path)!r} belongs to layers stacked on leading axes of length {sizes}, got"
            f" {describe(leaf)}; for the parameters of one of these layers, use a plain dict: dict(params)"
        )
