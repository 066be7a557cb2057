"""Accuracy: how often the top prediction, or one of the top k, is the label; and its multi-label form."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.errors import describe, positive
from fnn.losses.loss import expanded
from fnn.metrics.answers import Answers, of_classes, of_labels, of_yes_or_no, yes_or_no
from fnn.metrics.metric import Metric, ratio
from fnn.metrics.sums import Sum, summed, whole


@dataclasses.dataclass(frozen=True)
class Accuracy(Metric):
    """The share of examples whose largest output is at the label: Σ w [argmax z = y] / Σ w.

    Ties go to the first of the largest outputs. Outputs that contain NaN count as wrong. Targets are labels (…) or
    distributions (…, V), whose largest entry is the label; labels equal to ``ignore_index`` do not count. For
    yes-or-no answers, logits (N,) or (N, 1) with labels 0 and 1 of the same shape, a logit above 0 predicts 1.

    Errors: ``ValueError`` for shapes that do not match and, outside jit, for labels that do not exist and for targets
    (…, V) that are not distributions (for several labels a sample use ``MultiLabelAccuracy``). Inside jit these make
    the value NaN.

    >>> Accuracy()(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """

    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    name = "accuracy"
    cuts_at_zero = True

    def answers(self, outputs: Any, targets: Any, weights: Any = None) -> Answers:
        """The answers to count."""
        read = of_yes_or_no if yes_or_no(outputs, targets) else of_classes
        return read(outputs, targets, weights, self.ignore_index)

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        self.answers(outputs, targets, weights)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Sum]:
        answers = self.answers(outputs, targets, weights)
        return _counted(answers.weights, answers.right)

    def value(self, sums: dict[str, Any]) -> jax.Array:
        return _share(sums)


@dataclasses.dataclass(frozen=True)
class TopKAccuracy(Accuracy):
    """The share of examples whose label is among the ``k`` largest outputs.

    Ties go to the first outputs, so ``TopKAccuracy(1)`` is ``Accuracy()``; outputs that contain NaN count as wrong.
    Targets are labels (…) or distributions (…, V), whose largest entry is the label; labels equal to ``ignore_index``
    do not count. Its name is ``top_5_accuracy`` for k = 5.

    Errors: ``ValueError`` for a k below 1 or above the number of classes, for shapes that do not match and, outside
    jit, for labels that do not exist and targets (…, V) that are not distributions. Inside jit these make it NaN.

    >>> TopKAccuracy(2)(jnp.array([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """

    k: int = dataclasses.field(kw_only=False)

    def __post_init__(self) -> None:
        positive("k", self.k)

    @property
    def name(self) -> str:
        return f"top_{self.k}_accuracy"

    def answers(self, outputs: Any, targets: Any, weights: Any = None) -> Answers:
        return of_classes(outputs, targets, weights, self.ignore_index)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Sum]:
        outputs, labels, each, classes = self.answers(outputs, targets, weights)
        if self.k > classes:
            raise ValueError(f"k is at most the number of classes, {classes}, got {self.k}")
        label = jnp.clip(labels, 0, classes - 1)[..., None]
        own = jnp.take_along_axis(outputs, label, -1)
        before = jax.lax.broadcasted_iota(label.dtype, outputs.shape, outputs.ndim - 1) < label
        rank = ((outputs > own) | ((outputs == own) & before)).sum(-1)
        correct = (rank < self.k) & ~jnp.isnan(outputs).any(-1)
        return _counted(each, correct)


@dataclasses.dataclass(frozen=True)
class MultiLabelAccuracy(Metric):
    """Accuracy with several labels a sample, over samples and labels: Σ w [(z > 0) = y] / Σ w.

    Outputs are logits (N, …, L) with labels 0 and 1 of the same shape; each of the L labels is a separate yes-or-no
    answer: a logit above 0 predicts 1, NaN counts as wrong. ``average=None`` gives an array, one accuracy per label.
    With ``subset=True`` a sample is right if all its labels are, and there is one weight per sample. Otherwise weights
    have the shape of the leading axes, (N,) to (N, …, L). Labels equal to ``ignore_index`` do not count.

    Its name is ``multi_label_accuracy``, ``multi_label_accuracy_by_label`` or ``subset_accuracy``.

    Errors: ``ValueError`` for outputs and targets of different shapes, for another ``average``, for ``average=None``
    with ``subset``, for weights per label with ``subset`` and, outside jit, for labels other than 0 and 1; inside jit
    these make the value NaN.

    >>> MultiLabelAccuracy()(jnp.array([[2.0, -1.0], [3.0, 4.0]]), jnp.array([[1, 0], [1, 0]]))
    Array(0.75, dtype=float32)
    >>> MultiLabelAccuracy(subset=True)(jnp.array([[2.0, -1.0], [3.0, 4.0]]), jnp.array([[1, 0], [1, 0]]))
    Array(0.5, dtype=float32)
    """

    cuts_at_zero = True

    average: Literal["micro"] | None = "micro"
    _: dataclasses.KW_ONLY
    subset: bool = False
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        if self.average not in ("micro", None):
            raise ValueError(f"average is 'micro', over all labels, or None, one value per label, got {self.average!r}")
        if self.subset and self.average is None:
            raise ValueError(
                "subset=True judges all labels of a sample together, so average=None has no meaning; omit it"
            )

    @property
    def name(self) -> str:
        if self.subset:
            return "subset_accuracy"
        return "multi_label_accuracy" if self.average else "multi_label_accuracy_by_label"

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        of_labels(outputs, targets, weights, self.ignore_index)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Sum]:
        answers = of_labels(outputs, targets, weights, self.ignore_index)
        each, right = answers.weights, answers.right
        if not self.subset:
            return _counted(each, right, labels=None if self.average else answers.classes)
        rows = each.shape[:-1]
        if weights is not None and jnp.ndim(weights) > len(rows):
            raise ValueError(
                f"a subset accuracy takes one weight per sample, {rows} or its leading axes, got"
                f" {describe(weights)}; leave labels out with ignore_index"
            )
        # Ignored labels have weight 0, the others that of their sample; NaN marks an invalid label.
        row = each.max(-1) if weights is None else expanded(jnp.asarray(weights), rows).astype(each.dtype)
        row = jnp.where(jnp.isnan(each).any(-1), jnp.nan, jnp.where((each == 0).all(-1), 0, row))
        return _counted(row, ((right == 1) | (each == 0)).all(-1))

    def value(self, sums: dict[str, Any]) -> jax.Array:
        return _share(sums)


def _counted(each: jax.Array, right: jax.Array, *, labels: int | None = None) -> dict[str, Sum]:
    """The sums over everything, or one for each of ``labels`` labels."""
    shape = (-1,) if labels is None else (-1, labels)
    each, right = each.reshape(shape), right.reshape(shape)
    return {"correct": summed(each * right.astype(each.dtype)), "weight": summed(each)}


def _share(sums: dict[str, Any]) -> jax.Array:
    correct, weight = whole((sums["correct"], sums["weight"]))
    return ratio(correct, weight)
