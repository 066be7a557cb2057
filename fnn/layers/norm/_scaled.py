"""The last step of all normalisation layers: y = γ ⊙ x̂ + β, with one γ and one β per channel.

dγ = Σ dy ⊙ x̂,  dβ = Σ dy  (over all axes but the last),  dx̂ = γ ⊙ dy
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from fnn.errors import parameter
from fnn.layer import Cache, Params, float_dtype
from fnn.layers._rows import sum_of_rows
from fnn.layers.norm._standardize import Sums


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


def scale_of(cache: Cache, like: jax.Array) -> jax.Array | None:
    """γ with the rank and dtype of another array; ``None`` if the layer has none."""
    return row(cache["scale"], like) if "scale" in cache else None


def scaled_gradients(layer: Scaled, sums: Sums, dtype: Any) -> Params:
    """dγ and dβ in ``dtype``, from Σ_p dy and Σ_p dy ⊙ x̂."""
    dparams = {"scale": sum_of_rows(sums.with_normal).astype(dtype)} if layer.use_scale else {}
    if layer.use_bias:
        dparams["bias"] = sum_of_rows(sums.plain).astype(dtype)
    return dparams


def row(each: jax.Array, like: jax.Array) -> jax.Array:
    """One number per channel as (1, …, 1, C), with the rank and dtype of another array."""
    return each.astype(like.dtype).reshape((1,) * (like.ndim - 1) + each.shape)
