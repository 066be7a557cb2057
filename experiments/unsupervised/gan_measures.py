"""How the players of a generative adversarial network are judged."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import spearmanr

from experiments.unsupervised.gan_training import discriminator, generator, lowered


def moment(classify: Any, params: Any, held_out: jax.Array, codes: jax.Array) -> dict[str, jax.Array]:
    """How the players do on held-out digits and on samples of these codes."""
    made, _ = generator().apply(params["generator"], {}, codes)
    count = len(held_out)
    logits, _ = discriminator().apply(params["discriminator"], {}, jnp.concatenate([held_out, made[:count]]))
    features, digits = classify(made)
    losses, changes = lowered(params, held_out, codes[:count], 0.01)
    right = jnp.concatenate([logits[:count] > 0, logits[count:] <= 0])
    return losses | {
        "accuracy": right.mean(),
        "lowered": changes,
        "features": features,
        "digits": digits,
        "logits": logits[:count],
        "samples": made[:10],
    }


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ Σ')^½) of two sets of features (N, D)."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    first, second = np.cov(one.T), np.cov(other.T)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    # Σ Σ' has the eigenvalues of the symmetric Σ^½ Σ' Σ^½.
    between = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ second @ root), 0)).sum()
    return float(np.square(one.mean(0) - other.mean(0)).sum() + np.trace(first) + np.trace(second) - 2 * between)


def rank_correlations(one: Any, other: Any) -> tuple[float, float]:
    """Spearman's rank correlation, of all and without the first."""
    every, later = spearmanr(one, other), spearmanr(one[1:], other[1:])
    return float(every.statistic), float(later.statistic)  # pyright: ignore[reportAttributeAccessIssue]
