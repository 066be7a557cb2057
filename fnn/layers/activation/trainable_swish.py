"""Swish with a learnt steepness."""

import dataclasses
from typing import Any

import jax

from fnn.errors import floating_array, output_gradient, parameter
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, Ones
from fnn.layer import Cache, Layer, Params, State, float_dtype, named_key
from fnn.layers.activation._channels import channels, wide_beside
from fnn.layers.activation.swish import swish, swish_slopes


@dataclasses.dataclass(frozen=True)
class TrainableSwish(Layer, name="trainable_swish"):
    """Swish whose steepness is learnt, one for each channel.

    Forward:   y = x s,  s = sigmoid(βx)
    Backward:  dx = (s + βx s (1 − s)) dy,  dβ = Σ x² s (1 − s) dy  (over all leading axes)

    Params:  ``beta`` β (C,), 1 at first
    State:   none
    Cache:   ``x`` (…, C), ``beta`` (C,)
    Shapes:  (…, C) → (…, C), any floating dtype, kept; computed in at least float32

    >>> import jax.numpy as jnp
    >>> layer = TrainableSwish()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> layer.apply(params, state, jnp.array([[0.0, 1.0]]))[0]
    Array([[0.       , 0.7310586]], dtype=float32)

    Source: Ramachandran, Zoph and Le 2017, §2.
    """

    _: dataclasses.KW_ONLY
    beta_init: Initializer = Ones()

    over_time = "each step"

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {"beta": self.beta_init(named_key(key, "beta"), channels(array_or_shape(x)), float_dtype(x))}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        beta = parameter(params, "beta", channels(x), x.dtype)
        return swish(*wide_beside(x, beta)).astype(x.dtype), state, {"x": x, "beta": beta}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy = output_gradient(dy, cache["x"].shape)
        by_x, by_beta = swish_slopes(*wide_beside(cache["x"], cache["beta"]))
        wide_dy = dy.astype(by_x.dtype)
        dbeta = (by_beta * wide_dy).sum(tuple(range(dy.ndim - 1)))
        return {"beta": dbeta.astype(dy.dtype)}, (by_x * wide_dy).astype(dy.dtype)
