"""Accuracy: how often the best answer, or one of the k best, is the label."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.metrics.answers import of_classes, of_yes_or_no, yes_or_no
from fnn.metrics.metric import Metric, ratio


@dataclasses.dataclass(frozen=True)
class Accuracy(Metric):
    """The share of examples whose largest output is at the label: Σ w [argmax z = y] / Σ w.

    Of equal outputs the first counts. Targets are labels (…) or distributions (…, V), whose largest entry is the label;
    labels equal to ``ignore_index`` do not count. Of yes-or-no answers, logits (N,) or (N, 1) with labels 0 and 1 of
    the same shape, the answer is 1 above 0.

    >>> Accuracy()(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """

    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    name = "accuracy"

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        if yes_or_no(outputs, targets):
            outputs, labels, each, _ = of_yes_or_no(outputs, targets, weights, self.ignore_index)
            correct = (outputs > 0) == (labels == 1)
        else:
            outputs, labels, each, _ = of_classes(outputs, targets, weights, self.ignore_index)
            correct = outputs.argmax(-1).astype(labels.dtype) == labels
        return {"correct": (each * correct.astype(each.dtype)).sum(), "weight": each.sum()}

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        return ratio(sums["correct"], sums["weight"])


@dataclasses.dataclass(frozen=True)
class TopKAccuracy(Accuracy):
    """The share of examples whose label is among the ``k`` largest outputs.

    Of equal outputs the first count, so that ``TopKAccuracy(1)`` is ``Accuracy()``; outputs with a NaN are no answer.
    Its name is ``top_5_accuracy`` for k = 5; targets and ``ignore_index`` are as of ``Accuracy``.

    Errors: ``ValueError`` for a k below 1 or above the number of classes.

    >>> TopKAccuracy(2)(jnp.array([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """

    k: int = dataclasses.field(kw_only=False)

    def __post_init__(self) -> None:
        positive("k", self.k)

    @property
    def name(self) -> str:
        return f"top_{self.k}_accuracy"

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        outputs, labels, each, classes = of_classes(outputs, targets, weights, self.ignore_index)
        if self.k > classes:
            raise ValueError(f"k is at most the number of classes, {classes}, got {self.k}")
        label = jnp.clip(labels, 0, classes - 1)[..., None]
        own = jnp.take_along_axis(outputs, label, -1)
        before = jax.lax.broadcasted_iota(label.dtype, outputs.shape, outputs.ndim - 1) < label
        rank = ((outputs > own) | ((outputs == own) & before)).sum(-1)
        correct = (rank < self.k) & ~jnp.isnan(outputs).any(-1)
        return {"correct": (each * correct.astype(each.dtype)).sum(), "weight": each.sum()}
