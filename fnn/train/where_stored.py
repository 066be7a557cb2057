"""Layers that keep no parameters between forward and backward: they are read where they are stored, when needed."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import Combinator, asks_rule, entry_at, leading_axes, put
from fnn.combinators.reparameterized import Reparameterized
from fnn.layer import Cache, Layer, Params, State
from fnn.paths import named_leaves
from fnn.stand_in import StandIn
from fnn.walk import Node, map_nodes, nodes


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Own:
    """Stands in a cache for a parameter of the layer itself."""

    path: str


@dataclasses.dataclass(frozen=True)
class Updated(StandIn, name="updated"):
    """A layer whose cache holds no parameters, but where to find them.

    Params:  ``own``, those of the layer; ``index``, its place in the stacked parameters
    Cache:   ``inner``, that of the layer with ``Own`` for its parameters; ``index``
    """

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        own = params["own"]
        y, state, cache = self.inner.forward(own, state, x, train=train, key=key)
        paths = {id(leaf): path for path, leaf in named_leaves(own).items()}
        kept = jax.tree.map(lambda leaf: Own(paths[id(leaf)]) if id(leaf) in paths else leaf, cache)
        return y, state, {"inner": kept, "index": params["index"]}


def with_stand_ins(model: Layer, params: Params) -> tuple[Layer, Params, dict[str, tuple[int, ...]]]:
    """The model with stand-ins, its parameters, and the leading axes of those of each stand-in, by its path."""
    axes: dict[str, tuple[int, ...]] = {}
    for node in nodes(model):
        stacked = leading_axes(node) if asks_rule(node) and all(map(_passes_parameters, node.ancestors)) else ()
        if stacked and named_leaves(own := _own(params, node)):
            axes[node.path] = stacked
            # Behind the barrier XLA does not know that they are never negative.
            places = lax.optimization_barrier(jnp.arange(math.prod(stacked), dtype=jnp.int32).reshape(stacked))
            params = put(params, node.path, {"own": dict(own), "index": places})

    def stood_in(node: Node) -> Layer:
        return Updated(node.layer) if asks_rule(node) and node.path in axes else node.layer

    return map_nodes(stood_in, model), params, axes


def _own(params: Params, node: Node) -> Any:
    return entry_at(params, node.path) if node.path else params


def _passes_parameters(layer: Layer) -> bool:
    """Whether a combinator runs its children at the parameters that it is given, as far as is known."""
    known = type(layer).__module__.startswith("fnn.") or type(layer).forward is Combinator.forward
    return known and not isinstance(layer, Reparameterized)
