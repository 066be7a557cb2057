"""The networks of the experiment on pre-training: their weights are given, and training starts from them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import initializers

PIXELS, DIGITS, BATCH, SMALL = 64, 1280, 64, 0.01
"""Pixels of a digit, and so the units of each layer; digits to train on; digits in a step; the σ at the start."""


def draws(seed: int, depth: int, epochs: int) -> tuple[dict, dict, np.ndarray]:
    """Tiny weights of a network and of its autoencoders, by layer, and the digits of each epoch, step and batch."""
    random = np.random.default_rng(seed)

    def tiny(*shape: int) -> dict[str, np.ndarray]:
        shapes = {"kernel": shape, "bias": shape[:-2] + shape[-1:]}
        return {name: (SMALL * random.standard_normal(each)).astype(np.float32) for name, each in shapes.items()}

    network = {"hidden": tiny(depth, PIXELS, PIXELS), "head": tiny(PIXELS, 10)}
    coders = {name: tiny(depth, PIXELS, PIXELS) for name in ("encoder", "decoder")}
    return network, coders, np.stack([random.permutation(DIGITS).reshape(-1, BATCH) for _ in range(epochs)])


def classifier(depth: int, *activation: fnn.Layer) -> fnn.Objective:
    """A network of hidden layers that are all alike, and a head."""
    hidden = fnn.Repeat(fnn.Serial(dense(PIXELS), *activation), depth)
    return fnn.Objective(fnn.Serial(hidden=hidden, head=dense(10)), fnn.CrossEntropy())


def autoencoder() -> tuple[fnn.Layer, fnn.Objective]:
    """The encoder, one layer of sigmoids, and what trains it together with a decoder."""
    encoder = fnn.Serial(dense(PIXELS), fnn.Sigmoid())
    # Digits and codes lie between 0 and 1, so the loss can be that of probabilities.
    return encoder, fnn.Objective(fnn.Serial(encoder=encoder, decoder=dense(PIXELS)), fnn.BinaryCrossEntropy())


def dense(features: int) -> fnn.Layer:
    """A dense layer whose weights are given afterwards."""
    return fnn.Dense(features, kernel_init=initializers.Zeros())


def given(objective: fnn.Objective, weights: Any) -> tuple[Any, Any]:
    """Parameters and state with these weights in the dense layers; a batch norm starts as always."""
    params, state = objective.init(jax.random.key(0), jax.ShapeDtypeStruct((1, PIXELS), jnp.float32))
    return {"hidden": params["hidden"] | {"dense_0": weights["hidden"]}, "head": weights["head"]}, state


def he(tiny: Any) -> Any:
    """He weights, of variance 2 over the number of inputs, from tiny ones; biases are 0."""
    scale = (2 / PIXELS) ** 0.5 / SMALL
    return {name: {"kernel": scale * each["kernel"], "bias": 0 * each["bias"]} for name, each in tiny.items()}


def learn(
    objective: fnn.Objective,
    optimizer: Any,
    start: tuple[Any, Any],
    orders: Any,
    samples: tuple,
    watch: Callable[..., Any],
    spent: Any = 0,
) -> tuple[tuple[Any, Any], Any]:
    """Trains parameters and state on the samples in this order (epochs, steps, batch), without the epochs spent before.

    Returns parameters and state, and what ``watch`` makes of them after each epoch (0 for those spent).
    """

    def step(carry: tuple, rows: jax.Array) -> tuple[tuple, None]:
        params, state, opt_state = carry
        batch = jax.tree.map(lambda leaf: leaf[rows], samples)
        (_, aux), gradients = objective.value_and_grad(params, state, batch)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (fnn.optim.apply_updates(params, updates), aux.state, opt_state), None

    def epoch(i: Any, carry: tuple) -> tuple:
        learned, watched = carry
        learned, _ = jax.lax.scan(step, learned, orders[i])
        return learned, jax.tree.map(lambda all, new: all.at[i].set(new), watched, watch(*learned[:2]))

    seen = jax.eval_shape(watch, *start)
    watched = jax.tree.map(lambda leaf: jnp.zeros((len(orders), *leaf.shape), leaf.dtype), seen)
    carry = (*start, optimizer.init(start[0])), watched
    (params, state, _), watched = jax.lax.fori_loop(spent, len(orders), epoch, carry)
    return (params, state), watched


def hidden_gradients(objective: fnn.Objective, weights: Any, batch: tuple) -> list[list[float]]:
    """The norms of the gradients of the hidden kernels, by layer, from the weights of each seed."""

    def norms(weights: Any, batch: tuple) -> jax.Array:
        _, gradients = objective.value_and_grad(*given(objective, weights), batch)
        return jnp.sqrt(jnp.square(gradients["hidden"]["dense_0"]["kernel"]).sum((-2, -1)))

    found = np.asarray(jax.jit(jax.vmap(norms, in_axes=(0, None)))(weights, batch))
    return [[float(f"{norm:.3g}") for norm in each] for each in found]
