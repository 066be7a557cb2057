"""What in an input made an output: attributions by one backward pass with another rule at every layer.

A rule passes back a signal g in the place of the gradient, and an input's relevance is x ⊙ g. Relevance propagation
(LRP) is usually written for relevances R = x ⊙ g; for g it needs nothing where values are copied, added or moved: a
skip connection, for one, passes g to both of its branches, and Σ x ⊙ g stays what it was.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.backprop import asks_rule, backprop, own_backward
from fnn.calls import forward_of
from fnn.errors import describe, is_floating, located
from fnn.layer import Cache, Layer, Params, State
from fnn.layers.activation._elementwise import Elementwise
from fnn.stand_in import StandIn
from fnn.walk import map_nodes


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a layer saw: its parameters, state, input, output and cache."""

    params: Params
    state: State
    x: Any
    y: Any
    cache: Cache

    def back(self, layer: Layer, g: Any) -> Any:
        """The layer's own dx at g."""
        return own_backward("", layer, self.cache, g)[1]


@dataclasses.dataclass(frozen=True)
class Attribution:
    """The base of attributions; a subclass says what a layer passes back, and what is made of what arrives at x.

    The base itself is the gradient: its size says how much the output would change with each entry of x.

    Forward:   as the model, in inference
    Backward:  g = ∂output/∂x

    Source: Simonyan, Vedaldi and Zisserman 2014.
    """

    def back(self, layer: Layer, seen: Seen, g: Any) -> Any:
        """What the layer passes back of g: by default its own dx."""
        return seen.back(layer, g)

    def at(self, path: str) -> "Attribution":
        """The rule for the layer at that path: by default this one, at every layer."""
        return self

    def of_input(self, x: jax.Array, g: jax.Array) -> jax.Array:
        """The attribution of x, from what arrives there: by default that itself."""
        return g

    def run(self, model: Layer, params: Params, state: State, x: Any, target: Any) -> Any:
        """The attribution of every floating leaf of x; ``None`` for the others."""
        return jax.tree.map(self.of_input, *floating(x, passed_back(self, model, params, state, x, target)))


@dataclasses.dataclass(frozen=True)
class GradientTimesInput(Attribution):
    """x ⊙ ∂output/∂x: what each entry contributes to a linear model.

    Backward:  the gradient;  relevance x ⊙ g. Of a network of ReLUs without biases they sum to the output

    Source: Shrikumar et al. 2016.
    """

    def of_input(self, x: jax.Array, g: jax.Array) -> jax.Array:
        return x * g


@dataclasses.dataclass(frozen=True)
class GuidedBackprop(Attribution):
    """The gradient, without what comes back negative through a rectifier.

    Backward:  at an activation g_x = f'(x) max(g, 0), everywhere else the gradient

    Source: Springenberg et al. 2015, §3.4.
    """

    def back(self, layer: Layer, seen: Seen, g: Any) -> Any:
        return seen.back(layer, jnp.where(g > 0, g, 0)) if isinstance(layer, Elementwise) else seen.back(layer, g)


@dataclasses.dataclass(frozen=True)
class Deconvnet(Attribution):
    """The gradient, but rectifiers act on what comes back and not on what went forward.

    Backward:  at an activation g_x = max(g, 0), everywhere else the gradient

    Source: Zeiler and Fergus 2014, §2.1.
    """

    def back(self, layer: Layer, seen: Seen, g: Any) -> Any:
        return jnp.where(g > 0, g, 0) if isinstance(layer, Elementwise) else seen.back(layer, g)


def attribute(
    model: Layer, params: Params, state: State, x: Any, target: Any, *, rule: Attribution | None = None
) -> Any:
    """How much every entry of the input made the output what it is, in inference; like x, ``None`` for indices.

    ``target``: integers (N,), the entry of every sample's output (N, …, C) that is explained, on its last axis; or an
    array of the output's shape, the weight of each entry; of a model with several outputs, a dict by the names of those
    that are explained. ``rule`` is ``GradientTimesInput()`` by default, or one of
    ``Attribution() GuidedBackprop() Deconvnet() Epsilon() Gamma() ZPlus() IntegratedGradients() SmoothGrad()``; or
    ``Composite({glob: rule}, default)``, which has one for some layers and another for the rest.

    Errors: ``ValueError`` for a target that fits neither form, and for a layer that the rule does not know, by path.

    >>> import fnn
    >>> params = {"kernel": jnp.array([[1.0, 0.0], [2.0, 0.0], [-1.0, 3.0]]), "bias": jnp.zeros(2)}
    >>> attribute(fnn.Dense(2), params, {}, jnp.array([[3.0, 1.0, 1.0]]), jnp.array([0]))  # 3 + 2 − 1 = 4
    Array([[ 3.,  2., -1.]], dtype=float32)
    """
    x = jax.tree.map(jnp.asarray, x)
    return (GradientTimesInput() if rule is None else rule).run(model, params, state, x, target)


@dataclasses.dataclass(frozen=True)
class Remembers(StandIn, name="remembers"):
    """A layer whose cache holds all that it saw."""

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, new_state, cache = self.inner.forward(params, state, x, train=train, key=key)
        return y, new_state, {"params": params, "state": state, "x": x, "y": y, "inner": cache}


def passed_back(rule: Attribution, model: Layer, params: Params, state: State, x: Any, target: Any) -> Any:
    """What arrives at x, of the outputs' entries that are explained."""
    return through(rule, model, params, state, x, lambda outputs: _explained(outputs, target))


def through(rule: Attribution, model: Layer, params: Params, state: State, x: Any, g_of: Callable[[Any], Any]) -> Any:
    """What arrives at x by the rule at every layer, from ``g_of(outputs)`` at the outputs."""
    watched = map_nodes(lambda node: Remembers(node.layer) if asks_rule(node) else node.layer, model)
    with located("", watched, x):
        outputs, _, cache = forward_of(watched, params, state, x, train=False, key=None)

    def back(path: str, layer: Any, cache: Cache, g: Any) -> tuple[None, Any]:
        seen = Seen(cache["params"], cache["state"], cache["x"], cache["y"], cache["inner"])
        return None, rule.at(path).back(layer.inner, seen, g)

    with located("", watched, outputs, "given the output gradient"):
        return backprop(watched, cache, g_of(outputs), back)[1]


def _explained(outputs: Any, target: Any) -> Any:
    if isinstance(outputs, dict):
        if not isinstance(target, dict) or not target or any(name not in outputs for name in target):
            raise ValueError(
                f"of several outputs, {list(outputs)}, those are explained for which there is a target by name, a dict,"
                f" got {describe(target)}"
            )
        others = {name: jax.tree.map(_nothing, y) for name, y in outputs.items() if name not in target}
        return others | {name: _explained(outputs[name], each) for name, each in target.items()}
    if not hasattr(outputs, "shape") or not is_floating(outputs):
        raise ValueError(f"an attribution explains one floating array, got the outputs {describe(outputs)}")
    target = jnp.asarray(target)
    if target.shape == outputs.shape and is_floating(target):
        return target.astype(outputs.dtype)
    if target.shape != outputs.shape[:-1] or not jnp.issubdtype(target.dtype, np.integer):
        raise ValueError(
            f"the target is an integer for each output, {outputs.shape[:-1]}, or weights {outputs.shape}, got"
            f" {describe(target)}"
        )
    return jax.nn.one_hot(target, outputs.shape[-1], dtype=outputs.dtype)


def _nothing(leaf: jax.Array) -> jax.Array | None:
    return jnp.zeros_like(leaf) if is_floating(leaf) else None


def floating(x: Any, g: Any) -> tuple[Any, Any]:
    """x and g, with ``None`` for what is not floating in x."""
    return (
        jax.tree.map(lambda leaf: leaf if is_floating(leaf) else None, x),
        jax.tree.map(lambda leaf, back: back if is_floating(leaf) else None, x, g, is_leaf=lambda leaf: leaf is None),
    )


def moved(x: Any, function: Callable[[jax.Array], jax.Array]) -> Any:
    """x with the function of every floating leaf."""
    return jax.tree.map(lambda leaf: function(leaf) if is_floating(leaf) else leaf, x)
