"""Activations and deltas of a model, read and changed on their way."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fnn.backprop import Rule, add_gradients, asks_rule, backprop, entry_at, own_backward, put
from fnn.errors import is_floating
from fnn.gradients.deltas import Delta
from fnn.layer import Cache, Layer, Params, State
from fnn.objective import Aux, Objective
from fnn.paths import select
from fnn.stand_in import StandIn
from fnn.walk import map_nodes, nodes

Edit = Callable[[str, Any], Any]
"""``edit(path, array) -> array``: what becomes of the output, or the delta, of the layer at that path."""


class Tapped(NamedTuple):
    """What a ``Tap`` returns: ``value``, ``aux`` and ``grads`` as those of the objective, and by path of the layer
    ``activations``, its outputs y, and ``deltas``, ∂value/∂y; both after an edit, stacked on n inside ``Repeat``."""

    value: jax.Array
    aux: Aux
    grads: Params
    activations: dict[str, Any]
    deltas: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Tap:
    """``tap(objective, paths, …)`` as a value: call it as ``objective.value_and_grad``."""

    objective: Objective
    paths: str | tuple[str, ...]
    _: dataclasses.KW_ONLY
    activation: Edit | None = None
    delta: Edit | None = None

    def __post_init__(self) -> None:
        _ = self.chosen  # raises for a glob that selects no layer

    @property
    def chosen(self) -> list[str]:
        """The paths of the layers that are tapped."""
        return select(self.paths, [node.path for node in nodes(self.objective.model) if asks_rule(node)])

    def plot(self, found: Tapped, path: str | os.PathLike) -> None:
        """Draws the sizes of the tapped activations and deltas by depth, each layer of a ``Repeat`` by itself, and
        saves the picture; the ending gives the format.

        Errors: ``ImportError`` where matplotlib is not installed.
        """
        from fnn.rules.tap_plot import save_depths

        save_depths(self.objective.model, found, path)

    def __call__(
        self, params: Params, state: State, batch: tuple, *, key: jax.Array | None = None, train: bool = True
    ) -> Tapped:
        chosen = frozenset(self.chosen)

        def watched(node: Any) -> Layer:
            if not asks_rule(node) or node.path not in chosen:
                return node.layer
            return Watched(node.layer, node.path, self.activation, self.delta)

        objective = self.objective.with_model(map_nodes(watched, self.objective.model))
        given = state
        for path in chosen:
            given = put(given, path, {"inner": entry_at(state, path)})
        value, aux, cache, doutputs = objective.forward(params, given, batch, train=train, key=key)
        own = objective.rule(doutputs, key) or own_backward

        def gradients(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            return layer.back(own, cache, dy)[:2] if isinstance(layer, Watched) else own(path, layer, cache, dy)

        def arrived(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            if not isinstance(layer, Watched):
                return None, own(path, layer, cache, dy)[1]
            _, dx, edited = layer.back(own, cache, dy)
            return Delta(edited), dx

        # Two folds of the same computation, which XLA merges: combinators transform gradients, but not deltas.
        grads, _ = backprop(objective.model, cache, doutputs, gradients)
        deltas, _ = backprop(objective.model, cache, doutputs, arrived)
        cost, penalties = objective.penalty(params)
        grads = grads if penalties is None else add_gradients(grads, penalties)
        seen = {path: entry_at(aux.state, path)["y"] for path in self.chosen}
        found = {path: entry_at(deltas, path).dy for path in self.chosen}
        return Tapped(value + cost, Aux(_restored(aux.state, state), aux.outputs), grads, seen, found)


def tap(
    objective: Objective,
    paths: str | tuple[str, ...],
    *,
    activation: Edit | None = None,
    delta: Edit | None = None,
) -> Tap:
    """A function like ``objective.value_and_grad`` that also returns, and may change, what passes the chosen layers.

    ``found = tap(objective, "conv_*")(params, state, batch, key=…, train=True)`` gives ``found.activations`` and
    ``found.deltas`` by path beside ``found.value``, ``found.aux`` and ``found.grads``.

        Forward:   y' = activation(path, f(x))
        Backward:  dy = delta(path, dy'),  df = J_activationᵀ dy,  dx, dθ = the layer's own backward at df

    ``paths`` are globs of layers that are not combinators; attention, gated units and ``FeedForward`` are one layer.
    An edit gets each output or delta of a chosen layer and returns one of the same shape: so deltas are clipped, made
    noisy or quantised, and activations ablated. Rules of the objective are followed. Inside ``Repeat`` an edit is
    traced once for all layers there. ``tap(objective, "*").plot(found, "depth.png")`` draws their sizes by depth.

    Errors: ``ValueError`` for a glob that selects no layer.

    >>> import fnn, jax.numpy as jnp
    >>> model = fnn.Serial(fnn.Dense(2, use_bias=False), fnn.Relu(), head=fnn.Dense(1, use_bias=False))
    >>> params = {"dense_0": {"kernel": jnp.eye(2)}, "head": {"kernel": jnp.ones((2, 1))}}
    >>> batch = jnp.array([[3.0, -1.0]]), jnp.array([[1.0]])
    >>> found = tap(fnn.Objective(model, fnn.MeanSquaredError()), ("dense_*", "relu_0"))(params, {}, batch)
    >>> found.activations["relu_0"], found.deltas["dense_0"]  # 2 (3 − 1), and nothing where the unit is off
    (Array([[3., 0.]], dtype=float32), Array([[4., 0.]], dtype=float32))
    """
    return Tap(objective, paths, activation=activation, delta=delta)


@dataclasses.dataclass(frozen=True)
class Watched(StandIn, name="watched"):
    """A layer whose output and delta pass through edits; its state hands out the output as ``y``."""

    path: str = ""
    activation: Edit | None = None
    delta: Edit | None = None

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, inner, cache = self.inner.forward(params, state["inner"], x, train=train, key=key)
        kept: Cache = {"inner": cache}
        if self.activation is not None:
            kept["y"], y = y, self.edited(y)
        return y, {"inner": inner, "y": y}, kept

    def back(self, rule: Rule, cache: Cache, dy: Any) -> tuple[Params, Any, Any]:
        """``(dparams, dx)`` of the layer by that rule, and dy after the edit."""
        dy = arrived = self._each(self.delta, dy)
        if self.activation is not None:
            _, vjp = jax.vjp(self.edited, cache["y"])
            (dy,) = vjp(dy)
        return *rule(self.path, self.inner, cache["inner"], dy), arrived

    def edited(self, y: Any) -> Any:
        """y after the edit."""
        return self._each(self.activation, y)

    def _each(self, edit: Edit | None, tree: Any) -> Any:
        if edit is None:
            return tree

        def one(leaf: Any) -> Any:
            made = edit(self.path, leaf)
            if jax.typeof(made) != jax.typeof(leaf):
                raise ValueError(
                    f"an edit returns an array like the one it gets, {jax.typeof(leaf)}, got {jax.typeof(made)}"
                )
            return made

        return jax.tree.map(lambda leaf: one(leaf) if is_floating(leaf) else leaf, tree)


def _restored(new: Any, old: Any) -> Any:
    """The new state in the structure of the old one."""
    if isinstance(new, dict) and new.keys() == {"inner", "y"} and not (isinstance(old, dict) and "inner" in old):
        new = new["inner"]
    if not isinstance(old, dict):
        return new
    return {name: _restored(new[name], each) for name, each in old.items()}
