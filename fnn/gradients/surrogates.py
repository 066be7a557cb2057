"""Which gradients go through a straight-through slope: one that a layer has by design and that is no derivative.

Such a layer has an attribute ``straight_through`` that is true, as ``Step(straight_through=True)`` has. Differences see
what its forward does, a step whose derivative is 0, and cannot judge what goes through its slope. To know what does,
the automatic gradient is computed again with the inputs of these layers held constant: a leaf that it changes has a
part that goes through them, and a leaf that it leaves as it is has none.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np
from jax import lax

from fnn.backprop import asks_rule
from fnn.gradients.deltas import placed_layers
from fnn.gradients.rows import Measured
from fnn.layer import Layer, Params, State
from fnn.paths import lies_in
from fnn.stand_in import StandIn
from fnn.walk import map_nodes, walk

Key = tuple[str, str]


def is_straight_through(layer: Layer) -> bool:
    """Whether the layer, or one that it is made of (a child, an activation), has a straight-through slope.

    >>> from fnn import Dense, Serial, Step
    >>> is_straight_through(Serial(Dense(3), Step(straight_through=True))), is_straight_through(Step())
    (True, False)
    """
    for _, each in walk(layer):
        fields = [getattr(each, field.name, None) for field in dataclasses.fields(each)]
        parts = [field for field in fields if isinstance(field, Layer) and field not in each.children().values()]
        if getattr(each, "straight_through", False) or any(map(is_straight_through, parts)):
            return True
    return False


@dataclasses.dataclass(frozen=True)
class Held(StandIn, name="held"):
    """A layer to whose derivative its input is a constant.

    Forward:   y = f(x)
    Backward:  dx = 0
    """

    def apply(self, params: Params, state: State, x: Any, *, train: bool = False, key: Any = None) -> tuple[Any, State]:
        return self.inner.apply(params, state, lax.stop_gradient(x), train=train, key=key)


def held(model: Layer) -> Layer:
    """The model with every straight-through layer in it ``Held``."""
    return map_nodes(
        lambda node: Held(node.layer) if asks_rule(node) and is_straight_through(node.layer) else node.layer, model
    )


def surrogates(
    model: Layer, gradient: dict[Key, Measured], without: dict[Key, Measured], tolerance: float
) -> Collection[Key]:
    """The leaves whose gradient differs from that ``without`` straight-through slopes by more than differences would
    tell, and the parameters of the straight-through layers."""
    layers = [path for path, layer, _ in placed_layers(model) if is_straight_through(layer)]

    def changed(key: Key) -> bool:
        g, h = gradient[key].values, without[key].values
        if g is None or h is None:  # which is a fault of its own, and reported as one
            return False
        return bool(np.linalg.norm(g - h) > 0.1 * tolerance * np.linalg.norm(g))

    return {key for key in gradient if changed(key) or (key[0] == "parameter" and lies_in(key[1], layers))}
