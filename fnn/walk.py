"""A model as a tree of layers: every layer with its path, and models rewritten by path.

``walk`` and ``rewrite`` are for everyone. ``nodes`` and ``map_nodes`` are what they are made of: they also tell which
layers a layer stands in, and so whether it is frozen, or how often it runs.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from fnn.errors import instance_hint
from fnn.layer import Layer
from fnn.paths import join, select


class Node(NamedTuple):
    """A layer of a model, its path, and the layers that it is in, outermost first."""

    path: str
    layer: Layer
    ancestors: tuple[Layer, ...] = ()

    def children(self) -> Iterator["Node"]:
        """The nodes of the layers inside, in their order."""
        for name, child in self.layer.children().items():
            yield Node(join(self.path, name), child, (*self.ancestors, self.layer))

    def is_in(self, kind: type[Layer]) -> bool:
        """Whether a layer around this one is of that class."""
        return any(isinstance(each, kind) for each in self.ancestors)


def walk(model: Layer) -> Iterator[tuple[str, Layer]]:
    """Yields ``(path, layer)`` for every layer of a model: itself at ``""``, then its children, depth first.

    The path of a layer is the prefix of the paths of its parameters. A combinator that adds no segment, such as
    ``Remat`` or ``Frozen``, and the layer inside it have the same path. The layers inside ``Repeat`` come once.

    Errors: ``TypeError`` if not given a layer; the model of an ``Objective`` is ``objective.model``.

    >>> from fnn import Dense, Relu, Remat, Serial
    >>> for path, layer in walk(Serial(Dense(8), Relu(), head=Remat(Dense(3)))):
    ...     print(f"{path!r}: {layer}")
    '': Serial(Dense(features=8), Relu(), head=Remat(inner=Dense(features=3)))
    'dense_0': Dense(features=8)
    'relu_0': Relu()
    'head': Remat(inner=Dense(features=3))
    'head': Dense(features=3)
    """
    return ((node.path, node.layer) for node in nodes(_checked_model("walk", model)))


def rewrite(model: Layer, functions: Mapping[str, Callable[[Layer], Layer]]) -> Layer:
    """The model with every layer whose path matches a glob replaced by ``function(layer)``.

    The globs are those of all paths: ``""`` is the model itself, ``"head"`` the child of that name, ``"head/*"`` all
    layers inside it and ``"*"`` every layer, combinators and the model itself included. A function that returns its
    argument leaves a layer as it is, so that a glob may match more than is to change.

    Inner layers are replaced before outer ones: a function is given a layer with what is inside it already rewritten,
    and what it returns is not walked again. Where several layers have one path, as a wrapper and the layer inside it
    do, each of them is given to the function.

    A new layer keeps the name of the one that it replaces, whatever its class. Parameters keep their paths inside a
    wrapper that adds no segment: ``Frozen``, ``Remat``, ``Cast``. A layer such as ``TransformerBlock``, which is made
    from options, becomes the ``Serial`` of its layers if one of them changes.

    Errors: ``ValueError`` for a glob that matches no layer and for two that match the same one; ``TypeError`` if not
    given a layer and a dict of functions, and for a function that does not return a layer. An objective of the new
    model is ``objective.with_model(rewrite(objective.model, …))``.

    >>> from fnn import Dense, Frozen, Relu, Remat, Serial
    >>> model = Serial(body=Serial(Dense(8), Relu()), head=Dense(3))
    >>> rewrite(model, {"body": Frozen})
    Serial(body=Frozen(inner=Serial(Dense(features=8), Relu())), head=Dense(features=3))
    >>> rewrite(model, {"*": lambda layer: Remat(layer) if isinstance(layer, Dense) else layer})
    Serial(body=Serial(dense_0=Remat(inner=Dense(features=8)), relu_0=Relu()), head=Remat(inner=Dense(features=3)))
    """
    paths = list(dict.fromkeys(path for path, _ in walk(_checked_model("rewrite", model))))
    chosen: dict[str, str] = {}
    for glob in _checked_functions(functions):
        for path in select(glob, paths):
            if path in chosen:
                raise ValueError(
                    f"the globs {chosen[path]!r} and {glob!r} both match the layer {path!r}, and either may come first;"
                    f" write globs that do not overlap, or rewrite twice"
                )
            chosen[path] = glob

    def replaced(node: Node) -> Layer:
        if node.path not in chosen:
            return node.layer
        glob = chosen[node.path]
        made = functions[glob](node.layer)
        if not isinstance(made, Layer):
            raise TypeError(
                f"the function for {glob!r} returns the layer to stand at {node.path!r}, got"
                f" {made!r}{instance_hint(made)}"
            )
        return made

    return map_nodes(replaced, model)


def nodes(model: Layer) -> Iterator[Node]:
    """The nodes of a model, in the order of ``walk``."""

    def below(node: Node) -> Iterator[Node]:
        yield node
        for child in node.children():
            yield from below(child)

    return below(Node("", model))


def map_nodes(function: Callable[[Node], Layer], model: Layer) -> Layer:
    """The model with ``function(node)`` in the place of every layer, inner ones first.

    The layer of a node has what became of its children inside it; the ancestors are as they were. A model in which
    nothing changes is returned itself.
    """

    def mapped(node: Node) -> Layer:
        below = list(node.children())
        made = [mapped(child) for child in below]
        layer = node.layer
        if any(new is not child.layer for new, child in zip(made, below, strict=True)):
            layer = layer.with_children(dict(zip(layer.children(), made, strict=True)))
        return function(node._replace(layer=layer))

    return mapped(Node("", model))


def _checked_model(function: str, model: Layer) -> Layer:
    if not isinstance(model, Layer):
        raise TypeError(
            f"{function} takes a model, which is a layer, got {model!r}{instance_hint(model)}; of an Objective give"
            f" objective.model"
        )
    return model


def _checked_functions(functions: Mapping[str, Callable[[Layer], Layer]]) -> Mapping[str, Callable[[Layer], Layer]]:
    if not isinstance(functions, Mapping):
        raise TypeError(f"rewrite takes a dict {{glob: function of a layer}}, got {functions!r}")
    for glob, function in functions.items():
        if isinstance(function, Layer) or not callable(function):
            hint = f"; to put that layer there write lambda layer: {function!r}" if isinstance(function, Layer) else ""
            raise TypeError(f"rewrite takes functions of a layer, got {function!r} for the glob {glob!r}{hint}")
    return functions
