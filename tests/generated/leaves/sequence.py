"""Layers over time."""

from hypothesis import strategies as st

import fnn
from tests.generated.leaves import Leaf, Shape


def recurrent(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    kind = draw(st.sampled_from([fnn.SimpleRNN, fnn.LSTM, fnn.GRU]))
    features = shape[-1] if keep else draw(st.integers(1, 3))
    layer = kind(features, reverse=draw(st.booleans()), layer_norm=features > 2 and draw(st.booleans()))
    return fnn.Bidirectional(layer, merge="sum") if draw(st.booleans()) else layer


def attention(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    heads = draw(st.sampled_from([n for n in (1, 2) if shape[-1] % n == 0]))
    causal, block = draw(st.booleans()), draw(st.integers(1, 4))
    return fnn.MultiHeadAttention(heads, causal=causal, dropout=draw(st.sampled_from([0.0, 0.3])), block=block)


def over_time(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    return fnn.TimeDistributed(fnn.Dense(shape[-1] if keep else draw(st.integers(1, 3))))


def is_sequence(shape: Shape, keep: bool) -> bool:
    return len(shape) == 3


LEAVES = (
    Leaf("recurrent", recurrent, is_sequence),
    Leaf("attention", attention, is_sequence),
    Leaf("time_distributed", over_time, is_sequence),
)
