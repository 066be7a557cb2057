"""The two spirals, and what is measured of networks that separate them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn


def spirals(count: int, turns: float, seed: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 2) of two spirals in turn, with noise, and their classes (count, 1).

    The radius grows with the angle, up to 1; the second spiral is the first one turned by half a turn.
    """
    random = np.random.default_rng(seed)
    radius, labels = np.sqrt(random.uniform(0.02, 1, count)), np.arange(count) % 2
    angle = 2 * np.pi * turns * radius + np.pi * labels
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(0, 0.03, (count, 2))
    return points.astype(np.float32), labels[:, None].astype(np.float32)


def probabilities(model: fnn.Layer, params: Any, x: np.ndarray) -> np.ndarray:
    """The probability of class 1 that each seed gives each sample (seeds, samples)."""
    run = jax.jit(jax.vmap(lambda params, x: jax.nn.sigmoid(model.apply(params, {}, x)[0][:, 0]), in_axes=(0, None)))
    return np.asarray(run(params, jnp.asarray(x)))


def accuracies(found: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The share of samples that each seed answers rightly, from probabilities (seeds, N) and classes (N, 1)."""
    return np.mean((found > 0.5) == (labels[:, 0] == 1), 1)


def product(layers: list[dict[str, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The one affine map x W + b that dense layers make, one after the other."""
    kernel, bias = layers[0]["kernel"], layers[0]["bias"]
    for layer in layers[1:]:
        kernel, bias = kernel @ layer["kernel"], bias @ layer["kernel"] + layer["bias"]
    return kernel, bias


def product_error(model: fnn.Layer, params: Any, x: np.ndarray) -> float:
    """The largest difference of a network of dense layers from the product, relative to its largest output, float64."""
    worst = 0.0
    for seed in range(len(params["dense_0"]["bias"])):
        wide = jax.tree.map(lambda leaf: np.asarray(leaf[seed], np.float64), params)  # noqa: B023
        kernel, bias = product([wide[f"dense_{i}"] for i in range(len(wide))])
        expected = x.astype(np.float64) @ kernel + bias
        with jax.enable_x64(True):
            found = np.asarray(model.apply(jax.tree.map(jnp.asarray, wide), {}, jnp.asarray(x, jnp.float64))[0])
        worst = max(worst, float(np.max(np.abs(found - expected)) / np.max(np.abs(expected))))
    return worst


def least_linear_loss(x: np.ndarray, y: np.ndarray) -> float:
    """The least mean cross-entropy of a linear model, by logistic regression without a penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(x.astype(np.float64), y[:, 0])
    return float(log_loss(y[:, 0], model.predict_proba(x.astype(np.float64))))


def summary(runs: np.ndarray) -> list[list[float]]:
    """The lowest, the median and the highest of runs (rows)."""
    return [np.min(runs, 0).tolist(), np.median(runs, 0).tolist(), np.max(runs, 0).tolist()]
