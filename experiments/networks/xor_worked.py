"""The worked networks of the notes with numbers of our own, and the two updates of hidden weights, for ``xor``.

In columns, as the notes print them, with W (out, in): h = f(W¹x + b¹), o = g(W²h + b²), and of the sample's loss

    δ² = (o − y) ⊙ o(1 − o)   g the sigmoid, ½‖o − y‖²        δ² = o − y   g the softmax, cross-entropy
    δ¹ = (W²ᵀ δ²) ⊙ h(1 − h)                                  dWˡ = δˡ (its input)ᵀ,  dbˡ = δˡ
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import fnn

RATE = 0.1
"""The learning rate of the one step that compares the two updates."""


class Network(NamedTuple):
    """A network with one hidden layer of sigmoids, in columns, and one sample."""

    hidden: np.ndarray
    hidden_bias: np.ndarray
    output: np.ndarray
    output_bias: np.ndarray
    x: np.ndarray
    target: np.ndarray
    softmax: bool


NETWORKS = {
    "2-3-2, sigmoid": Network(
        hidden=np.array([[0.4, -0.3], [-0.6, 0.8], [0.1, 0.5]]),
        hidden_bias=np.array([0.1, -0.2, 0.3]),
        output=np.array([[0.7, -0.5, 0.2], [-0.4, 0.9, 0.6]]),
        output_bias=np.array([-0.1, 0.2]),
        x=np.array([1.0, 0.5]),
        target=np.array([0.9, 0.1]),
        softmax=False,
    ),
    "2-4-3, softmax": Network(
        hidden=np.array([[0.5, -0.2], [-0.7, 0.4], [0.3, 0.9], [-0.1, -0.6]]),
        hidden_bias=np.array([0.2, 0.0, -0.4, 0.1]),
        output=np.array([[0.6, -0.8, 0.3, 0.1], [-0.2, 0.5, -0.9, 0.4], [0.7, 0.2, 0.1, -0.5]]),
        output_bias=np.array([0.1, -0.3, 0.0]),
        x=np.array([0.8, -0.5]),
        target=np.array([0.0, 1.0, 0.0]),
        softmax=True,
    ),
}


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def outputs(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """h and o."""
    h = sigmoid(network.hidden @ network.x + network.hidden_bias)
    z = network.output @ h + network.output_bias
    return h, np.exp(z) / np.exp(z).sum() if network.softmax else sigmoid(z)


def deltas(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """δ¹ and δ², by the printed formulas."""
    h, o = outputs(network)
    output = o - network.target
    if not network.softmax:
        output = output * o * (1 - o)
    return (network.output.T @ output) * h * (1 - h), output


def formula_error(network: Network) -> float:
    """The largest difference of a printed derivative from fnn's, relative to the largest of its matrix, in float64."""
    hidden, output = deltas(network)
    h, _ = outputs(network)
    printed = {
        "dense_0": {"kernel": np.outer(hidden, network.x), "bias": hidden},
        "dense_1": {"kernel": np.outer(output, h), "bias": output},
    }
    with jax.enable_x64(True):
        derived = jax.tree.map(np.asarray, gradient(network))
    worst = 0.0
    for layer, parts in printed.items():
        for name, formula in parts.items():
            # fnn's kernels are (in, out).
            rule = derived[layer][name].T
            worst = max(worst, float(np.max(np.abs(formula - rule)) / np.max(np.abs(rule))))
    return worst


def gradient(network: Network) -> Any:
    """fnn's hand-derived gradient for the sample; two halved squares are the mean of two squares."""
    model = fnn.Serial(fnn.Dense(len(network.hidden)), fnn.Sigmoid(), fnn.Dense(len(network.output)))
    loss = fnn.CrossEntropy()
    if not network.softmax:
        model, loss = fnn.Serial(*model.layers, fnn.Sigmoid()), fnn.MeanSquaredError()
    params = {
        "dense_0": {"kernel": jnp.asarray(network.hidden.T), "bias": jnp.asarray(network.hidden_bias)},
        "dense_1": {"kernel": jnp.asarray(network.output.T), "bias": jnp.asarray(network.output_bias)},
    }
    batch = jnp.asarray(network.x)[None], jnp.asarray(network.target)[None]
    return jax.jit(fnn.Objective(model, loss).value_and_grad)(params, {}, batch)[1]


def worked(network: Network) -> dict[str, Any]:
    """What a picture shows of a network, and how well the printed formulas do."""
    h, o = outputs(network)
    hidden, output = deltas(network)
    return {
        "units": [network.x.tolist(), h.tolist(), o.tolist()],
        "deltas": [hidden.tolist(), output.tolist()],
        "weights": [network.hidden.tolist(), network.output.tolist()],
        "target": network.target.tolist(),
        "error": formula_error(network),
    }


def falls(samples: int, networks: int, seed: int) -> dict[str, list[float]]:
    """How far one step of the hidden kernel lowers the loss of random networks 3-3-2, by either update, in float64.

    In fnn's rows dW = Σ inᵀ δ; with the indices swapped, it is the transpose.
    """
    model = fnn.Serial(fnn.Dense(3), fnn.Sigmoid(), fnn.Dense(2), fnn.Sigmoid())
    objective, random = fnn.Objective(model, fnn.MeanSquaredError()), np.random.default_rng([seed, samples])
    params = {
        "dense_0": {"kernel": random.normal(size=(networks, 3, 3)), "bias": random.normal(size=(networks, 3))},
        "dense_1": {"kernel": random.normal(size=(networks, 3, 2)), "bias": random.normal(size=(networks, 2))},
    }
    batches = random.normal(size=(networks, samples, 3)), random.uniform(size=(networks, samples, 2))

    def both(params: Any, batch: tuple) -> tuple[jax.Array, jax.Array]:
        (value, _), grads = objective.value_and_grad(params, {}, batch)
        hidden, kernel = params["dense_0"], grads["dense_0"]["kernel"]

        def fall(update: jax.Array) -> jax.Array:
            moved = params | {"dense_0": hidden | {"kernel": hidden["kernel"] - RATE * update}}
            return value - objective(moved, {}, batch)[0]

        return fall(kernel), fall(kernel.T)

    with jax.enable_x64(True):
        right, swapped = jax.jit(jax.vmap(both))(*jax.tree.map(jnp.asarray, (params, batches)))
    return {"right": right.tolist(), "swapped": swapped.tolist()}
