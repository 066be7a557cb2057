"""Models that write, with parameters for which tokens differ."""

from typing import Any

import jax
import numpy as np

import fnn
from tests.drawing import generator

KEY = jax.random.key(0)
V, T, LENGTH = 7, 4, 4
PROMPT = generator("prompts").integers(0, V, (3, T)).astype(np.int32)
LENGTHS = np.array([4, 1, 2], np.int32)
HEAD = fnn.Dense(V, use_bias=False)
MODELS = {
    "small": fnn.Serial(fnn.Embedding(V, 4), fnn.SimpleRNN(5), HEAD),
    "transformer": fnn.Serial(
        fnn.Embedding(V, 8),
        fnn.PositionalEmbedding(T + LENGTH - 1),
        fnn.Repeat(fnn.TransformerBlock(2, 8, causal=True, rotary=True), 2),
        fnn.LayerNorm(),
        HEAD,
    ),
    "LSTM": fnn.Serial(fnn.Embedding(V, 4), fnn.BatchNorm(use_bias=False), fnn.LSTM(9), HEAD),
    "last step": fnn.Serial(fnn.Embedding(V, 4), fnn.GRU(5, return_sequences=False), HEAD),
}


def made(model: Any) -> tuple[Any, Any]:
    """Large random parameters, so that tokens differ, and a state that is not that of init."""
    params, state = jax.eval_shape(model.init, KEY, PROMPT)
    draw = generator(repr(model))
    params = jax.tree.map(lambda leaf: draw.standard_normal(leaf.shape), params)
    return params, jax.tree.map(lambda leaf: np.full(leaf.shape, 2, leaf.dtype), state)


def written(prompt: Any, name: str = "small", **options: Any) -> np.ndarray:
    model = MODELS[name]
    params, state = made(model)
    return np.asarray(fnn.generate(model, params, state, prompt, **{"length": LENGTH, "temperature": 0, **options}))
