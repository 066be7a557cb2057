"""The layers of a model and what they cost, from shapes alone."""

import dataclasses
import functools
import math
import sys
from typing import Any

import jax

from fnn.backprop import asks_rule, leading_axes
from fnn.calls import forward_of, init_of
from fnn.combinators.graph import Graph
from fnn.combinators.pack import Pack, Packed
from fnn.combinators.remat import Remat
from fnn.combinators.reversible import Reversible
from fnn.combinators.wiring import names_in
from fnn.describe.fitting import Column, fitted, page_width
from fnn.describe.flops import flops
from fnn.describe.html import html_table
from fnn.describe.rendering import as_text, spelled
from fnn.errors import describe, is_floating
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Cache, Layer, Params, State
from fnn.layers import AvgPool, DepthwiseConv, MaxPool
from fnn.layers.conv.conv import Convolution
from fnn.paths import join, lies_in
from fnn.stand_in import StandIn
from fnn.walk import Node, map_nodes, nodes


@dataclasses.dataclass(frozen=True)
class LayerRow:
    """One layer that is not a combinator. ``times`` is how often ``Repeat`` runs it; the figures include all runs.

    FLOPs are counted as in ``fnn/describe/flops.py``, NaN where they cannot be; inside ``Remat`` and ``Reversible`` the
    backward pass includes the forward pass that it runs again. ``cache_bytes`` is what the layer keeps for its backward
    pass, packed if it is inside ``Pack``; an array that two layers keep counts for both. What combinators compute
    themselves (a sum, a product, a norm of weights) is in no row.
    """

    path: str
    layer: Layer
    output: str
    parameters: int
    forward_flops: float
    backward_flops: float
    cache_bytes: int
    rule: str
    times: int
    seen: str = ""
    """For a convolution or a pool: the axes and channels of its input. For the first layer of a
    node of a ``Graph``: what the node reads."""


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """The rows of a model and their totals; ``print`` shows a table."""

    rows: tuple[LayerRow, ...]
    parameters: int
    """How many numbers the parameters hold. Where a combinator computes the parameters of a layer (``Tied``,
    ``WeightNorm``), the row counts what the layer sees; only this total counts what is stored."""

    @property
    def forward_flops(self) -> float:
        """Floating-point operations of the layers in one forward pass in training."""
        return sum(row.forward_flops for row in self.rows)

    @property
    def backward_flops(self) -> float:
        """Floating-point operations of the layers in one backward pass."""
        return sum(row.backward_flops for row in self.rows)

    @property
    def cache_bytes(self) -> int:
        """Bytes kept between forward and backward, without rematerialisation."""
        return sum(row.cache_bytes for row in self.rows)

    def __repr__(self) -> str:
        width = page_width()
        return as_text(self._table(width, getattr(sys.stdout, "encoding", None)), width)

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from spelled(console, options, self._table(options.max_width, console.encoding))

    def _repr_html_(self) -> str:
        wide = [[*what, *count] for what, count in zip(*self._cells(), strict=True)]
        return html_table([*WHAT, *NUMBERS], wide, footer=["total", "", "", *self._totals()])

    def _totals(self) -> list[str]:
        totals = [f"{self.parameters:,}", short(self.forward_flops), short(self.backward_flops)]
        return [*totals, short(self.cache_bytes), ""]

    def _cells(self) -> tuple[list[list[str]], list[list[str]]]:
        """Of each row, what the layer is, and its numbers."""
        cells, numbers = [], []
        for row in self.rows:
            path = row.path + (f" ×{row.times}" if row.times > 1 else "")
            cells.append([path, repr(row.layer) + (row.seen and f"\n{row.seen}"), row.output])
            counts = (row.forward_flops, row.backward_flops, row.cache_bytes)
            numbers.append([f"{row.parameters:,}" if row.parameters else "", *map(short, counts), row.rule])
        return cells, numbers

    def _table(self, width: int, encoding: str | None) -> Any:
        """All columns side by side; what a layer is in one column; or each layer as a list: the first that fits."""
        totals, (cells, numbers) = self._totals(), self._cells()
        wide = [[*what, *count] for what, count in zip(cells, numbers, strict=True)]
        options = {"encoding": encoding, "footer": ["total", "", "", *totals]}
        table = fitted([*WHAT, *NUMBERS], wide, width, **options, or_rows=False) if width > 90 else None
        if table is None and width > 70:
            joined = [
                ["\n".join(part for part in what if part), *count] for what, count in zip(cells, numbers, strict=True)
            ]
            options["footer"] = ["total", *totals]
            table = fitted(
                [Column("layer", breaks="/,("), *NUMBERS], joined, width, **options, apart=True, or_rows=False
            )
            options["footer"] = ["total", "", "", *totals]
        return fitted([*WHAT, *NUMBERS], wide, width, **options) if table is None else table


WHAT = [Column("path", breaks="/"), Column("layer", breaks=",("), Column("output", breaks=" ")]
NUMBERS = [
    *(Column(heading, right=True) for heading in ("parameters", "FLOPs\nforward", "\nbackward", "cache\nbytes")),
    Column("rule"),
]


def summary(model: Layer, x: Any) -> Summary:
    """The layers of a model, in the order in which they run in training on inputs like ``x`` (arrays or shapes).

    >>> import fnn
    >>> result = summary(fnn.Serial(fnn.Dense(8), fnn.Relu()), jax.ShapeDtypeStruct((32, 4), "float32"))
    >>> result.parameters, [row.path for row in result.rows]
    (40, ['dense_0', 'relu_0'])
    """
    key = jax.random.key(0)
    params, state = jax.eval_shape(lambda key, x: init_of(model, key, x), key, arrays_or_shapes(x))
    rows: list[LayerRow] = []
    model = map_nodes(lambda node: node.layer.by_layer() if isinstance(node.layer, Pack) else node.layer, model)
    recorder = map_nodes(lambda node: _Recorder(node.layer, node, rows) if asks_rule(node) else node.layer, model)
    run = functools.partial(forward_of, recorder, train=True)
    jax.eval_shape(lambda *given: run(*given[:3], key=given[3]), params, state, x, key)
    _say_what_nodes_read(model, rows)
    return Summary(tuple(rows), sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)))


@dataclasses.dataclass(frozen=True)
class _Recorder(StandIn):
    """Runs in place of a layer and records its costs."""

    node: Node
    rows: list[LayerRow] = dataclasses.field(compare=False, repr=False)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, new_state, cache = self.inner.forward(params, state, x, train=train, key=key)
        given = jax.tree.map(_shape, (params, state, x, key))
        forward = flops(lambda *given: self.inner.apply(*given[:3], train=train, key=given[3])[0], *given)
        dy = jax.tree.map(lambda leaf: _shape(leaf) if is_floating(leaf) else None, y)
        backward = flops(self.inner.backward, jax.tree.map(_shape, cache), dy)
        kept: Any = cache
        for each in reversed(self.node.ancestors):
            kept = jax.eval_shape(each.pack, kept) if isinstance(each, Packed) else kept
        times = math.prod(leading_axes(self.node))
        again = sum(isinstance(each, Remat | Reversible) for each in self.node.ancestors)
        self.rows.append(
            LayerRow(
                self.node.path,
                self.inner,
                describe(y),
                times * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)),
                times * forward,
                times * (backward + (again * forward if again else 0)),
                times * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept)),
                self.inner.rule,
                times,
                _seen(self.inner, x),
            )
        )
        return y, new_state, cache


def _say_what_nodes_read(model: Layer, rows: list[LayerRow]) -> None:
    for node in nodes(model):
        for name, (_, given) in node.layer.nodes.items() if isinstance(node.layer, Graph) else ():
            path = join(node.path, name)
            first = next((place for place, row in enumerate(rows) if lies_in(row.path, [path])), None)
            if first is not None:
                words = f"reads {', '.join(names_in(given))}"
                seen = rows[first].seen and f"{rows[first].seen}; "
                rows[first] = dataclasses.replace(rows[first], seen=f"{seen}{words}")


def _seen(layer: Layer, x: Any) -> str:
    window = getattr(layer, "kernel_size", getattr(layer, "window", None))
    if not isinstance(layer, Convolution | DepthwiseConv | MaxPool | AvgPool) or window is None:
        return ""
    channels = f"{x.shape[-1]} channel{'s' * (x.shape[-1] != 1)}"
    return f"{x.ndim - 2}-D over {'×'.join(map(str, x.shape[1:-1]))}, {channels}"


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def short(number: float) -> str:
    """A count in three digits with a prefix; an empty string for 0, a question mark for an unknown count.

    >>> short(0), short(999), short(1_500_000), short(float("nan"))
    ('', '999', '1.5 M', '?')
    """
    if math.isnan(number):
        return "?"
    for prefix in ("", " k", " M", " G", " T", " P"):
        if abs(number) < 999.5:
            return f"{number:.3g}{prefix}" if number else ""
        number /= 1000
    return f"{number:.3g} E"
