"""Layers wired by name: several inputs, several outputs, and values that several layers read."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp

from fnn.backprop import Call, Combinator, Visit, add_gradients, nest
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.combinators.wiring import (
    Given,
    by_name,
    check_outputs,
    checked_given,
    collected,
    handed_out,
    in_order,
    inputs_of,
    names_in,
)
from fnn.errors import describe
from fnn.layer import Cache, Layer, Static
from fnn.paths import check_name
from fnn.sequences.over_time import of_children
from fnn.values import FrozenDict


@dataclasses.dataclass(frozen=True)
class Graph(Combinator, name="graph"):
    """Layers wired by name: each node is a layer with the names of the values that it reads.

    Forward:   v_n = f_n(v_a, v_b, …),  a, b, … the names that node n reads;  y = the values named by ``outputs``
    Backward:  dv_a = Σ_n J_(n,a)ᵀ dv_n  over the nodes n that read a,  + dy_a  if a is an output,  last node to first

    ``nodes`` is a dict ``{name: (layer, inputs)}``, in any order. The inputs of a node are one name, for which the
    layer gets that value; a tuple of names, for which it gets a tuple (``Add``, ``Multiply``, ``Concatenate``,
    ``Bilinear``, attention with a memory); or a dict, for which it gets a dict (a ``Graph`` as a node). A name that no
    node defines is an input of the graph. ``outputs`` is one name; a tuple of names, for a dict of outputs by those
    names; or a dict ``{output: name}``. Each layer runs once; layers that share weights are ``Tied``.

    Params, State: those of each node under its name
    Cache:     those of each node under its name in ``nodes``; ``by_name`` Static, whether the inputs were a dict;
               ``outputs`` Static, the structure, shapes and dtypes of each output, if there are several
    Shapes:    a dict of the inputs by name, or for a single input the value alone, → one output, or a dict. A value is
               what a layer takes or returns: an array, a tuple, a sequence (x, lengths)

    An output whose gradient is None or missing counts as one with the gradient 0.

    Errors: ``TypeError`` for nodes that are not pairs of a layer and names, and for several inputs that are not a dict;
    ``ValueError`` for a cycle, for nodes that no output depends on, for an unknown output, and for inputs that are
    missing or that no node reads.

    >>> import fnn
    >>> model = Graph(
    ...     {
    ...         "seen": (fnn.Dense(8), "image"),
    ...         "joined": (fnn.Concatenate(), ("seen", "age")),
    ...         "risk": (fnn.Dense(1), "joined"),
    ...         "kind": (fnn.Dense(3), "seen"),
    ...     },
    ...     outputs=("risk", "kind"),
    ... )
    >>> draw = jax.random.normal(jax.random.key(0), (64, 6))
    >>> inputs = {"image": draw[:, :5], "age": draw[:, 5:]}
    >>> targets = {"risk": draw[:, 5:] + draw[:, :1], "kind": draw[:, :3].argmax(1)}
    >>> loss = fnn.MultiLoss({"risk": fnn.MeanSquaredError(), "kind": fnn.CrossEntropy()})
    >>> run = fnn.make_train(fnn.Objective(model, loss), fnn.optim.adam(0.05), epochs=20, batch_size=16)
    >>> result = jax.jit(run)(jax.random.key(1), (inputs, targets))
    >>> bool(result.history["loss"][-1] < 0.3 * result.history["loss"][0])
    True
    >>> sorted(model.apply(result.params, result.state, inputs)[0])
    ['kind', 'risk']
    """

    nodes: Mapping[str, tuple[Layer, Given]]
    _: dataclasses.KW_ONLY
    outputs: Given

    @property
    def over_time(self) -> Any:  # type: ignore[override]
        """Lengths bypass a graph of one output whose layers all treat each step alone; several bring their own."""
        return of_children(self) if isinstance(self.outputs, str) else None

    def __post_init__(self) -> None:
        if not isinstance(self.nodes, Mapping):
            raise TypeError(f"Graph takes its nodes by name, {{'name': (layer, 'input')}}, got {self.nodes!r}")
        if not self.nodes:
            raise ValueError("Graph needs at least one node, {'name': (layer, 'input')}")
        nodes = in_order({check_name(name): self._checked(name, self.nodes[name]) for name in self.nodes})
        outputs = checked_given("the outputs", self.outputs)
        check_outputs(nodes, outputs)
        object.__setattr__(self, "nodes", FrozenDict(nodes))
        object.__setattr__(self, "outputs", outputs)

    def _checked(self, name: str, node: Any) -> tuple[Layer, Given]:
        if not isinstance(node, tuple | list) or len(node) != 2:
            hint = f"; write ({node!r}, 'input')" if isinstance(node, Layer) else ""
            raise TypeError(f"the node {name!r} is a pair (layer, names of its inputs), got {node!r}{hint}")
        layer, given = node
        return check_layer_type(self, layer), checked_given(f"the inputs of the node {name!r}", given)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in the order in which they are read."""
        return inputs_of(self.nodes)

    def source(self, output: str | None = None) -> str | None:
        """The value that is the output, or the output of that name; ``None`` if there is none."""
        return self.outputs if isinstance(self.outputs, str) else dict(self._returned).get(output)

    def children(self) -> dict[str, Layer]:
        return {name: layer for name, (layer, _) in self.nodes.items()}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return type(self)(
            {name: (children[name], given) for name, (_, given) in self.nodes.items()}, outputs=self.outputs
        )

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        values, named = by_name(x, self.inputs, self.nodes)
        values, caches = jax.tree.map(jnp.asarray, values), {}
        for name, (layer, given) in self.nodes.items():
            values[name], caches[name] = call(name, layer, collected(given, values.__getitem__))
        cache = {"nodes": caches, "by_name": Static(named)}
        if not isinstance(self.outputs, str):
            cache["outputs"] = Static(tuple((name, _abstract(values[name])) for name in names_in(self.outputs)))
        return collected(self._returned, values.__getitem__), cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        gradients: dict[str, Any] = {}

        def add(given: Given, gradient: Any) -> None:
            for name, part in handed_out(given, gradient):
                gradients[name] = add_gradients(gradients.get(name), part)

        add(self._returned, dy if isinstance(self.outputs, str) else self._of_every_output(cache, dy))
        reports = {}
        for name, (layer, given) in reversed(list(self.nodes.items())):
            reports[name], dinput = visit(name, layer, cache["nodes"][name], gradients.pop(name, None))
            add(given, dinput)
        if cache["by_name"].value:
            return nest(reports), {name: gradients.get(name) for name in sorted(self.inputs)}
        return nest(reports), gradients.get(self.inputs[0])

    @property
    def _returned(self) -> Any:
        """The outputs: one name, or names by name."""
        return {name: name for name in self.outputs} if isinstance(self.outputs, tuple) else self.outputs

    def _of_every_output(self, cache: Cache, dy: Any) -> dict[str, Any]:
        """The gradients of all outputs: zeros for those that have none."""
        names, shapes = list(self._returned), dict(cache["outputs"].value)
        if not isinstance(dy, dict) or (unknown := [name for name in dy if name not in names]):
            found = unknown if isinstance(dy, dict) else describe(dy)
            raise TypeError(f"expected the gradients of the outputs, a dict of {names}, got {found}")
        given = {name: dy.get(name) for name in names}
        return {name: _zeros(shapes[self._returned[name]]) if part is None else part for name, part in given.items()}


def _abstract(value: Any) -> tuple:
    """The structure of a value, with the shapes and dtypes of its leaves."""
    leaves, treedef = jax.tree.flatten(value)
    return treedef, tuple((leaf.shape, leaf.dtype) for leaf in leaves)


def _zeros(abstract: tuple) -> Any:
    """A gradient of 0: zeros for floating leaves, ``None`` for the others."""
    treedef, leaves = abstract
    return treedef.unflatten(
        [jnp.zeros(shape, dtype) if jnp.issubdtype(dtype, jnp.floating) else None for shape, dtype in leaves]
    )
