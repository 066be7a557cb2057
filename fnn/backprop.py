"""Wiring and its transpose: how layers made of layers run forward, and how gradients flow back through them.

A combinator states once how its children are connected and, right below, how a gradient flows back:

    connect(x, call)        calls     y, cache    = call(name, child, x)             first to last
    fold(cache, dy, visit)  visits    report, dx  = visit(name, child, cache, dy)    last to first

``init``, ``forward``, ``apply`` and ``step`` are ``connect`` with different calls; ``backward`` is ``fold`` with every
child's own backward, and ``backprop`` can replace that with a rule of yours.
"""

from collections.abc import Callable
from typing import Any

import jax

from fnn.calls import apply_of, backward_of, forward_of, init_of, start_of, step_of
from fnn.errors import describe, located, whose
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Cache, Layer, Params, State, float_dtype, named_key
from fnn.nested import entry as entry
from fnn.nested import entry_at as entry_at
from fnn.nested import nest as nest
from fnn.nested import put as put
from fnn.paths import join
from fnn.sequences.over_time import backward_over_time, passed_lengths, way_through
from fnn.walk import Node

Call = Callable[[str, Layer, Any], tuple[Any, Cache]]
"""``call(name, child, x) -> (y, cache)``: what a combinator's ``connect`` calls for each child."""

Visit = Callable[[str, Layer, Cache, Any], tuple[Any, Any]]
"""``visit(name, child, cache, dy) -> (report, dx)``: what a combinator's ``fold`` calls for each child."""

Rule = Callable[[str, Layer, Cache, Any], tuple[Any, Any]]
"""``rule(path, layer, cache, dy) -> (report, dx)``: what happens at a layer that is not a combinator.

A layer with kernels of its own (attention, gated linear units, recurrent layers, ``FeedForward``) is one layer to a
rule, which reads its documented cache. What is composed from layers is visible layer by layer.
"""


class Combinator(Layer, name="combinator"):
    """The base of layers made of layers: a subclass gives ``children``, ``with_children``, ``connect`` and ``fold``.

    A child's parameters and state are stored under its name; those of a child named ``""`` are the combinator's own.
    """

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        """The output, from the outputs of the children, and the cache for ``fold``. Each name is called once."""
        raise NotImplementedError(f"{type(self).__name__} does not define connect")

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        """The transpose of ``connect``: the reports of the children, nested like the parameters, and dx."""
        raise NotImplementedError(f"{type(self).__name__} does not define fold")

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        inputs: dict[str, Any] = {}
        jax.tree.map(float_dtype, arrays_or_shapes(x))  # raises rather than silently substituting another dtype

        def trace(name: str, child: Layer, x: Any) -> tuple[Any, Cache]:
            inputs[name] = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), x)
            with located(name, child, x):
                return _traced_output(child, named_key(key, name), x), {}

        jax.eval_shape(lambda x: self.connect(x, trace)[0], x)
        params, state = {}, {}
        for name, child in self.children().items():
            with located(name, child, inputs[name]):
                params[name], state[name] = init_of(child, named_key(key, name), inputs[name])
        return nest(params), nest(state)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        names, new_state = list(self.children()), {}
        check_children("params", params, names)
        check_children("state", state, names)

        def call(name: str, child: Layer, x: Any) -> tuple[Any, Cache]:
            with located(name, child, x):
                y, new_state[name], cache = forward_of(
                    child, entry(params, name), entry(state, name), x, train=train, key=named_key(key, name)
                )
            return y, cache

        y, cache = self.connect(x, call)
        return y, nest(new_state), cache

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        # Not forward without its cache: a child may have an apply of its own (Remat, with_manual_vjp).
        names, new_state = list(self.children()), {}
        check_children("params", params, names)
        check_children("state", state, names)

        def call(name: str, child: Layer, x: Any) -> tuple[Any, Cache]:
            with located(name, child, x):
                y, new_state[name] = apply_of(
                    child, entry(params, name), entry(state, name), x, train=train, key=named_key(key, name)
                )
            return y, {}

        y, _ = self.connect(x, call)
        return y, nest(new_state)

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        """``fold`` with every child's own ``backward``."""
        return backprop(self, cache, dy)

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> Any:
        """The carries that the children start from, under their names."""
        check_children("params", params, list(self.children()))
        found = {}
        for name, child in self.children().items():
            own = entry(params, name)
            with located(name, child, own, "started with the parameters"):
                found[name] = start_of(child, batch_size, length=length, params=own, state=entry(state or {}, name))
        return nest(found)

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        """``connect`` with a step of every child."""
        new_carry = {}

        def call(name: str, child: Layer, x: Any) -> tuple[Any, Cache]:
            with located(name, child, x):
                y, new_carry[name] = step_of(
                    child, entry(params, name), entry(carry, name), x, state=entry(state or {}, name)
                )
            return y, {}

        return self.connect(x, call)[0], nest(new_carry)

    @property
    def child_axes(self) -> tuple[int, ...]:
        """The leading axes that the children's parameters, states, caches and reports have: ``(n,)`` where the children
        run n times over, with arrays of their own each time, as in ``Repeat``; else ``()``."""
        return ()

    @property
    def inverts(self) -> bool:
        """Whether ``fold`` can compute the input again from the output (fnn/combinators/handed.py)."""
        return False

    def without_output(self, cache: Cache) -> Cache:
        """The cache without the output, of a layer that inverts."""
        raise NotImplementedError(f"{type(self).__name__} does not define without_output")

    @property
    def rule(self) -> str:
        """``"auto"`` if the backward of any layer inside is."""
        return "auto" if any(child.rule == "auto" for child in self.children().values()) else "hand"


Above = Callable[[str, "Combinator", Cache, Any], Any]
"""``above(path, combinator, cache, report) -> report``: what becomes of the report of the layers inside."""


def backprop(
    layer: Layer, cache: Cache, dy: Any, rule: Rule | None = None, *, above: Above | None = None
) -> tuple[Any, Any]:
    """Backpropagates ``dy`` through a layer and all layers inside it; returns ``(dparams, dx)``.

    A ``rule(path, layer, cache, dy) -> (report, dx)`` replaces the layers' own backward. Its reports take the place of
    ``dparams``, in the same nested dict (``None`` and ``{}`` are left out). Inside ``Repeat`` a rule is traced once,
    must be pure, and its reports come out stacked. ``above`` makes a combinator's report from that of its ``fold``,
    for rules whose reports change where parameters are transformed. A rule that returns every layer's delta:

    >>> def tap(path, layer, cache, dy):
    ...     return dy, layer.backward(cache, dy)[1]
    """
    rule = rule or own_backward

    def descend(path: str, layer: Layer, cache: Any, dy: Any) -> tuple[Any, Any]:
        if passed_lengths(layer, cache):
            return backward_over_time(cache, dy, lambda cache, dy: descend(path, layer, cache, dy))
        if not isinstance(layer, Combinator):
            found = rule(path, layer, cache, dy)
            if not isinstance(found, tuple) or len(found) != 2:
                raise TypeError(f"a rule returns (report, dx), got {describe(found)}")
            return found

        def visit(name: str, child: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            with located(name, child, dy, "given the output gradient"):
                return descend(join(path, name), child, cache, dy)

        report, dx = layer.fold(cache, dy, visit)
        return report if above is None else above(path, layer, cache, report), dx

    return descend("", layer, cache, dy)


def own_backward(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Params, Any]:
    """The default rule: the layer's own backward."""
    return backward_of(layer, cache, dy)


def asks_rule(node: Node) -> bool:
    """Whether ``backprop`` asks its rule at this node: at a layer that is not a combinator and in combinators alone."""
    return not isinstance(node.layer, Combinator) and all(isinstance(each, Combinator) for each in node.ancestors)


def leading_axes(node: Node) -> tuple[int, ...]:
    """The ``child_axes`` of all combinators around a node, outermost first."""
    return tuple(n for each in node.ancestors if isinstance(each, Combinator) for n in each.child_axes)


def add_gradients(one: Any, other: Any) -> Any:
    """The gradient of a value used twice: the sum of both gradients, where ``None`` means no gradient."""

    def add(a: Any, b: Any) -> Any:
        return b if a is None else a if b is None else a + b

    return jax.tree.map(add, one, other, is_leaf=lambda leaf: leaf is None)


def check_children(kind: str, tree: Any, names: list[str]) -> None:
    """Raises if params or state are not a dict, or have an entry for no child: they belong to another model."""
    if not isinstance(tree, dict):
        raise TypeError(f"{kind} is a nested dict as init returns it, got {describe(tree)}")
    unknown = [] if "" in names else [name for name in tree if name not in names]
    if unknown:
        raise ValueError(f"{kind} hold {unknown}, but the layers here are {names}; {whose(kind, unknown)}")


def _traced_output(layer: Layer, key: jax.Array, x: Any) -> Any:
    # Recurses through the wiring, so that each level is traced once; through init, tracing would double at each level.
    if isinstance(layer, Combinator) and type(layer).init is Combinator.init:

        def trace(name: str, child: Layer, x: Any) -> tuple[Any, Cache]:
            with located(name, child, x):
                return _traced_output(child, named_key(key, name), x), {}

        way = way_through(layer, x)
        return way.output(layer.connect(way.x, trace)[0])
    params, state = init_of(layer, key, x)
    return apply_of(layer, params, state, x)[0]
