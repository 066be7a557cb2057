"""Attention and positions."""

from collections.abc import Callable

import numpy as np

import fnn
from tests.cases.draws import Draw, both, lengths, normal
from tests.cases.rows import LayerCase
from tests.cases.users import ScaledByMeans

X = normal(2, 5, 4)
MEMORY = normal(2, 3, 6)


def attention(**options: object) -> fnn.MultiHeadAttention:
    """Two heads, with blocks of two queries, so that five of them leave a rest."""
    return fnn.MultiHeadAttention(**{"num_heads": 2, "block": 2, **options})  # type: ignore[arg-type]


def mask(*shape: int) -> Draw:
    """Two thirds may be attended to, and the first query of the first sample to nothing, where queries have a mask."""

    def make(draw: np.random.Generator) -> np.ndarray:
        may = draw.random(shape) < 0.7
        may[..., 0] = True
        if len(shape) > 2:
            may[0, ..., 0, :] = False
        return may

    return make


def padded(*lengths: int, of: int) -> Callable:
    """The padding mask of sequences of these lengths."""
    return lambda draw: np.arange(of)[None] < np.array(lengths)[:, None]


LAYERS = (
    LayerCase("attention, rotary, grouped", attention(num_heads=4, kv_heads=2, head_features=2, rotary=True), X),
    LayerCase("attention", attention(), X),
    LayerCase("attention, causal", attention(causal=True), X),
    LayerCase("attention, causal, one key head, in one block", attention(causal=True, kv_heads=1, block=5), X),
    LayerCase("attention, padded, one sample empty", attention(), both(X, padded(3, 0, of=5))),
    LayerCase(
        "attention, masked, causal, in parts", attention(causal=True, block=1), both(X, mask(2, 5, 5)), quick=True
    ),
    LayerCase(
        "attention across, masked by head, grouped, without bias",
        attention(num_heads=4, kv_heads=2, head_features=2, use_bias=False),
        both(X, MEMORY, mask(2, 4, 5, 3)),
        quick=True,
    ),
    LayerCase("attention, a mask for all heads, in one block", attention(block=5), both(X, mask(2, 1, 5, 5))),
    LayerCase("attention across", attention(), both(X, MEMORY)),
    LayerCase("attention across, masked", attention(causal=True), both(X, MEMORY, mask(2, 2, 1, 3))),
    LayerCase("attention, dropout", attention(dropout=0.3, causal=True, block=1), both(X, padded(5, 4, of=5))),
    LayerCase("rotary embedding", fnn.RotaryEmbedding(), normal(2, 3, 2, 4)),
    LayerCase("positional embedding", fnn.PositionalEmbedding(4), normal(2, 3, 4)),
    LayerCase("sinusoidal embedding", fnn.SinusoidalEmbedding(), normal(2, 3, 5)),
    LayerCase("attention of sequences", attention(), both(X, lengths(5, 2)), quick=True),
    LayerCase("first of a tuple", fnn.First(fnn.Dense(3)), both(normal(2, 4), normal(2, 4), padded(1, 2, of=3))),
    LayerCase("first of sequences", fnn.First(fnn.Conv(2, 2, padding="CAUSAL")), both(X, lengths(5, 2)), quick=True),
    LayerCase("first of the whole", fnn.First(ScaledByMeans(), whole=True), both(X, X, mask(2, 5, 1)), quick=True),
    LayerCase("first of the whole, attention", fnn.First(attention(), whole=True), both(X, MEMORY, mask(2, 5, 3))),
)
