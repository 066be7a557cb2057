"""The delta of a layer, the gradient of the loss with respect to its output, by hand and by ``jax.grad``.

By hand it is what arrives at the layer on the way back: a rule for ``backprop`` that reports ``dy`` itself.

By ``jax.grad`` it is the gradient with respect to a zero added to the output:

    y' = y + δ,  δ = 0     ⟹     ∂loss/∂δ = ∂loss/∂y

``instrumented`` rewrites a model so that every layer in it adds such a δ and hands out its input and output. Both
travel through the state, the one tree that every combinator already leads to each layer and back: inside ``Repeat`` the
deltas are stacked like the states, inside ``Remat`` they go through ``jax.checkpoint``.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.backprop import Rule, asks_rule, entry_at, leading_axes, put
from fnn.errors import is_floating
from fnn.gradients.manual_vjp import ManualVjp
from fnn.layer import Cache, Layer, Params, State
from fnn.stand_in import StandIn
from fnn.walk import Node, map_nodes, nodes


@dataclasses.dataclass(frozen=True)
class Probed(StandIn, name="probed"):
    """A layer that adds ``state["delta"]`` to its output and hands out what it saw.

    Forward:   y = f(x) + δ
    State:     in ``inner`` and, if there is one, ``delta`` δ; out ``inner``, and ``x`` and ``y`` as they were
    """

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        y, inner = self.inner.apply(params, state["inner"], x, train=train, key=key)
        if "delta" in state:
            y = jax.tree.map(
                lambda delta, leaf: leaf if delta is None else leaf + delta,
                state["delta"],
                y,
                is_leaf=lambda leaf: leaf is None,
            )
        return y, {"inner": inner, "x": x, "y": y}


class Placed(NamedTuple):
    """A layer, its path, and the leading axes of its deltas: the n of every ``Repeat`` around it."""

    path: str
    layer: Layer
    repeats: tuple[int, ...]


class Delta(NamedTuple):
    """A layer's delta as a report; a type of its own, so that no combinator takes it for a gradient of parameters."""

    dy: Any


def delta_reports(rule: Rule) -> Rule:
    """The rule that reports every layer's delta and passes back what that rule does."""

    def reported(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Delta, Any]:
        return Delta(dy), rule(path, layer, cache, dy)[1]

    return reported


def placed_layers(model: Layer) -> Iterator[Placed]:
    """The layers that are not combinators, in the order of the model."""
    return (Placed(node.path, node.layer, leading_axes(node)) for node in nodes(model) if asks_rule(node))


def automatic(model: Layer) -> Layer:
    """The model without hand rules in its ``apply``: the automatic gradient must not go through what it checks."""
    return map_nodes(_without_hand_rule, model)


def instrumented(model: Layer) -> Layer:
    """The model with every layer inside it that is not a combinator ``Probed``, and no hand rule in its ``apply``."""
    return map_nodes(lambda node: Probed(node.layer) if asks_rule(node) else _without_hand_rule(node), model)


def _without_hand_rule(node: Node) -> Layer:
    return node.layer.inner if isinstance(node.layer, ManualVjp) else node.layer


def instrumented_state(model: Layer, state: State, deltas: dict[str, Any] | None = None) -> State:
    """The state of an instrumented model, from that of the model and the deltas by path."""
    for path, _, _ in placed_layers(model):
        delta = (deltas or {}).get(path)
        seen = {"inner": entry_at(state, path)}
        state = put(state, path, seen if delta is None else {**seen, "delta": delta})
    return state


def by_path(model: Layer, tree: Any) -> dict[str, Any]:
    """The parts of a nested dict (of states or reports) that belong to the layers; ``None`` where there is none."""
    parts = {}
    for path, _, _ in placed_layers(model):
        part = tree
        for name in path.split("/") if path else ():
            part = part.get(name) if type(part) is dict else None
        parts[path] = None if type(part) is dict and not part else part
    return parts


def zero_deltas(outputs: dict[str, Any]) -> dict[str, Any]:
    """Zeros like the outputs of the layers, ``None`` for what is not floating."""
    # NumPy's: JAX would compile a program for every shape.
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype) if is_floating(leaf) else None, outputs)
