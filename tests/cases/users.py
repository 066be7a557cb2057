"""Layers as users write them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.combinators.reparameterized import Reparameterized
from fnn.combinators.wrapper import Wrapper
from fnn.layer import Cache, Layer, Params, State


@dataclasses.dataclass(frozen=True)
class Scaled(Layer):
    """A user's layer with ``apply`` alone, parameters, a state that counts and a second member that is not floating."""

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {"scale": jnp.ones(x[0].shape[-1:], x[0].dtype)}, {"steps": jnp.zeros((), jnp.int32)}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        values, keep = x
        y = jnp.where(keep, jnp.sin(values) * params["scale"][None], 0)
        return (y, keep), {"steps": state["steps"] + int(train)}


@dataclasses.dataclass(frozen=True)
class Noisy(Layer):
    """A user's layer with ``apply`` alone that is random in training and has a parameter that is not floating."""

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {"scale": jnp.ones((), x.dtype), "steps": jnp.array(3)}, {}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        noise = jnp.asarray(jax.random.bernoulli(key, 0.5, x.shape) if train and key is not None else True, x.dtype)
        return params["scale"] * jnp.sin(x) * noise * params["steps"].astype(x.dtype), state


@dataclasses.dataclass(frozen=True)
class Gated(Layer):
    """A user's layer of two arrays that gives the first of them changed and the second as it is."""

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        values, gate = x
        return (values * gate, gate), state, {"values": values, "gate": gate}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        dvalues, dgate = dy
        return {}, (dvalues * cache["gate"], dvalues * cache["values"] + dgate)


@dataclasses.dataclass(frozen=True)
class ScaledByMeans(Layer):
    """A user's layer with ``apply`` alone that scales one array by the means of another, where a mask is true."""

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {"weight": jnp.ones((), x[0].dtype)}, {}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        values, others, mask = x
        return values * jnp.where(mask, params["weight"] * jnp.mean(others, 1, keepdims=True), 1), state


@dataclasses.dataclass(frozen=True)
class Squared(Reparameterized, name="squared"):
    """A user's combinator that runs its layer at the squares of the parameters."""

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        return jax.tree.map(jnp.square, params), {}, {"params": params}

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        return jax.tree.map(lambda w, dw: 2 * w * dw, cache["params"], dparams)


@dataclasses.dataclass(frozen=True)
class Pretrained(Wrapper, name="pretrained"):
    """A layer with statistics as a checkpoint would bring them: its init makes a state that training has moved."""

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        params, state = super().init(key, x)
        return params, jax.tree.map(
            lambda leaf: leaf + jnp.arange(1, 1 + leaf.size, dtype=leaf.dtype).reshape(leaf.shape), state
        )


@dataclasses.dataclass(frozen=True)
class Restless(Layer):
    """A user's layer whose state counts every call, those in inference too."""

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {}, {"calls": jnp.zeros((), jnp.int32)}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        return x * x, {"calls": state["calls"] + 1}
