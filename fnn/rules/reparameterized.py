"""Contributions under combinators that compute their layer's parameters from others.

Weights that are tied add up, and what is frozen has no gradient. Other transformations (``WeightNorm``,
``SpectralNorm``, ``DropConnect``, a function that ties) are linear maps of the gradient in full: a ``Through`` keeps
the map, and the gradient is formed for one example after another.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import Combinator, entry, nest
from fnn.combinators.cast import Cast
from fnn.combinators.frozen import Frozen
from fnn.combinators.reparameterized import Reparameterized
from fnn.combinators.tied import Tied
from fnn.errors import is_floating
from fnn.layer import Cache, Params
from fnn.paths import map_named, named_leaves
from fnn.rules.contributions import Joined, is_contribution
from fnn.rules.whole import Whole


@functools.partial(jax.tree_util.register_dataclass, data_fields=["report", "cache"], meta_fields=["layer", "stacked"])
@dataclasses.dataclass(frozen=True)
class Through:
    """The report of a layer whose parameters ``layer`` makes, and the cache of how it made them.

    ``stacked`` counts the leading axes that ``Repeat`` around it has added to its arrays.
    """

    report: Any
    cache: Any
    layer: Reparameterized
    stacked: int = 0

    def arrays(self) -> Any:
        """The gradients of the parameters that the layer was given."""
        transpose = self.layer.transpose
        for _ in range(self.stacked):
            transpose = jax.vmap(transpose)
        return transpose(self.cache, arrays(self.report))


def summed(report: Any, c: jax.Array, axis: str) -> Any:
    """Σ c times what is reported, over the members of a mapped axis."""

    def of(node: Any) -> Any:
        if isinstance(node, Through):  # what it holds beside the report depends on the parameters alone
            return dataclasses.replace(node, report=summed(node.report, c, axis))
        return node.summed(c, axis)

    return jax.tree.map(of, report, is_leaf=is_reported)


def arrays(report: Any) -> Any:
    """The gradients in full, of a tree of contributions."""

    def formed(node: Any) -> Any:
        return node.arrays() if isinstance(node, Through) else node.array()

    return jax.tree.map(formed, report, is_leaf=is_reported)


def gradients_of(report: Any, c: jax.Array, axis: str, params: Params) -> Params:
    """Σ c g over the members of a mapped axis, like the parameters; 0 where nothing is reported."""
    found = named_leaves(arrays(summed(report, c, axis)))

    def of(path: str, leaf: jax.Array) -> jax.Array:
        return found[path].astype(leaf.dtype) if path in found and is_floating(leaf) else jnp.zeros_like(leaf)

    return map_named(of, params)


def is_reported(node: Any) -> bool:
    """Whether a node of a report stands for gradients: a contribution, or ``Through``."""
    return isinstance(node, Through) or is_contribution(node)


def above(path: str, layer: Combinator, cache: Cache, report: Any) -> Any:
    """What a combinator makes of the report of the layers inside it."""
    for _ in layer.child_axes:
        report = jax.tree.map(_once_more_stacked, report, is_leaf=is_reported)
    if not isinstance(layer, Reparameterized) or isinstance(layer, Cast):
        return report
    inner = entry(report, layer.segment)
    if isinstance(layer, Frozen):
        treedef, shapes = cache["params"].value
        made = jax.tree.map(Whole, treedef.unflatten([jnp.zeros(shape) for shape in shapes]))
    elif isinstance(layer, Tied) and not callable(layer.transform) and not _holds_through(inner):
        made = layer.gathered(inner, lambda _, target: _turned(layer, target), _joined)
    else:
        made = Through(inner, cache["transform"], layer)
    return nest({layer.segment: made})


def _once_more_stacked(node: Any) -> Any:
    if not isinstance(node, Through):
        return node
    inner = jax.tree.map(_once_more_stacked, node.report, is_leaf=is_reported)
    return dataclasses.replace(node, report=inner, stacked=node.stacked + 1)


def _holds_through(report: Any) -> bool:
    return any(isinstance(node, Through) for node in jax.tree.leaves(report, is_leaf=is_reported))


def _turned(layer: Tied, target: Any) -> Any:
    if layer.transform is None:
        return target
    return jax.tree.map(lambda node: node.transposed(), target, is_leaf=is_contribution)


def _joined(one: Any, other: Any) -> Any:
    def both(one: Any, other: Any) -> Joined:
        terms = [node.terms if isinstance(node, Joined) else (node,) for node in (one, other)]
        return Joined((*terms[0], *terms[1]))

    return jax.tree.map(both, one, other, is_leaf=is_contribution)
