"""Layer normalisation."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import floating_array, parameter
from fnn.layer import Cache, Layer, Params, State, float_dtype
from fnn.layers.standardize import moments, normalized, standardize_backward


@dataclasses.dataclass(frozen=True)
class LayerNorm(Layer, name="layer_norm"):
    """Standardises the channels of every position, then scales and shifts each.

    Forward:   μ, σ² over the last axis;  x̂ = (x − μ) r,  r = 1/√(σ² + ε);  y = γ ⊙ x̂ + β
    Backward:  dγ = Σ dy ⊙ x̂,  dβ = Σ dy  (over all leading axes),  dx̂ = γ ⊙ dy
               dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)),  the means over the last axis

    Params:  ``scale`` γ, ``bias`` β, each (C,)
    State:   none
    Cache:   ``x`` (…, C), ``mean``, ``inverse`` r (…, 1), ``scale`` (C,); x̂ is computed again
    Shapes:  (…, C) → (…, C), any floating dtype, kept; computed in at least float32

    >>> layer = LayerNorm()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> layer.apply(params, state, jnp.array([[1.0, 5.0]]))[0].round(3)
    Array([[-1.,  1.]], dtype=float32)

    Source: Ba, Kiros and Hinton 2016, eq. 3 and 4.
    """

    _: dataclasses.KW_ONLY
    epsilon: float = 1e-5

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        if x.ndim < 1:
            raise ValueError("expected an input (…, C), got a scalar")
        dtype, shape = float_dtype(x), (x.shape[-1],)
        return {"scale": jnp.ones(shape, dtype), "bias": jnp.zeros(shape, dtype)}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        scale, bias = (parameter(params, name, x.shape[-1:], x.dtype) for name in ("scale", "bias"))
        mean, var = moments(x, (-1,))
        inverse = lax.rsqrt(var + self.epsilon)
        y = normalized(x, mean, inverse) * _row(scale, mean) + _row(bias, mean)
        return y.astype(x.dtype), state, {"x": x, "mean": mean, "inverse": inverse, "scale": scale}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        mean, inverse, leading, dtype = cache["mean"], cache["inverse"], tuple(range(dy.ndim - 1)), dy.dtype
        normal, dy = normalized(cache["x"], mean, inverse), dy.astype(mean.dtype)
        dparams = {"scale": (dy * normal).sum(leading).astype(dtype), "bias": dy.sum(leading).astype(dtype)}
        dx = standardize_backward(dy * _row(cache["scale"], mean), normal, inverse, (-1,))
        return dparams, dx.astype(dtype)


def _row(parameter: jax.Array, like: jax.Array) -> jax.Array:
    return parameter.astype(like.dtype).reshape((1,) * (like.ndim - 1) + parameter.shape)
