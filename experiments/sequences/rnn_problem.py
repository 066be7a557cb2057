"""The adding problem, and the models of equal size that are to solve it."""

from typing import Any

import jax
import numpy as np

import fnn

PARAMETERS = 700
"""About how many parameters every model has."""

LAST: dict[str, Any] = {"return_sequences": False}
MODELS: dict[str, fnn.Layer] = {
    "simple": fnn.Serial(fnn.SimpleRNN(24, **LAST), fnn.Dense(1)),
    "lateral": fnn.FeedbackRNN(24, 1, output_feedback=False, self_feedback=False, **LAST),
    "Jordan": fnn.FeedbackRNN(139, 1, lateral=False, self_feedback=False, **LAST),
    "LSTM": fnn.Serial(fnn.LSTM(12, **LAST), fnn.Dense(1)),
    "GRU": fnn.Serial(fnn.GRU(13, **LAST), fnn.Dense(1)),
}


def adding(generator: np.random.Generator, shape: tuple[int, ...], length: int, room: int) -> tuple[np.ndarray, ...]:
    """Sequences (*shape, room, 2) of numbers and marks, one in each half; their lengths; the sums of the marked.

    What is past ``length`` is 0.
    """
    steps, half = np.arange(length), length // 2
    numbers = generator.random((*shape, length))
    places = generator.integers(0, half, (*shape, 1)), generator.integers(half, length, (*shape, 1))
    marks = (steps == places[0]) | (steps == places[1])
    x = np.zeros((*shape, room, 2), np.float32)
    x[..., :length, :] = np.stack([numbers, marks], -1)
    return x, np.full(shape, length, np.int32), (numbers * marks).sum(-1, keepdims=True).astype(np.float32)


def feed_forward(length: int) -> fnn.Layer:
    """A hidden layer on the flattened sequence, with as many units as come closest to the size of the others."""
    return fnn.Serial(fnn.Flatten(), fnn.Dense(round((PARAMETERS - 1) / (2 * length + 2))), fnn.Tanh(), fnn.Dense(1))


def parameters(model: fnn.Layer, length: int) -> int:
    """How many parameters the model has, without the entries that a lateral layer keeps at 0."""
    params, _ = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, length, 2), "float32"))
    unused = model.features if isinstance(model, fnn.FeedbackRNN) and model.lateral != model.self_feedback else 0
    return sum(leaf.size for leaf in jax.tree.leaves(params)) - unused


def refused(length: int, other: int) -> bool:
    """Whether a feed-forward network for one length raises an error at another."""
    model, sequences = feed_forward(length), [jax.ShapeDtypeStruct((1, each, 2), "float32") for each in (length, other)]
    params, state = jax.eval_shape(model.init, jax.random.key(0), sequences[0])
    try:
        jax.eval_shape(model.apply, params, state, sequences[1])
    except ValueError:
        return True
    return False
