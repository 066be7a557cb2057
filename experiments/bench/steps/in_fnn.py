"""The four networks in fnn. Their parameters are those that every other library starts from."""

from typing import Any

import jax
import jax.numpy as jnp

import fnn
from experiments.bench.steps.networks import (
    LEARNING_RATE,
    Convolutional,
    Network,
    Perceptron,
    Recurrent,
    Step,
    Transformer,
)
from fnn.train.scoring import loss_of
from fnn.train.step import Learned, Training


def model(network: Network, *, repeat: bool = False) -> fnn.Layer:
    """The network as a layer; with ``repeat`` the blocks of the transformer are one ``Repeat``."""
    match network:
        case Transformer():
            block = fnn.TransformerBlock(network.heads, 4 * network.features, causal=True)
            blocks = [fnn.Repeat(block, network.blocks)] if repeat else [block] * network.blocks
            return fnn.Serial(
                fnn.Embedding(network.vocabulary, network.features),
                fnn.PositionalEmbedding(network.length),
                *blocks,
                fnn.LayerNorm(),
                fnn.Dense(network.vocabulary),
            )
        case Perceptron():
            hidden = [layer for _ in range(network.layers - 1) for layer in (fnn.Dense(network.width), fnn.Relu())]
            return fnn.Serial(*hidden, fnn.Dense(network.width))
        case Convolutional():
            parts = [
                layer
                for channels in network.channels
                for layer in (fnn.Conv(channels, (3, 3)), fnn.BatchNorm(), fnn.Relu(), fnn.MaxPool(2))
            ]
            head = (fnn.Flatten(), fnn.Dense(network.hidden), fnn.Relu(), fnn.Dense(network.classes))
            return fnn.Serial(*parts, *head)
        case Recurrent():
            return fnn.Serial(fnn.LSTM(network.features, return_sequences=False), fnn.Dense(network.classes))


def start(network: Network, inputs: Any, *, repeat: bool = False) -> tuple[Any, Any]:
    """Parameters and state."""
    return jax.jit(model(network, repeat=repeat).init)(jax.random.key(0), jnp.asarray(inputs))


def step(network: Network, params: Any, state: Any, batch: tuple, *, repeat: bool = False) -> Step:
    """The step of ``fit`` and ``make_train``, from these parameters."""
    objective = fnn.Objective(model(network, repeat=repeat), fnn.CrossEntropy())
    training = Training(objective, fnn.optim.adam(LEARNING_RATE))

    def advance(learned: Learned, inputs: Any, targets: Any) -> tuple[Learned, Any]:
        learned, totals = training.step(learned, (inputs, targets), jax.random.key(0))
        return learned, loss_of(totals)["sum"] / loss_of(totals)["weight"]

    return Step(advance, Learned(params, state, training.optimizer.init(params)), batch)
