"""Perplexity: the number of equally likely words that would make a model as uncertain."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import exact_array
from fnn.losses.cross_entropy import CrossEntropy
from fnn.losses.loss import expanded
from fnn.metrics.answers import distributions
from fnn.metrics.metric import Metric, ratio, refuse_several
from fnn.metrics.sums import Sum, whole


@dataclasses.dataclass(frozen=True)
class Perplexity(Metric):
    """The exponential of the mean cross-entropy, from logits: exp(−Σ w log p(label) / Σ w).

    Over batches the cross-entropies are averaged before the exponential is taken. Targets are labels (…), where those
    equal to ``ignore_index`` do not count, or distributions (…, V).

    Errors: ``ValueError`` for a target of another shape and, outside jit, for a label outside [0, V) and for targets
    (…, V) that are not distributions (multi-label ones, say); ``TypeError`` for a target of shape (…) that is not
    integer. Inside jit such a label or target makes the value NaN.

    >>> Perplexity()(jnp.zeros((3, 4)), jnp.array([0, 1, 3])).round(3)
    Array(4., dtype=float32)
    """

    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    name = "perplexity"
    higher_is_better = False

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        refuse_several(outputs)
        CrossEntropy(ignore_index=self.ignore_index).check(outputs, targets)
        _known(outputs, exact_array(targets), weights)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Sum]:
        loss = CrossEntropy(ignore_index=self.ignore_index)
        value, weight = loss(outputs, targets, weights), loss.weight(outputs, targets, weights)
        total = jnp.where(_known(outputs, exact_array(targets), weights), value * weight, jnp.nan)
        return {"sum": Sum.of(total), "weight": Sum.of(weight)}

    def value(self, sums: dict[str, Any]) -> jax.Array:
        total, weight = whole((sums["sum"], sums["weight"]))
        return jnp.exp(ratio(total, weight))


def _known(outputs: Any, targets: jax.Array, weights: Any) -> Any:
    """Whether all targets that count are labels or distributions."""
    if jnp.ndim(targets) < jnp.ndim(outputs):
        return True  # the loss is NaN for a label that does not exist
    fit = distributions(targets, weights)
    return (fit if weights is None else fit | (expanded(jnp.asarray(weights), fit.shape) == 0)).all()
