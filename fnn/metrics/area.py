"""The area under the ROC curve, from histograms."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.metrics.answers import of_classes, of_yes_or_no
from fnn.metrics.metric import Metric, ratio


@dataclasses.dataclass(frozen=True)
class AUC(Metric):
    """The area under the ROC curve: the chance that a positive example has a larger output than a negative one.

    Outputs are logits with labels 0 and 1 of one shape, (N,) or (N, 1), or those of two classes (…, 2) with labels (…).

    The exact area needs all outputs at once, which no sums of fixed size hold. So the probabilities p = sigmoid(z) are
    rounded to the ``bins`` points k/(bins − 1), a histogram for each label, and a pair of the two labels within one bin
    counts half, as a tie does. The result is exact if no two different outputs share a bin, and is otherwise off by at
    most half the share of such pairs, which ``uncertainty`` gives. It is large if nearly all probabilities are near 0
    or near 1 (a rare label): take more bins then.

    Errors: ``ValueError`` for shapes that do not fit, fewer than two bins and, outside jit, for other labels. Inside
    jit these make the area NaN, as outputs that are NaN do; with one label alone it is NaN as well.

    >>> AUC()(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    Array(0.75, dtype=float32)

    Source: Hanley and McNeil 1982.
    """

    bins: int = 1001
    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    name = "auc"

    def __post_init__(self) -> None:
        positive("bins", self.bins)
        if self.bins < 2:
            raise ValueError("bins is at least 2: with one, every pair is a tie")

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        if jnp.shape(outputs) == jnp.shape(targets):
            z, labels, each, _ = of_yes_or_no(outputs, targets, weights, self.ignore_index)
        else:
            two, labels, each, classes = of_classes(outputs, targets, weights, self.ignore_index)
            if classes != 2:
                raise ValueError(f"the area under the ROC curve is of two classes, got the outputs of {classes}")
            z = two[..., 1] - two[..., 0]
        probabilities = jax.lax.logistic(z.astype(each.dtype))
        missing = jnp.isnan(probabilities)
        each = jnp.where(missing & (each != 0), jnp.nan, each)
        places = jnp.round(jnp.where(missing, 0, probabilities) * (self.bins - 1)).astype(jnp.int32)
        empty = jnp.zeros((2, self.bins), each.dtype)
        counts = empty.at[labels.reshape(-1), places.reshape(-1)].add(each.reshape(-1), mode="drop")
        return {"negative": counts[0], "positive": counts[1]}

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        negative, positive = sums["negative"], sums["positive"]
        below = jnp.cumsum(negative) - 0.5 * negative
        return ratio(jnp.vdot(positive, below), negative.sum() * positive.sum())

    def uncertainty(self, sums: dict[str, jax.Array]) -> jax.Array:
        """How far the value may be from the exact area: half the share of pairs within one bin."""
        negative, positive = sums["negative"], sums["positive"]
        return ratio(0.5 * jnp.vdot(positive, negative), negative.sum() * positive.sum())
