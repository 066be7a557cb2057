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

from fnn.backprop import Combinator, entry, nest
from fnn.combinators.repeat import Repeat
from fnn.errors import is_floating
from fnn.gradients.manual_vjp import ManualVjp
from fnn.layer import Cache, Layer, Params, State
from fnn.paths import join
from fnn.stand_in import StandIn


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
    """A layer, its path, and the n of every ``Repeat`` around it: the leading axes of its deltas."""

    path: str
    layer: Layer
    repeats: tuple[int, ...]


class Tapped(NamedTuple):
    """The report of ``tap``; a type of its own, so that no combinator takes it for a gradient of parameters."""

    dy: Any


def tap(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Tapped, Any]:
    """The rule that reports every layer's delta and leaves the way back as it is."""
    return Tapped(dy), layer.backward(cache, dy)[1]


def placed_layers(layer: Layer, path: str = "", repeats: tuple[int, ...] = ()) -> Iterator[Placed]:
    """The layers that are not combinators, in the order of the model."""
    if not isinstance(layer, Combinator):
        yield Placed(path, layer, repeats)
        return
    repeats = (*repeats, layer.n) if isinstance(layer, Repeat) else repeats
    for name, child in layer.children().items():
        yield from placed_layers(child, join(path, name), repeats)


def automatic(layer: Layer) -> Layer:
    """The layer without hand rules in its ``apply``: the automatic gradient must not go through what it checks."""
    if isinstance(layer, ManualVjp):
        return automatic(layer.inner)
    return layer.with_children({name: automatic(child) for name, child in layer.children().items()})


def instrumented(layer: Layer) -> Layer:
    """The layer with every layer inside it that is not a combinator ``Probed``, and no hand rule in its ``apply``."""
    if isinstance(layer, ManualVjp):
        return instrumented(layer.inner)
    if not isinstance(layer, Combinator):
        return Probed(automatic(layer))
    return layer.with_children({name: instrumented(child) for name, child in layer.children().items()})


def instrumented_state(layer: Layer, state: State, deltas: dict[str, Any] | None = None, path: str = "") -> State:
    """The state of an instrumented model, from that of the model and the deltas by path."""
    if not isinstance(layer, Combinator):
        delta = (deltas or {}).get(path)
        return {"inner": state} if delta is None else {"inner": state, "delta": delta}
    children = layer.children()
    own = {} if "" in children else {name: part for name, part in state.items() if name not in children}
    inner = {
        name: instrumented_state(child, entry(state, name), deltas, join(path, name))
        for name, child in children.items()
    }
    return {**own, **nest(inner)}


def by_path(layer: Layer, tree: Any) -> dict[str, Any]:
    """The parts of a nested dict (of states or reports) that belong to the layers; ``None`` where there is none."""
    parts = {}
    for path, _, _ in placed_layers(layer):
        part = tree
        for name in path.split("/") if path else ():
            part = part.get(name) if type(part) is dict else None
        parts[path] = None if type(part) is dict and not part else part
    return parts


def zero_deltas(outputs: dict[str, Any]) -> dict[str, Any]:
    """Zeros like the outputs of the layers, ``None`` for what is not floating."""
    # NumPy's: JAX would compile a program for every shape.
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype) if is_floating(leaf) else None, outputs)
