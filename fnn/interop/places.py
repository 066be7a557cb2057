"""The layers of a model that have parameters or state, in order, each with its leaves: fnn's side of every transfer.

A leaf is named by its path in ``{"params": params, "state": state}``. A layer inside ``Repeat`` is a place for each
time that it runs, with the index of its slice of the stacked leaves.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from fnn.backprop import entry
from fnn.combinators.bidirectional import Bidirectional
from fnn.combinators.feed_forward import FeedForward
from fnn.combinators.graph import Graph
from fnn.combinators.parallel import Parallel
from fnn.combinators.repeat import Repeat
from fnn.combinators.residual import Residual
from fnn.combinators.spectral_norm import SpectralNorm
from fnn.combinators.tied import Tied
from fnn.combinators.time_distributed import TimeDistributed
from fnn.combinators.wiring import names_in
from fnn.interop.channels import MIXED, UNKNOWN, Channels
from fnn.interop.pieces import Shape
from fnn.layer import Layer
from fnn.layers import Concatenate
from fnn.paths import join, lies_in


class Place(NamedTuple):
    """A layer, its path, and its leaves: their full paths and shapes, by their names in the layer.

    ``rows`` and ``columns`` are the channels in which its inputs and outputs are ordered, if axes were merged there
    (``channels.py``). ``tied`` are the leaves that are tied to others, and so not stored. Beside a ``kernel`` in
    ``SpectralNorm``, ``kernel_u`` is the vector of the state.
    """

    path: str
    layer: Layer
    index: tuple[int, ...]
    leaves: dict[str, tuple[str, Shape]]
    rows: int = 0
    columns: int = 0
    tied: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The path, with the index of the slice in a ``Repeat``."""
        return self.path + "".join(f"[{i}]" for i in self.index)


class Leaf(NamedTuple):
    """Where a leaf is stored, its shape in one layer, and whether it is tied to another."""

    path: str
    shape: Shape
    tied: bool = False


def places_of(model: Layer, params: Any, state: Any) -> list[Place]:
    """The places of a model; its parameters and state may be shapes."""
    walk = _Walk(Channels())
    walk.visit("", model, _leaves("params", params), _leaves("state", state), ())
    return walk.places


def places_channels_first(model: Layer, params: Any, state: Any, x: Any = None) -> list[Place]:
    """The places, with ``rows`` and ``columns`` for a library that has the channels of images in front."""
    walk = _Walk(Channels(None if isinstance(x, dict) else x))
    trees = _leaves("params", params), _leaves("state", state)
    if isinstance(model, Graph) and isinstance(x, dict):
        walk.graph("", model, *trees, (), {name: Channels(x.get(name)) for name in model.inputs})
    else:
        walk.visit("", model, *trees, ())
    for path, channels in (walk.channels.rows | walk.channels.columns).items():
        if channels == MIXED:
            raise ValueError(
                f"{path or 'the model'} reads a sum of flattened axes and of outputs of a dense layer, which PyTorch"
                f" flattens channels first, so that no order of its rows is right; put a dense layer without a skip"
                f" connection behind the Flatten, in both"
            )
        if channels == UNKNOWN:
            raise ValueError(
                f"{path or 'the model'} reads axes that were flattened, which PyTorch orders channels first, and how"
                f" many channels there are is not known; give x=, an input of the model or its shape, and put what"
                f" changes the channels before the Flatten into layers of fnn instead of a Lambda"
            )
    return [
        place._replace(rows=walk.channels.rows.get(place.path, 0), columns=walk.channels.columns.get(place.path, 0))
        for place in walk.places
    ]


class _Walk:
    """A walk over a model, in the order of its layers."""

    def __init__(self, channels: Channels) -> None:
        self.places: list[Place] = []
        self.channels = channels

    def visit(self, path: str, layer: Layer, params: Any, state: Any, index: tuple[int, ...]) -> None:
        channels = self.channels
        match layer:
            case Repeat():
                params, state = (jax.tree.map(_one, tree, is_leaf=_is_leaf) for tree in (params, state))
                for i in range(layer.n):
                    self.visit(path, layer.inner, params, state, (*index, i))
            case Tied():
                self._tied(path, layer, params, state, index)
            case SpectralNorm():
                vectors = entry(state, "u")
                inner = _beside(entry(params, "inner"), vectors, "_u")
                self.visit(join(path, "inner"), layer.inner, inner, entry(state, "inner"), index)
            case FeedForward():
                for name, child in layer.network(params["out"]["kernel"].shape[-1]).children().items():
                    self.visit(join(path, name), child, entry(params, name), entry(state, name), index)
            case Parallel() | Bidirectional():
                branches = []
                for name, child in layer.children().items():
                    self.channels = channels.branch()
                    branches.append(self.channels)
                    self.visit(join(path, name), child, entry(params, name), entry(state, name), index)
                self.channels = channels
                channels.join(branches, layer.merge == "concatenate")
            case Graph():
                self.graph(path, layer, params, state, index, dict.fromkeys(layer.inputs, channels))
            case Residual():
                self._residual(path, layer, params, state, index)
            case _ if layer.children():
                for name, child in layer.children().items():
                    self.visit(join(path, name), child, entry(params, name), entry(state, name), index)
                if isinstance(layer, TimeDistributed):
                    channels.last = None
            case _:
                self._leaf_layer(path, layer, params, state, index)

    def graph(
        self, path: str, layer: Graph, params: Any, state: Any, index: tuple[int, ...], values: dict[str, Channels]
    ) -> None:
        """Goes through the nodes; ``values`` says what is known of the inputs."""
        channels = self.channels
        for name, (child, given) in layer.nodes.items():
            here = entry(params, name), entry(state, name), index
            read = [values[each] for each in names_in(given)]
            self.channels = channels.beside(read[0])
            if isinstance(child, Graph) and isinstance(given, Mapping):
                self.graph(join(path, name), child, *here, {key: values[given[key]] for key in child.inputs})
            else:
                if len(read) > 1:
                    self.channels.join(read, isinstance(child, Concatenate) and child.axis == -1)
                self.visit(join(path, name), child, *here)
            values[name] = self.channels
        self.channels = channels
        channels.follow(values[names_in(layer.outputs)[0]])

    def _leaf_layer(self, path: str, layer: Layer, params: Any, state: Any, index: tuple[int, ...]) -> None:
        named = {**_named(params), **_named(state)}
        self.channels.pass_through(path, layer, {name: leaf.shape for name, leaf in named.items()})
        if named:
            leaves = {name: (leaf.path, leaf.shape) for name, leaf in named.items()}
            tied = frozenset(name for name, leaf in named.items() if leaf.tied)
            self.places.append(Place(path, layer, index, leaves, tied=tied))

    def _residual(self, path: str, layer: Residual, params: Any, state: Any, index: tuple[int, ...]) -> None:
        channels, start = self.channels, self.channels.branch()
        for name, child in layer.children().items():
            self.channels = channels if name != "shortcut" else start
            self.visit(join(path, name), child, entry(params, name), entry(state, name), index)
        self.channels = channels
        if start.merged is not None and channels.merged is None and layer.shortcut is None:
            channels.merged = MIXED

    def _tied(self, path: str, layer: Tied, params: Any, state: Any, index: tuple[int, ...]) -> None:
        shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, "float32"), params, is_leaf=_is_leaf)
        whole = jax.eval_shape(lambda tree: layer.reparameterize(tree, {}, train=False, key=None)[0], shapes)
        base = join("params", path)
        known = named_leaves_of(params)

        def leaf(name: str, shape: Any) -> Leaf:
            return known.get(name, Leaf(join(base, name), tuple(shape.shape), lies_in(name, layer.ties)))

        self.visit(path, layer.inner, _renamed(leaf, whole), state, index)


def _leaves(kind: str, tree: Any) -> Any:
    return _renamed(lambda name, leaf: Leaf(join(kind, name), tuple(leaf.shape)), tree)


def _renamed(make: Any, tree: Any, at: str = "") -> Any:
    """The tree as plain dicts, with ``make(path, leaf)`` at every leaf."""
    if isinstance(tree, dict):
        return {name: _renamed(make, part, join(at, name)) for name, part in tree.items()}
    return make(at, tree)


def named_leaves_of(tree: Any, at: str = "") -> dict[str, Leaf]:
    """The leaves by their paths."""
    if isinstance(tree, Leaf):
        return {at: tree}
    return {key: leaf for name, part in tree.items() for key, leaf in named_leaves_of(part, join(at, name)).items()}


def _named(tree: Any) -> dict[str, Leaf]:
    return named_leaves_of(tree) if isinstance(tree, dict) else {}


def _one(leaf: Leaf) -> Leaf:
    return leaf._replace(shape=leaf.shape[1:])


def _is_leaf(node: Any) -> bool:
    return isinstance(node, Leaf)


def _beside(params: Any, vectors: Any, suffix: str) -> Any:
    """The parameters with each vector next to the kernel of the same path, its name with the suffix."""
    if _is_leaf(vectors):
        return params
    made = dict(params)
    for name, part in vectors.items():
        if _is_leaf(part):
            made[name + suffix] = part
        else:
            made[name] = _beside(params[name], part, suffix)
    return made
