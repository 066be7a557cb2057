"""One of several activations, by a number: a single program trains or measures networks with each of them."""

import dataclasses
from typing import Any

import jax

import fnn


@dataclasses.dataclass(frozen=True)
class OneOf(fnn.Layer, name="one_of"):
    """The layer with this number among several without parameters. The number may be traced.

    Forward:   y = fᵢ(x)
    Backward:  dx by the rule of that layer

    Cache:   ``x``
    """

    layers: tuple[fnn.Layer, ...]
    number: Any

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        branches = [lambda x, layer=layer: layer.apply({}, {}, x)[0] for layer in self.layers]
        return jax.lax.switch(self.number, branches, x), state, {"x": x}

    def backward(self, cache: Any, dy: Any) -> Any:
        def rule(layer: fnn.Layer, x: jax.Array, dy: jax.Array) -> jax.Array:
            return layer.backward(layer.forward({}, {}, x)[2], dy)[1]

        branches = [lambda x, dy, layer=layer: rule(layer, x, dy) for layer in self.layers]
        return {}, jax.lax.switch(self.number, branches, cache["x"], dy)
