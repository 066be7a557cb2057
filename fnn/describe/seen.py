"""What every layer of a model returns, combinators included, recorded while the model runs on shapes."""

import copy
from typing import Any, NamedTuple

import jax

from fnn.backprop import Combinator
from fnn.errors import is_floating
from fnn.layer import Layer
from fnn.walk import Node, map_nodes


class Seen(NamedTuple):
    """What a layer was given and what it returned, in shapes, and how many numbers were in its parameters."""

    x: Any
    y: Any
    parameters: int


def outputs_of(model: Layer) -> tuple[Layer, dict[tuple[str, int], Seen]]:
    """The model, and a dict that its ``apply`` fills: what each node returned, by its path and number of ancestors.

    Each layer gets a class of its own that records and is otherwise what it was: combinators ask what kind of layer
    stands inside them.
    """
    outputs: dict[tuple[str, int], Seen] = {}
    return map_nodes(lambda node: _recording(node, outputs), model), outputs


def _recording(node: Node, outputs: dict[tuple[str, int], Seen]) -> Layer:
    layer, place = node.layer, (node.path, len(node.ancestors))
    kind: Any = type(layer)

    def record(params: Any, x: Any, y: Any) -> None:
        sizes = (leaf.size for leaf in jax.tree.leaves(params))
        x, y = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (x, y))
        outputs[place] = Seen(x, y, sum(sizes))

    def apply(self: Any, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        y, new_state = kind.apply(self, params, state, x, train=train, key=key)
        record(params, x, y)
        return y, new_state

    def forward(self: Any, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        y, new_state, cache = kind.forward(self, params, state, x, train=train, key=key)
        record(params, x, y)
        return y, new_state, cache

    methods: dict[str, Any] = {"apply": apply, "__repr__": kind.__repr__, "snake_name": kind.snake_name}
    if isinstance(layer, Combinator) or kind.forward is not Layer.forward:
        methods["forward"] = forward
    recorder = type(kind.__name__, (kind,), {**methods, "__module__": kind.__module__, "__slots__": ()})
    made = copy.copy(layer)
    object.__setattr__(made, "__class__", recorder)
    return made


def shape_text(value: Any) -> str:
    """The shapes of a value for a reader; the dtype only where it is not floating.

    >>> shape_text(jax.ShapeDtypeStruct((32, 28, 28, 1), "float32")), shape_text((jax.ShapeDtypeStruct((2,), "bool"),))
    ('32×28×28×1', '(bool 2)')
    """
    if isinstance(value, tuple | list):
        return f"({', '.join(map(shape_text, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {shape_text(each)}' for name, each in value.items())}}}"
    if not hasattr(value, "shape"):
        return "" if value is None else type(value).__name__
    shape = "×".join(map(str, value.shape)) or "one number"
    return shape if is_floating(value) else f"{value.dtype} {shape}"
