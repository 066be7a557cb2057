"""The algorithms as the notes print them, in plain NumPy and JAX; no line here is meant to be right."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Array = np.ndarray
Step = Callable[[Array, Array, Array], Array]


def gradient(x: Array, y: Array, w: Array) -> Array:
    """∂L/∂w of the mean square of x w − y."""
    return 2 * x.T @ (x @ w - y) / len(y)


def delta_rule(x: Array, y: Array, w: Array) -> Array:
    """The mean of δ x with δ = target − output, as in the notes' worked example."""
    return x.T @ (y - x @ w) / len(y)


def listing(x: Array, y: Array, batches: Array, rate: float, step: Step) -> list[float]:
    """w ← w + α step, from 0, over batches (updates, samples) of rows: the mean square on all rows after each."""
    w, losses = np.zeros(x.shape[1]), []
    for rows in batches:
        w = w + rate * step(x[rows], y[rows], w)
        losses.append(float(np.mean(np.square(x @ w - y))))
    return losses


def updated_first(params: dict, x: jax.Array, y: jax.Array, rate: jax.Array) -> dict:
    """One step of a network with one hidden layer of sigmoids, the mean square as its loss.

    δ₂ = 2 (A₂ − y) / size(y) ⊙ A₂ (1 − A₂);  W₂ ← W₂ − η A₁ᵀδ₂;  then δ₁ = δ₂ W₂ᵀ ⊙ A₁ (1 − A₁), with the new W₂
    """
    (one, two), sigmoid = params.values(), jax.nn.sigmoid
    hidden = sigmoid(x @ one["kernel"] + one["bias"])
    output = sigmoid(hidden @ two["kernel"] + two["bias"])
    delta = 2 * (output - y) / y.size * output * (1 - output)
    two = {"kernel": two["kernel"] - rate * hidden.T @ delta, "bias": two["bias"] - rate * delta.sum(0)}
    delta = delta @ two["kernel"].T * hidden * (1 - hidden)
    one = {"kernel": one["kernel"] - rate * x.T @ delta, "bias": one["bias"] - rate * delta.sum(0)}
    return dict(zip(params, (one, two), strict=True))


def adagrad_first_step(g: Array, epsilon: float) -> Array:
    """The first step over η: g / √(Σ g² + ε), with the sum up to the step before, which is empty."""
    with np.errstate(divide="ignore"):
        return g / np.sqrt(np.zeros_like(g) + epsilon)


def minibatches(samples: int, size: int) -> list[int]:
    """How many samples each turn of the loop "for i = 0 … m" has, with m the number of batches."""
    m = -(-samples // size)
    return [len(range(samples)[i * size : (i + 1) * size]) for i in range(m + 1)]


def softmax_sum(z: Array) -> Array:
    """Σ pᵢ with pᵢ = exp(zᵢ) / Σ exp(zⱼ), j = 0 … K, for logits (draws, K); the term that no class has is exp(0)."""
    return (np.exp(z) / (np.exp(z).sum(1, keepdims=True) + 1)).sum(1)


def decoupled(grad: Callable, w: jax.Array, rate: float, strength: float, steps: int) -> jax.Array:
    """w ← w − η ∇ − λ w."""
    return jax.lax.fori_loop(0, steps, lambda _, w: w - rate * grad(w) - strength * w, w)


def adam_decoupled(grad: Callable, w: jax.Array, rate: float, strength: float, steps: int) -> jax.Array:
    """The same with Adam's direction in place of ∇."""

    def step(i: jax.Array, carry: tuple) -> tuple:
        w, m, v = carry
        g = grad(w)
        m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, i + 1.0
        direction = m / (1 - 0.9**t) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return w - rate * direction - strength * w, m, v

    return jax.lax.fori_loop(0, steps, step, (w, jnp.zeros_like(w), jnp.zeros_like(w)))[0]


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "softmax, exp(z) / Σ exp(z)": lambda z: np.exp(z) / (np.exp(z) + np.exp(0 * z)),
    "sigmoid, 1 / (1 + exp(−z))": lambda z: 1 / (1 + np.exp(-z)),
    "cross-entropy, −log softmax": lambda z: -np.log(np.exp(0 * z) / (np.exp(z) + np.exp(0 * z))),
    "binary cross-entropy of σ(z)": lambda z: -(np.log(sigmoid(z)) + 0 * np.log(1 - sigmoid(z))),
}
"""Of the logits (z, 0), the second class being the right one, or of one logit z with the label 1."""


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(−z))."""
    return 1 / (1 + np.exp(-z))
