"""Transformer blocks."""

import fnn
from tests.cases.attention import X, mask, padded
from tests.cases.draws import both, normal
from tests.cases.rows import LayerCase

LAYERS = (
    LayerCase("feed-forward", fnn.FeedForward(6, activation=fnn.Tanh(), use_bias=False), normal(2, 3, 4)),
    LayerCase("transformer block, causal", fnn.TransformerBlock(2, 6, causal=True), X),
    LayerCase("transformer block", fnn.TransformerBlock(2, 6, dropout=0.2), both(X, padded(5, 3, of=5))),
    LayerCase(
        "transformer blocks",
        fnn.Repeat(fnn.TransformerBlock(2, 6, kv_heads=1, causal=True, rotary=True), 2),
        both(X, mask(2, 5, 5)),
    ),
)
