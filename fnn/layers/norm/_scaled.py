"""The last step of all normalisation layers: y = γ ⊙ x̂ + β, with one γ and one β per channel.

dγ = Σ dy ⊙ x̂,  dβ = Σ dy  (over all axes but the last),  dx̂ = γ ⊙ dy
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from fnn.errors import output_gradient, parameter
from fnn.layer import Cache, Params, float_dtype


class Scaled(Protocol):
    """The fields that such a layer has."""

    @property
    def use_scale(self) -> bool: ...
    @property
    def use_bias(self) -> bool: ...


def init_scaled(layer: Scaled, x: Any) -> Params:
    """``scale`` of ones and ``bias`` of zeros, each (C,), as far as the layer uses them."""
    dtype, shape = float_dtype(x), (x.shape[-1],)
    params = {"scale": jnp.ones(shape, dtype)} if layer.use_scale else {}
    if layer.use_bias:
        params["bias"] = jnp.zeros(shape, dtype)
    return params


def scaled(layer: Scaled, params: Params, normal: jax.Array, dtype: Any) -> tuple[jax.Array, Cache]:
    """y in ``dtype``, from x̂ in the wide dtype, and the cache: ``scale`` if there is one."""
    shape, cache = normal.shape[-1:], {}
    if layer.use_scale:
        cache["scale"] = parameter(params, "scale", shape, dtype)
        normal = normal * row(cache["scale"], normal)
    if layer.use_bias:
        normal = normal + row(parameter(params, "bias", shape, dtype), normal)
    return normal.astype(dtype), cache


def scaled_backward(layer: Scaled, cache: Cache, dy: jax.Array, normal: jax.Array) -> tuple[Params, jax.Array]:
    """dγ and dβ in the dtype of dy, and dx̂ in that of x̂."""
    dy = output_gradient(dy, normal.shape)
    axes, dtype = tuple(range(dy.ndim - 1)), dy.dtype
    dy, dparams = dy.astype(normal.dtype), {}
    if layer.use_bias:
        dparams["bias"] = dy.sum(axes).astype(dtype)
    if not layer.use_scale:
        return dparams, dy
    dparams["scale"] = (dy * normal).sum(axes).astype(dtype)
    return dparams, dy * row(cache["scale"], normal)


def row(each: jax.Array, like: jax.Array) -> jax.Array:
    """One number per channel as (1, …, 1, C), with the rank and dtype of another array."""
    return each.astype(like.dtype).reshape((1,) * (like.ndim - 1) + each.shape)
