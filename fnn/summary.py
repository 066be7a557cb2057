"""What a model is made of and what it costs, from shapes alone."""

import dataclasses
import functools
import math
from typing import Any

import jax

from fnn.backprop import Combinator
from fnn.calls import forward_of, init_of
from fnn.combinators.repeat import Repeat
from fnn.errors import describe, is_floating
from fnn.flops import flops
from fnn.inputs import arrays_or_shapes
from fnn.layer import Cache, Layer, OverTime, Params, State
from fnn.paths import join
from fnn.rendering import as_text


@dataclasses.dataclass(frozen=True)
class Row:
    """One layer that is not a combinator. ``times`` is how often ``Repeat`` runs it; the figures are for all of them.

    FLOPs are those of ``fnn.flops``; ``cache_bytes`` is what the layer keeps for its backward pass, where
    an array that two layers keep is counted for both.
    """

    path: str
    layer: Layer
    output: str
    parameters: int
    forward_flops: int
    backward_flops: int
    cache_bytes: int
    rule: str
    times: int


@dataclasses.dataclass(frozen=True, repr=False)
class Summary:
    """The rows of a model and their sums; ``print`` shows a table."""

    rows: tuple[Row, ...]
    parameters: int
    """The number of parameters, that is of their entries. Where a combinator makes a layer's parameters from others
    (``Tied``, ``WeightNorm``), the row counts what the layer sees, and this sum alone what there is."""

    @property
    def forward_flops(self) -> int:
        """Floating-point operations of one forward pass in training."""
        return sum(row.forward_flops for row in self.rows)

    @property
    def backward_flops(self) -> int:
        """Floating-point operations of one backward pass."""
        return sum(row.backward_flops for row in self.rows)

    @property
    def cache_bytes(self) -> int:
        """Bytes kept between forward and backward, if nothing is rematerialised."""
        return sum(row.cache_bytes for row in self.rows)

    def __repr__(self) -> str:
        return as_text(self.__rich__())

    def __rich__(self) -> Any:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, show_footer=True, padding=(0, 1, 0, 0))
        totals = [
            *("total", "", "", f"{self.parameters:,}", short(self.forward_flops), short(self.backward_flops)),
            *(short(self.cache_bytes), ""),
        ]
        headings = ("path", "layer", "output", "parameters", "FLOPs forward", "backward", "cache bytes", "rule")
        for position, (heading, total) in enumerate(zip(headings, totals, strict=True)):
            table.add_column(heading, total, justify="right" if 3 <= position <= 6 else "left", overflow="fold")
        for row in self.rows:
            times = f" ×{row.times}" if row.times > 1 else ""
            table.add_row(
                *(row.path + times, repr(row.layer), row.output, f"{row.parameters:,}" if row.parameters else ""),
                *(short(row.forward_flops), short(row.backward_flops), short(row.cache_bytes), row.rule),
            )
        return table


def summary(model: Layer, x: Any) -> Summary:
    """The layers of a model in the order in which they run on inputs like ``x`` (arrays or shapes), in training.

    >>> import fnn
    >>> result = summary(fnn.Serial(fnn.Dense(8), fnn.Relu()), jax.ShapeDtypeStruct((32, 4), "float32"))
    >>> result.parameters, [row.path for row in result.rows]
    (40, ['dense_0', 'relu_0'])
    """
    key = jax.random.key(0)
    params, state = jax.eval_shape(lambda key, x: init_of(model, key, x), key, arrays_or_shapes(x))
    rows: list[Row] = []
    recorder = _recording(model, "", 1, rows)
    run = functools.partial(forward_of, recorder, train=True)
    jax.eval_shape(lambda *given: run(*given[:3], key=given[3]), params, state, x, key)
    return Summary(tuple(rows), sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)))


@dataclasses.dataclass(frozen=True)
class _Recorder(Layer):
    """Stands in the place of a layer and writes down what passes."""

    inner: Layer
    path: str
    times: int
    rows: list[Row] = dataclasses.field(compare=False, repr=False)

    @property
    def over_time(self) -> OverTime | None:  # type: ignore[override]
        return self.inner.over_time

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return self.inner.lengths_after(lengths, steps)

    def __repr__(self) -> str:
        return repr(self.inner)  # errors name the layer that the reader wrote

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, new_state, cache = self.inner.forward(params, state, x, train=train, key=key)
        given = jax.tree.map(_shape, (params, state, x, key))
        forward = flops(lambda *given: self.inner.apply(*given[:3], train=train, key=given[3])[0], *given)
        dy = jax.tree.map(lambda leaf: _shape(leaf) if is_floating(leaf) else None, y)
        backward = flops(self.inner.backward, jax.tree.map(_shape, cache), dy)
        self.rows.append(
            Row(
                self.path,
                self.inner,
                describe(y),
                self.times * sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)),
                self.times * forward,
                self.times * backward,
                self.times * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache)),
                self.inner.rule,
                self.times,
            )
        )
        return y, new_state, cache


def _recording(layer: Layer, path: str, times: int, rows: list[Row]) -> Layer:
    if not isinstance(layer, Combinator):
        return _Recorder(layer, path, times, rows)
    times = times * layer.n if isinstance(layer, Repeat) else times
    children = layer.children().items()
    return layer.with_children({name: _recording(child, join(path, name), times, rows) for name, child in children})


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def short(number: float) -> str:
    """A count in three digits with the prefix of its size; nothing for 0.

    >>> short(0), short(999), short(1_500_000)
    ('', '999', '1.5 M')
    """
    for prefix in ("", " k", " M", " G", " T", " P"):
        if abs(number) < 999.5:
            return f"{number:.3g}{prefix}" if number else ""
        number /= 1000
    return f"{number:.3g} E"
