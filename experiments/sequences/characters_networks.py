"""The networks that predict the next character: models of equal size, training, test bits, and writing."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.sequences.characters_text import ALPHABET

RATES = {"transformer": 0.01, "LSTM": 0.03, "kinds": 0.03}
"""Learning rates of Adam: those of 0.003, 0.01, 0.03 and 0.1 with the least bits on the validation text."""


class Size(NamedTuple):
    """A transformer and its windows."""

    width: int
    window: int
    batch: int


LARGE, SMALL = Size(64, 64, 16), Size(32, 32, 16)
"""For the transformer and the LSTM, and for the comparison of feed-forward parts."""

GATES = fnn.Sigmoid(), fnn.Relu(), fnn.Gelu(), fnn.Silu()
KINDS = {"ReLU": (1, 0), "GELU": (2, 0), "GLU": (0, 1), "ReGLU": (1, 1), "GEGLU": (2, 1), "SwiGLU": (3, 1)}
"""The function of each feed-forward part, by its place among the gates, and whether it is gated."""


def transformer(size: Size, feed_forward: fnn.Layer, blocks: int) -> fnn.Layer:
    """Blocks of causal attention and this feed-forward part, each behind a norm, with skip connections."""
    attention = fnn.Serial(fnn.LayerNorm(), fnn.MultiHeadAttention(4, causal=True))
    block = fnn.Serial(fnn.Residual(attention), fnn.Residual(fnn.Serial(fnn.LayerNorm(), feed_forward)))
    return fnn.Serial(
        fnn.Embedding(len(ALPHABET), size.width),
        fnn.PositionalEmbedding(size.window),
        block if blocks == 1 else fnn.Repeat(block, blocks),
        fnn.LayerNorm(),
        fnn.Dense(len(ALPHABET)),
    )


def networks(blocks: int) -> dict[str, fnn.Layer]:
    """The transformer, and an LSTM that has about as many parameters as one of two blocks."""
    width = LARGE.width
    return {
        "transformer": transformer(LARGE, fnn.FeedForward(4 * width), blocks),
        "LSTM": fnn.Serial(fnn.Embedding(len(ALPHABET), width), fnn.LSTM(2 * width), fnn.Dense(len(ALPHABET))),
    }


def ungated_units(width: int) -> int:
    """Hidden units of a feed-forward part without a gate."""
    return 4 * width


def feed_forward_parameters(width: int, units: int, gated: Any) -> Any:
    """Parameters of a feed-forward part: two matrices with biases, three with a gate."""
    return (1 + gated) * units * (width + 1) + width * (units + 1)


def units_of(width: int, gated: Any) -> int:
    """The hidden units with which a part comes closest to the parameters of one without a gate."""
    aim = feed_forward_parameters(width, ungated_units(width), 0)
    return round((aim - width) / ((1 + gated) * (width + 1) + width))


def chosen_feed_forward(width: int, gate: Any, gated: Any, units: Any) -> fnn.Layer:
    """Any of the kinds, by numbers that may be traced, so that all of them train in one program.

    It has the units of the widest kind, of which the first ``units`` are used. The weights start alike whatever their
    number is.
    """
    most = ungated_units(width)

    def dense(features: int) -> fnn.Layer:
        return fnn.Dense(features, kernel_init=fnn.initializers.Normal(0.1))

    activation = fnn.Lambda(lambda z: jax.lax.switch(gate, GATES, z) * (jnp.arange(most) < units))
    value = fnn.Lambda(lambda z: jnp.where(gated == 1, z, 1.0))
    return fnn.Serial(
        fnn.Parallel(gate=fnn.Serial(dense(most), activation), value=fnn.Serial(dense(most), value), merge="multiply"),
        dense(width),
    )


def starts_of(seed: int, steps: int, size: Size, length: int) -> np.ndarray:
    """Where the windows of each step begin: anywhere."""
    return np.random.default_rng(seed).integers(0, length - size.window, (steps, size.batch))


def learn(model: fnn.Layer, rate: float, window: int, key: jax.Array, text: jax.Array, starts: jax.Array) -> tuple:
    """Parameters and state after Adam has seen these windows, and the loss of each step in bits."""
    objective, steps = fnn.Objective(model, fnn.CrossEntropy()), len(starts)
    optimizer = fnn.optim.adam(fnn.optim.warmup_cosine(rate, max(steps // 10, 1), steps))
    params, state = objective.init(key, jnp.zeros((1, window), jnp.int32))

    def step(carry: tuple, begin: jax.Array) -> tuple[tuple, jax.Array]:
        params, optimizing = carry
        windows = text[begin[:, None] + jnp.arange(window + 1)]
        (loss, _), gradients = objective.value_and_grad(params, state, (windows[:, :-1], windows[:, 1:]))
        updates, optimizing = optimizer.update(gradients, optimizing, params)
        return (fnn.optim.apply_updates(params, updates), optimizing), loss / np.log(2)

    (params, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), starts)
    return params, state, losses


def held_out_windows(test: np.ndarray, window: int) -> np.ndarray:
    """Windows (batches, 64, window + 1) half a window apart, without what does not fill a batch of 64.

    A prime number of characters before the first, lines begin anywhere in them.
    """
    starts = np.arange(13, len(test) - window, window // 2)
    return test[starts[: len(starts) // 64 * 64, None] + np.arange(window + 1)].reshape(-1, 64, window + 1)


def scored(test: np.ndarray, window: int) -> np.ndarray:
    """The places in the text of the characters of which ``bits_of`` gives the bits."""
    return held_out_windows(np.arange(len(test)), window)[..., window // 2 + 1 :].reshape(-1)


def bits_of(model: fnn.Layer, params: Any, state: Any, windows: jax.Array) -> jax.Array:
    """The bits of the second halves of the windows, so that half a window at least comes before every character."""

    def batch(windows: jax.Array) -> jax.Array:
        half = windows.shape[1] // 2
        logits, _ = model.apply(params, state, windows[:, :-1])
        chances, following = jax.nn.log_softmax(logits[:, half:]), windows[:, half + 1 :]
        return -jnp.take_along_axis(chances, following[..., None], -1)[..., 0] / np.log(2)

    return jax.lax.map(batch, windows).reshape(-1)


def written(model: fnn.Layer, params: Any, state: Any, begin: np.ndarray, key: jax.Array, length: int) -> np.ndarray:
    """What the network writes after these characters, at the temperature 0.8.

    As many at a time as are given, after the latest of them: begin with half a window, and what the transformer sees at
    once is what it was trained for.
    """
    text, part = begin[None], len(begin)
    for turn in range(-(-length // part)):
        options = {"length": part, "key": jax.random.fold_in(key, turn), "temperature": 0.8}
        text = np.concatenate((text, fnn.generate(model, params, state, text[:, -part:], **options)), 1)
    return text[0, part : part + length]
