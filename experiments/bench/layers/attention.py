"""Causal self-attention with 8 heads, at short, medium and long sequences."""

from typing import Any

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax

import fnn
from experiments.bench.layers.case import Case

HEADS, FEATURES = 8, 512


class Causal(nn.Module):
    """Attention to the present and the past."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.MultiHeadDotProductAttention(HEADS, name="heads")(x, mask=nn.make_causal_mask(x[..., 0]))


def inside(params: Any) -> dict[str, Any]:
    """The parameters belong to the module within."""
    return {"heads": params}


CASES = tuple(
    Case(
        "Attention 8 heads causal",
        fnn.MultiHeadAttention(HEADS, causal=True),
        (batch, length, FEATURES),
        Causal(),
        as_flax=inside,
    )
    for batch, length in ((8, 128), (2, 512), (1, 2048))
)
