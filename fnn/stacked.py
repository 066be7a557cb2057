"""Parameters of several layers in one array: a dict that knows it, and functions of one layer's array mapped over it.

The shape alone does not tell: (3, 8) is the matrix of one layer, or the biases of three. An optimiser that looks at
matrices, norms or sizes asks here, and gives every layer what it would get alone.
"""

from collections.abc import Callable, Iterator
from typing import Any, Self

import jax
import jax.numpy as jnp

from fnn.errors import describe
from fnn.paths import path_of


@jax.tree_util.register_pytree_with_keys_class
class Stacked(dict):
    """The parameters of as many layers as ``sizes`` multiply to, stacked on that many leading axes of every leaf.

    It is what ``Repeat`` returns from ``init``, and the dict of one layer in all else: its entries, its printed form
    and its paths. To ``jax.tree.map`` it is a container of a type of its own, so that all trees of one call have it, or
    none; ``Stacked(plain, (3,))`` and ``dict(stacked)`` go from one to the other.

    >>> params = Stacked({"bias": jnp.zeros((3, 8))}, (3,))
    >>> params["bias"].shape, params.sizes, jax.tree.map(jnp.sum, params)
    ((3, 8), (3,), {'bias': Array(0., dtype=float32)})
    """

    sizes: tuple[int, ...]

    def __init__(self, entries: Any, sizes: tuple[int, ...]) -> None:
        super().__init__(entries)
        self.sizes = tuple(sizes)

    def tree_flatten_with_keys(self) -> tuple[list, tuple]:
        """The entries by name, as those of a dict."""
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
    """A tree whose leaves have one more leading axis, of n layers; what is no dict, or an empty one, as it is."""
    if isinstance(tree, Stacked):
        return Stacked(tree, (n, *tree.sizes))
    return Stacked(tree, (n,)) if isinstance(tree, dict) and tree else tree


def unstack(tree: Any) -> Any:
    """The tree of one layer of the first leading axis, once that axis is gone: the inverse of ``stack``."""
    if not isinstance(tree, Stacked):
        return tree
    return Stacked(tree, tree.sizes[1:]) if len(tree.sizes) > 1 else dict(tree)


def map_layers(function: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Like ``fnn.paths.map_named``, with the arrays of one layer at a time where several are stacked.

    ``function(path, *leaves)`` returns a pytree of arrays, which come out stacked as the leaves are.

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
    """The shape that every leaf has in its own layer, by path.

    >>> layer_shapes({"first": jnp.zeros((2, 8)), "rest": Stacked({"bias": jnp.zeros((3, 8))}, (3,))})
    {'first': (2, 8), 'rest/bias': (8,)}
    """
    named, shapes = jax.tree_util.tree_flatten_with_path(tree)[0], {}
    for (key_path, leaf), sizes in zip(named, stacked_sizes(tree), strict=True):
        _check(key_path, leaf, sizes)
        shapes[path_of(key_path)] = jnp.shape(leaf)[len(sizes) :]
    return shapes


def stacked_sizes(tree: Any) -> list[tuple[int, ...]]:
    """For every leaf, in the order of ``jax.tree.leaves``, its leading axes of layers: none, where it is of one."""
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
            f"the leaf at {path_of(key_path)!r} stands for layers stacked on leading axes of length {sizes}, got"
            f" {describe(leaf)}; the parameters of one of these layers alone are a plain dict: dict(params)"
        )
