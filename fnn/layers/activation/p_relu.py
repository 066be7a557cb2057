"""The leaky rectifier with a learnt slope."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, on_corners
from fnn.errors import floating_array, output_gradient, parameter
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Constant, Initializer
from fnn.layer import Cache, Layer, Params, State, float_dtype, named_key
from fnn.layers.activation._channels import channels, wide_beside
from fnn.layers.activation.rectifiers import nonpositive


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
        return {"slope": self.slope_init(named_key(key, "slope"), channels(array_or_shape(x)), float_dtype(x))}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        slope = parameter(params, "slope", channels(x), x.dtype)
        wide, row = wide_beside(x, slope)
        y = jnp.where(wide > 0, wide, row * nonpositive(wide))
        return y.astype(x.dtype), state, {"x": x, "slope": slope}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy = output_gradient(dy, cache["x"].shape)
        x, slope = wide_beside(cache["x"], cache["slope"])
        wide_dy, leading = dy.astype(x.dtype), tuple(range(dy.ndim - 1))
        dslope = (jnp.where(x > 0, 0, wide_dy) * nonpositive(x)).sum(leading)
        dx = jnp.where(x > 0, wide_dy, slope * wide_dy)
        return {"slope": dslope.astype(dy.dtype)}, dx.astype(dy.dtype)

    def kinks_at(self, x: np.ndarray) -> Kinks:
        return on_corners(x, 0)
