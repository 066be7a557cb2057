"""Signals passed back through layers that multiply two things made of their input: one counts as a constant."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import entry
from fnn.layer import Cache, Layer
from fnn.layers.attention.multi_head_attention import MultiHeadAttention
from fnn.layers.linear.gated_linear import Gated
from fnn.layers.norm._sample_norm import SampleNorm
from fnn.layers.norm._standardize import moments
from fnn.layers.norm.rms_norm import RMSNorm
from fnn.rules.attribution import Attribution, Seen

WEIGHTS = ("query", "key", "gate")
"""The inner layers that make the weights, of attention or of a gated unit."""


def at_constant_weights(rule: Attribution, layer: MultiHeadAttention | Gated, seen: Seen, g: Any) -> Any:
    """What attention, or a gated unit, passes back by the rule at its inner layers, with its weights as constants.

    Forward:   o = A v,  v = x V,  A the attention weights;  or  y = a(x W) ⊙ v
    Backward:  g_v = Aᵀ g_o,  or a(x W) ⊙ g;  g_x that of the rule at V alone
    """

    def visit(name: str, child: Layer, cache: Cache, g: Any) -> tuple[None, Any]:
        x = cache["x"]
        if name in WEIGHTS:
            return None, jnp.zeros_like(x)
        params = entry(seen.params, name)
        y, state, _ = child.forward(params, {}, x)
        return None, rule.back(child, Seen(params, state, x, y, cache), g)

    return layer.fold(seen.cache, g, visit)[1]


def at_constant_deviation(layer: SampleNorm | RMSNorm, seen: Seen, g: jax.Array) -> jax.Array:
    """What a normalisation passes back with its standard deviation, or root mean square, as a constant.

    Forward:   y = γ ⊙ (x − μ) r + β, μ the mean over the set and r a constant;  y = γ ⊙ x r for ``RMSNorm``
    Backward:  g_x = r (γ g − mean(γ g));  r γ g
    """
    inverse, scale = seen.cache["inverse"], seen.cache.get("scale")
    wide = g.astype(inverse.dtype)
    if scale is not None:
        wide = wide * scale.astype(wide.dtype).reshape((1,) * (wide.ndim - 1) + scale.shape)
    if isinstance(layer, RMSNorm):
        return (wide * inverse).astype(g.dtype)
    sets = layer.sets(g.shape)
    return ((wide - sets.spread(moments(wide, sets)[0])) * sets.spread(inverse)).astype(g.dtype)
