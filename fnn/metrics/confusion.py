"""The confusion matrix: which classes are mistaken for which."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.losses.labels import at_class
from fnn.metrics.answers import Answers, of_classes, of_labels, of_yes_or_no
from fnn.metrics.metric import Metric, refuse_several
from fnn.metrics.sums import Sum, summed, summed_products, whole


@dataclasses.dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """The sums of weights by true class (row) and predicted class (column): an array (classes, classes).

    Outputs are (…, V) with labels (…), where the largest output is the prediction (the first on a tie); or logits with
    labels 0 and 1 of one shape, (N,) or (N, 1), where a logit above 0 predicts 1. Outputs that contain NaN are in no
    column, so they are missing from the sum of their row. The history of a run holds one matrix an epoch, which early
    stopping cannot monitor.

    With ``multi_label=True`` outputs are logits (N, …, L) with labels 0 and 1 of one shape, ``classes`` is L, and each
    label has a matrix of two classes: an array (L, 2, 2), like scikit-learn's ``multilabel_confusion_matrix``.

    Errors: ``ValueError`` for outputs of another number of classes, for labels that do not fit the outputs and,
    outside jit, for a label that does not exist; inside jit such a label makes the matrix NaN.

    >>> ConfusionMatrix(2)(jnp.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), jnp.array([1, 1, 0]))
    Array([[0., 1.],
           [1., 1.]], dtype=float32)
    """

    classes: int
    _: dataclasses.KW_ONLY
    ignore_index: int | None = None
    multi_label: bool = False

    name = "confusion_matrix"
    cuts_at_zero = True

    def __post_init__(self) -> None:
        positive("classes", self.classes)

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        decided(outputs, targets, weights, self.ignore_index, self.multi_label)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Sum]:
        answers = decided(outputs, targets, weights, self.ignore_index, self.multi_label)
        if answers.classes != self.classes:
            raise ValueError(f"expected the outputs of {self.classes} classes, got outputs of {answers.classes}")
        if self.multi_label:
            true, predicted, each = of_each_label(answers)
            cells = [(true == row) & (predicted == column) for row in (0, 1) for column in (0, 1)]
            matrix = jnp.stack([each * cell.astype(each.dtype) for cell in cells], -1).reshape(*each.shape, 2, 2)
            return {"matrix": flagged(each, summed(matrix))}
        true, predicted, each = as_rows(answers)
        return {"matrix": flagged(each, summed_products(true * each[:, None], predicted))}

    def value(self, sums: dict[str, Any]) -> jax.Array:
        return whole(sums["matrix"])


def decided(outputs: Any, targets: Any, weights: Any, ignored: int | None, multi_label: bool) -> Answers:
    """The answers to count, from classes, yes-or-no answers, or several labels a sample."""
    if multi_label:
        return of_labels(outputs, targets, weights, ignored)
    refuse_several(outputs)
    read = of_yes_or_no if jnp.shape(outputs) == jnp.shape(targets) else of_classes
    return read(outputs, targets, weights, ignored)


def as_rows(answers: Answers) -> tuple[jax.Array, jax.Array, jax.Array]:
    """True and predicted classes, one-hot (answers, classes), and the weights (answers,)."""
    each, shape = answers.weights.reshape(-1), (answers.labels.size, answers.classes)
    true, predicted = (
        at_class(classes.reshape(-1), shape).astype(each.dtype) for classes in (answers.labels, answers.predicted)
    )
    return true, predicted, each


def of_each_label(answers: Answers) -> tuple[jax.Array, jax.Array, jax.Array]:
    """True and predicted labels (0, 1, or −1 for no prediction) and their weights, (samples, labels)."""
    true, predicted, each = (
        leaf.reshape(-1, answers.classes) for leaf in (answers.labels, answers.predicted, answers.weights)
    )
    return true, predicted, each


def flagged(each: jax.Array, sums: Any) -> Any:
    """The sums; NaN if a weight is NaN, which marks a label that does not exist."""
    # XLA may turn a product with 0 or 1 into a select, in which NaN · 0 is 0.
    return jax.tree.map(lambda sum: jnp.where(jnp.isnan(each).any(), jnp.nan, sum), sums)
