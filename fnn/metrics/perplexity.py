"""Perplexity: between how many equally likely words a model hesitates."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.losses.cross_entropy import CrossEntropy
from fnn.metrics.metric import Metric, ratio


@dataclasses.dataclass(frozen=True)
class Perplexity(Metric):
    """The exponential of the mean cross-entropy, from logits: exp(−Σ w log p(label) / Σ w).

    Over batches the cross-entropies are averaged before the exponential is taken. Targets are labels (…), of which
    those equal to ``ignore_index`` do not count, or distributions (…, V).

    >>> Perplexity()(jnp.zeros((3, 4)), jnp.array([0, 1, 3])).round(3)
    Array(4., dtype=float32)
    """

    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    name = "perplexity"
    higher_is_better = False

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        loss = CrossEntropy(ignore_index=self.ignore_index)
        value, weight = loss(outputs, targets, weights), loss.weight(outputs, targets, weights)
        return {"sum": value * weight, "weight": weight}

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        return jnp.exp(ratio(sums["sum"], sums["weight"]))
