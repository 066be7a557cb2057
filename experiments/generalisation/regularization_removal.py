"""What is left of networks of one hidden layer when units or weights are removed, and how many weights are near 0.

Parameters are those of ``network`` in ``regularization_training.py``, with networks on the first axis.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

NEAR = 0.01
"""A weight is near 0 if it is less than this part of the largest one of its layer."""


def without_units(params: Any, part: tuple, shares: Sequence[float], draws: int = 5) -> np.ndarray:
    """The accuracies (networks, shares) after these shares of the hidden units are removed at random: means over draws.

    All networks lose the same units.
    """
    first, last = layers_of(params)
    units = last["kernel"].shape[-2]
    ranks = np.random.default_rng(0).random((draws, units)).argsort(1)
    kept = np.stack([ranks >= round(share * units) for share in shares]).astype(np.float32)

    def accuracies(first: Any, last: Any, x: jax.Array, labels: jax.Array) -> jax.Array:
        hidden = jnp.maximum(x @ first["kernel"] + first["bias"], 0)
        logits = jnp.einsum("nu,sduk->sdnk", hidden, kept[..., None] * last["kernel"]) + last["bias"]
        return (logits.argmax(-1) == labels).mean((1, 2))

    return np.asarray(jax.jit(jax.vmap(accuracies, in_axes=(0, 0, None, None)))(first, last, *part))


def without_weights(params: Any, part: tuple, shares: Sequence[float]) -> np.ndarray:
    """The accuracies (networks, shares) after these shares of the hidden layer's weights, the smallest, are removed."""
    first, last = layers_of(params)
    sizes = np.abs(first["kernel"]).reshape(len(first["kernel"]), -1)
    # The place of every weight in the order of their sizes.
    places = sizes.argsort(1).argsort(1).reshape(first["kernel"].shape)
    removed = np.array([round(share * sizes.shape[1]) for share in shares])

    def accuracies(first: Any, last: Any, places: jax.Array, x: jax.Array, labels: jax.Array) -> jax.Array:
        kernels = jnp.where(places >= removed[:, None, None], first["kernel"], 0)
        hidden = jnp.maximum(jnp.einsum("nd,sdu->snu", x, kernels) + first["bias"], 0)
        return ((hidden @ last["kernel"] + last["bias"]).argmax(-1) == labels).mean(1)

    return np.asarray(jax.jit(jax.vmap(accuracies, in_axes=(0, 0, 0, None, None)))(first, last, places, *part))


def near_zero(params: Any) -> np.ndarray:
    """The share of the weights of the hidden layer that are near 0, by network."""
    sizes = np.abs(layers_of(params)[0]["kernel"])
    return (sizes < NEAR * sizes.max((1, 2), keepdims=True)).mean((1, 2))


def exactly_zero(params: Any) -> np.ndarray:
    """The share of the weights of the hidden layer that are 0, by network."""
    return (layers_of(params)[0]["kernel"] == 0).mean((1, 2))


def layers_of(params: Any) -> tuple[Any, Any]:
    """The parameters of the hidden and of the last layer."""
    inner = params["drop_connect_0"]
    return inner["dense_0"], inner["dense_1"]
