"""Activations with a parameter for each channel."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, on_corners
from fnn.errors import floating_array, output_gradient, parameter
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Constant, Initializer, Ones
from fnn.layer import Cache, Layer, Params, State, float_dtype, named_key, wide_dtype
from fnn.layers.activation.rectifiers import nonpositive
from fnn.layers.activation.self_gated import swish, swish_slopes


@dataclasses.dataclass(frozen=True)
class PRelu(Layer, name="p_relu"):
    """The leaky rectifier whose slope is learnt, one for each channel.

    Forward:   y = x where x > 0, else a x
    Backward:  dx = dy where x > 0, else a dy;  da = Σ x dy where x ≤ 0  (over all leading axes)

    The slope at the kink is a.

    Params:  ``slope`` a (C,), 0.25 at first
    State:   none
    Cache:   ``x`` (…, C), ``slope`` (C,)
    Shapes:  (…, C) → (…, C), any floating dtype, kept; computed in at least float32

    >>> layer = PRelu()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> layer.apply(params, state, jnp.array([[-1.0, 2.0]]))[0]
    Array([[-0.25,  2.  ]], dtype=float32)

    Source: He et al. 2015, eq. 1 and 3; weight decay pulls the slope to 0, that is to ReLU.
    """

    _: dataclasses.KW_ONLY
    slope_init: Initializer = Constant(0.25)

    over_time = "each step"

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {"slope": self.slope_init(named_key(key, "slope"), _channels(array_or_shape(x)), float_dtype(x))}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        slope = parameter(params, "slope", _channels(x), x.dtype)
        wide, row = _wide(x, slope)
        y = jnp.where(wide > 0, wide, row * nonpositive(wide))
        return y.astype(x.dtype), state, {"x": x, "slope": slope}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy = output_gradient(dy, cache["x"].shape)
        x, slope = _wide(cache["x"], cache["slope"])
        wide_dy, leading = dy.astype(x.dtype), tuple(range(dy.ndim - 1))
        dslope = (jnp.where(x > 0, 0, wide_dy) * nonpositive(x)).sum(leading)
        dx = jnp.where(x > 0, wide_dy, slope * wide_dy)
        return {"slope": dslope.astype(dy.dtype)}, dx.astype(dy.dtype)

    def kinks_at(self, x: np.ndarray) -> Kinks:
        return on_corners(x, 0)


@dataclasses.dataclass(frozen=True)
class TrainableSwish(Layer, name="trainable_swish"):
    """Swish whose steepness is learnt, one for each channel.

    Forward:   y = x s,  s = sigmoid(βx)
    Backward:  dx = (s + βx s (1 − s)) dy,  dβ = Σ x² s (1 − s) dy  (over all leading axes)

    Params:  ``beta`` β (C,), 1 at first
    State:   none
    Cache:   ``x`` (…, C), ``beta`` (C,)
    Shapes:  (…, C) → (…, C), any floating dtype, kept; computed in at least float32

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
        return {"beta": self.beta_init(named_key(key, "beta"), _channels(array_or_shape(x)), float_dtype(x))}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        beta = parameter(params, "beta", _channels(x), x.dtype)
        return swish(*_wide(x, beta)).astype(x.dtype), state, {"x": x, "beta": beta}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy = output_gradient(dy, cache["x"].shape)
        by_x, by_beta = swish_slopes(*_wide(cache["x"], cache["beta"]))
        wide_dy = dy.astype(by_x.dtype)
        dbeta = (by_beta * wide_dy).sum(tuple(range(dy.ndim - 1)))
        return {"beta": dbeta.astype(dy.dtype)}, (by_x * wide_dy).astype(dy.dtype)


def _channels(x: Any) -> tuple[int, ...]:
    if x.ndim < 1:
        raise ValueError("expected an input (…, C), got a scalar")
    return (x.shape[-1],)


def _wide(x: jax.Array, parameter: jax.Array) -> tuple[jax.Array, jax.Array]:
    """x and the parameter beside it, (1, …, C), in at least float32."""
    wide = wide_dtype(x.dtype)
    return x.astype(wide), parameter.astype(wide).reshape((1,) * (x.ndim - 1) + parameter.shape)
