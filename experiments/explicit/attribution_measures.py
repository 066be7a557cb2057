"""The rules whose attributions are compared, and what is measured of one network."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

import fnn
from experiments import data

RULES: dict[str, fnn.Attribution] = {
    "gradient": fnn.Attribution(),
    "gradient × input": fnn.GradientTimesInput(),
    "guided": fnn.GuidedBackprop(),
    "deconvnet": fnn.Deconvnet(),
    "LRP-ε": fnn.Epsilon(1e-6),
    "LRP-γ": fnn.Gamma(1e-6, 0.25),
    "LRP-z⁺": fnn.ZPlus(1e-6),
    "integrated": fnn.IntegratedGradients(16),
    "smooth": fnn.SmoothGrad(0.1, 16),
}
RANDOM = "random"
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5)
"""Shares of the inked pixels that are removed."""

LAYERS = ("head", "dense_0", "conv_1", "conv_0")
"""The layers whose weights are drawn anew, one after another."""


def of_network(
    model: fnn.Layer, params: Any, drawn: Any, digits: data.Digits, *, count: int, seed: int
) -> dict[str, Any]:
    """Everything that is measured of one network, on ``count`` test digits; ``drawn`` are untrained parameters."""
    images, labels = jnp.asarray(digits.test.images), jnp.asarray(digits.test.labels)
    right = np.flatnonzero(np.asarray(model.apply(params, {}, images)[0].argmax(-1) == labels))[:count]
    x, target = images[right], labels[right]

    @jax.jit
    def attributions(params: Any) -> dict[str, jax.Array]:
        return {name: fnn.attribute(model, params, {}, x, target, rule=rule) for name, rule in RULES.items()}

    @jax.jit
    def logits(x: jax.Array) -> jax.Array:
        return jnp.take_along_axis(model.apply(params, {}, x)[0], target[:, None], 1)[:, 0]

    whole = {name: np.asarray(each)[..., 0] for name, each in attributions(params).items()}
    inked, score = np.asarray(x)[..., 0] > 0, np.asarray(logits(x))
    order = {**whole, RANDOM: np.random.default_rng(seed).random(inked.shape)}
    removed = {
        name: [float(logits(x * keep(each, inked, share)[..., None]).mean()) for share in SHARES]
        for name, each in order.items()
    }
    correlations: dict[str, list[float]] = {name: [1.0] for name in RULES}
    for layer in LAYERS:
        params = {**params, layer: drawn[layer]}
        for name, each in attributions(params).items():
            correlations[name].append(float(rank_correlation(whole[name], np.asarray(each)[..., 0], inked).mean()))
    return {
        "logits": removed,
        "accounted": {name: float(np.mean(each.sum((1, 2)) / score)) for name, each in whole.items()},
        "correlations": correlations,
        "shown": {
            "image": np.asarray(x)[:4, ..., 0].tolist(),
            **{name: whole[name][:4].tolist() for name in RULES},
        },
    }


def keep(order: np.ndarray, inked: np.ndarray, share: float) -> np.ndarray:
    """A mask (N, H, W) that is 0 at that share of the inked pixels, those with the largest values of the order."""
    ranked = np.where(inked, order, -np.inf).reshape(len(order), -1)
    places = (-ranked).argsort(1).argsort(1)
    count = np.round(share * inked.reshape(len(order), -1).sum(1)).astype(int)
    return (places >= count[:, None]).reshape(order.shape).astype(np.float32)


def rank_correlation(one: np.ndarray, other: np.ndarray, inked: np.ndarray) -> np.ndarray:
    """Spearman's, of the sizes over the inked pixels, for each digit; 0 where one has no order."""
    found = []
    for a, b, mask in zip(np.abs(one), np.abs(other), inked, strict=True):
        a, b = a[mask], b[mask]
        found.append(spearmanr(a, b)[0] if np.ptp(a) and np.ptp(b) else 0.0)
    return np.array(found)
