"""A model as a picture: its layers with their shapes and sizes, and how they are wired."""

import dataclasses
import functools
import math
import os
import pathlib
from typing import Any

import jax

from fnn.backprop import Combinator, leading_axes
from fnn.calls import apply_of, init_of
from fnn.combinators.bidirectional import Bidirectional
from fnn.combinators.composed import Composed
from fnn.combinators.graph import Graph
from fnn.combinators.parallel import Parallel
from fnn.combinators.repeat import Repeat
from fnn.combinators.residual import Residual
from fnn.combinators.separable_conv import SeparableConv
from fnn.combinators.serial import Serial
from fnn.combinators.wiring import names_in
from fnn.combinators.wrapper import Wrapper
from fnn.describe.boxes import PAD, Block, box, branched, chain, column, container, listed, pill, skipped
from fnn.describe.ranks import ranked
from fnn.describe.seen import Seen, outputs_of, shape_text
from fnn.describe.svg import moved, page, shortened
from fnn.errors import describe, instance_hint
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Layer
from fnn.walk import Node, walk

LETTERS = 44
"""The characters of a line in a block; longer ones end in an ellipsis and are whole under the pointer."""

OUT = "/out/"
"""In front of the names of a graph's outputs: no name of a value holds a slash."""

SIGNS = {"sum": "+", "multiply": "×", "concatenate": "concatenate"}


@dataclasses.dataclass(frozen=True, repr=False)
class Drawing:
    """What ``draw`` returns. A notebook shows it; ``svg`` is the text of the picture, ``save`` writes it."""

    svg: str
    model: Layer
    depth: int | None

    def save(self, path: str | os.PathLike) -> None:
        """Writes the picture. Errors: ``ValueError`` unless the path ends in ``.svg``."""
        path = pathlib.Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"a drawing is saved as SVG, got {path.name!r}; write {path.stem + '.svg'!r}")
        path.write_text(self.svg, encoding="utf-8")

    def __repr__(self) -> str:
        depth = "" if self.depth is None else f", depth={self.depth}"
        return f"draw({self.model!r}, x{depth})"

    def _repr_svg_(self) -> str:
        return self.svg


def draw(model: Layer, x: Any, *, depth: int | None = None) -> Drawing:
    """Draws how the layers of a model are wired, with the shapes on inputs like ``x`` (arrays or shapes).

    Each layer is a block with its name, its call, the shape of its output and how many parameters it has; a layer made
    of layers is a box round them. Edges run downwards and say under the pointer what they carry. A skip connection is a
    curve, branches stand side by side, and a ``Graph`` is drawn by its names. A long chain goes on in a second column.
    What is inside ``Repeat`` is drawn once; ``×3`` says how often it is there. A dashed box holds layers whose wiring
    its class keeps to itself.

    ``depth`` is how many boxes are drawn one inside the other; what is deeper is folded into a block with a double
    edge. 0 folds the whole model.

    Errors: ``TypeError`` if not given a layer; ``ValueError`` for a negative depth; those of the model for an ``x``
    that does not fit it.

    >>> import fnn
    >>> model = fnn.Serial(fnn.Dense(8), fnn.Residual(fnn.Serial(fnn.Relu(), fnn.Dense(8))))
    >>> picture = draw(model, jax.ShapeDtypeStruct((32, 4), "float32"))
    >>> picture.svg.startswith("<svg"), "32×8 · 40 parameters" in picture.svg
    (True, True)
    """
    if not isinstance(model, Layer):
        raise TypeError(f"draw takes a model, which is a layer, got {model!r}{instance_hint(model)}")
    if depth is not None and (isinstance(depth, bool) or not isinstance(depth, int) or depth < 0):
        raise ValueError(f"depth is how many boxes are drawn one inside the other, 0 or more, got {depth!r}")
    x, key = arrays_or_shapes(x), jax.random.key(0)
    params, state = jax.eval_shape(functools.partial(init_of, model), key, x)
    recorded, outputs = outputs_of(model)
    jax.eval_shape(lambda *given: apply_of(recorded, *given)[0], params, state, x)
    body = _Artist(outputs).block(Node("", model), "", math.inf if depth is None else depth)
    whole = column([_value("input", x), body, _value("output", outputs["", 0].y)])
    svg = page(whole.width + 2 * PAD, whole.height + 2 * PAD, moved(PAD, PAD, whole.marks), repr(model))
    return Drawing(svg, model, depth)


class _Artist:
    """Makes blocks of the nodes of a model, from what each of them returned."""

    def __init__(self, outputs: dict[tuple[str, int], Seen]) -> None:
        self.outputs = outputs

    def seen(self, node: Node) -> Seen:
        return self.outputs.get((node.path, len(node.ancestors)), Seen(None, None, 0))

    def block(self, node: Node, name: str, depth: float) -> Block:
        seen, layer = self.seen(node), node.layer
        tip, about = describe(seen.y), f"{node.path}: {layer!r}"
        if not isinstance(layer, Combinator) or depth < 1:
            folded = isinstance(layer, Combinator)
            call = f"{_call(layer)} of {_count_layers(layer)}" if folded else shortened(repr(layer), LETTERS)
            lines = [shortened(name, LETTERS), call, self.sizes(node)]
            fill = "#e8effc" if seen.parameters else "#ffffff"
            return box([line for line in lines if line], tip=tip, about=about, fill=fill, folded=folded)
        title = " · ".join(part for part in (shortened(name, LETTERS), _call(layer), self.count(node)) if part)
        inner, wired = self.inside(node, depth - 1)
        return container(title, inner, about=about, tip=tip, wired=wired)

    def inside(self, node: Node, depth: float) -> tuple[Block, bool]:
        """The blocks in a combinator, and whether they are wired: its class may keep to itself how it wires them."""
        layer, children = node.layer, list(node.children())
        names, tip = list(layer.children()), describe(self.seen(node).y)

        def made() -> list[Block]:
            return [self.block(child, name, depth) for child, name in zip(children, names, strict=True)]

        if isinstance(layer, Graph):
            return self.graph(node, layer, dict(zip(names, made(), strict=True))), True
        if isinstance(layer, Serial | Composed | SeparableConv):
            return chain(made()), True
        if isinstance(layer, Residual) and layer.shortcut is None:
            return skipped(self.plain(children[0], names[0], depth), "+", f"skip: {tip}", tip), True
        if isinstance(layer, Residual):
            return branched(made(), "+", tip, main=True), True
        if isinstance(layer, Parallel | Bidirectional):
            return branched(made(), f"{SIGNS[layer.merge]} → {shape_text(self.seen(node).y)}", tip), True
        if isinstance(layer, Wrapper):
            return self.plain(children[0], names[0], depth), True
        return (listed(made()) if children else chain([])), False

    def plain(self, node: Node, name: str, depth: float) -> Block:
        """The one layer in a box; without a box of its own if it is a ``Serial`` that has no name."""
        if type(node.layer) is Serial and not name:
            return self.inside(node, depth)[0]
        return self.block(node, name, depth)

    def graph(self, node: Node, layer: Graph, blocks: dict[str, Block]) -> Block:
        x, y, _ = self.seen(node)
        edges = [(name, to) for to, (_, given) in layer.nodes.items() for name in dict.fromkeys(names_in(given))]
        values = x if isinstance(x, dict) else dict.fromkeys(layer.inputs, x)
        pills = {name: _value(name, values[name]) for name in layer.inputs}
        outputs = layer.outputs if isinstance(layer.outputs, dict) else {name: name for name in names_in(layer.outputs)}
        for name, source in outputs.items():
            pills[f"{OUT}{name}"] = _value(f"→ {name}", y if isinstance(layer.outputs, str) else y[name])
            edges.append((source, f"{OUT}{name}"))
        return ranked(pills | blocks, edges, tip=describe(y))

    def sizes(self, node: Node) -> str:
        shape = shortened(shape_text(self.seen(node).y), LETTERS)
        return " · ".join(part for part in (shape, self.count(node)) if part)

    def count(self, node: Node) -> str:
        """The parameters of a layer, and how many of it there are."""
        count, times = self.seen(node).parameters, math.prod(leading_axes(node))
        many = f" ×{times}" if times > 1 else ""
        return f"{count:,} parameter{'s' * (count != 1)}{many}" if count else ""


def _value(name: str, value: Any) -> Block:
    return pill(" ".join([shortened(name, LETTERS), shortened(shape_text(value), LETTERS)]), describe(value))


def _count_layers(layer: Layer) -> str:
    count = sum(not isinstance(each, Combinator) for _, each in walk(layer))
    return f"{count} layer{'s' * (count != 1)}"


def _call(layer: Layer) -> str:
    """The class of a combinator, with its own options."""
    if isinstance(layer, Repeat):
        return f"Repeat ×{layer.n}"
    if isinstance(layer, Composed):
        return shortened(repr(layer), LETTERS)
    options = []
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name)
        if isinstance(value, str | int | float) and value != field.default and field.name not in ("merge", "outputs"):
            options.append(f"{field.name}={value!r}")
    return shortened(type(layer).__name__ + (f"({', '.join(options)})" if options else ""), LETTERS)
