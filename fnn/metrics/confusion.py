"""Which classes are taken for which: the confusion matrix, and precision, recall and F1 of its sums."""

import dataclasses
import numbers
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.losses.labels import at_class
from fnn.metrics.answers import of_classes, of_yes_or_no
from fnn.metrics.metric import Metric, ratio

AVERAGES = ("binary", "macro", "micro", "weighted", None)


@dataclasses.dataclass(frozen=True)
class ConfusionMatrix(Metric):
    """The sums of weights by true class (row) and predicted class (column): an array (classes, classes).

    Outputs are (…, V) with labels (…), the largest output being the prediction and of equal ones the first; or logits
    with labels 0 and 1 of one shape, (N,) or (N, 1), where the prediction is 1 above 0. In the history of a run it is
    an array with one matrix an epoch, which early stopping cannot watch.

    Errors: ``ValueError`` for outputs of another number of classes, for labels that do not fit the outputs and,
    outside jit, for a label that does not exist; inside jit that makes the matrix NaN.

    >>> ConfusionMatrix(2)(jnp.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), jnp.array([1, 1, 0]))
    Array([[0., 1.],
           [1., 1.]], dtype=float32)
    """

    classes: int
    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    name = "confusion_matrix"

    def __post_init__(self) -> None:
        positive("classes", self.classes)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        true, predicted, each = decisions(outputs, targets, weights, self.ignore_index)
        if true.shape[-1] != self.classes:
            raise ValueError(f"expected the outputs of {self.classes} classes, got those of {true.shape[-1]}")
        return {"matrix": _flagged(each, (true * each[:, None]).T @ predicted)}

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        return sums["matrix"]


@dataclasses.dataclass(frozen=True)
class ClassScore(Metric):
    """The base of scores of a class: a subclass gives ``score`` of its hits, and of how often it is predicted and true.

    ``average`` says of which classes: ``"binary"`` of the class ``positive`` alone, or of class 1 of two; ``"macro"``
    the mean over the classes that occur in labels or predictions, ``"weighted"`` that by how often each is true;
    ``"micro"`` the score of the sums over all classes; ``None`` an array of all. Outputs and labels are as of
    ``ConfusionMatrix``.

    A quotient 0/0 counts 0, as in scikit-learn; with nothing counted at all the score is NaN. Its name says the average
    unless that is ``"binary"``, and then ``positive``: ``macro_f1``, ``f1_by_class``, ``f1_of_0``.

    Errors: ``ValueError`` for another ``average``, for a ``positive`` beside one that is not ``"binary"`` or that is no
    class of the outputs, and for ``"binary"`` without ``positive`` where there are more than two classes; ``TypeError``
    for a ``positive`` that is no integer; and as of ``ConfusionMatrix``.
    """

    average: Literal["binary", "macro", "micro", "weighted"] | None = "binary"
    _: dataclasses.KW_ONLY
    positive: int | None = None
    ignore_index: int | None = None

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if self.average not in AVERAGES:
            raise ValueError(f"average is one of {list(AVERAGES)}, got {self.average!r}")
        if self.positive is None:
            return
        if isinstance(self.positive, bool) or not isinstance(self.positive, numbers.Integral):
            raise TypeError(f"positive is a class, an integer, got {self.positive!r}")
        if self.average != "binary":
            raise ValueError(f"positive goes with the average 'binary', not with {self.average!r}")

    @property
    def name(self) -> str:
        if self.average is None:
            return f"{self.kind}_by_class"
        if self.average == "binary":
            return self.kind if self.positive is None else f"{self.kind}_of_{self.positive}"
        return f"{self.average}_{self.kind}"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        """The score of the sums of a class, or of several."""
        raise NotImplementedError

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        true, predicted, each = decisions(outputs, targets, weights, self.ignore_index)
        self._check(true.shape[-1])
        sums = {"hits": each @ (true * predicted), "predicted": each @ predicted, "true": each @ true}
        return {name: _flagged(each, sum) for name, sum in sums.items()}

    def _check(self, classes: int) -> None:
        if self.average != "binary":
            return
        if self.positive is None and classes > 2:
            raise ValueError(
                f"{type(self).__name__}() is the score of class 1 of two, and there are outputs of {classes} classes:"
                f" give an average, one of {[each for each in AVERAGES if each != 'binary']}, or a positive class"
            )
        if self.positive is not None and not 0 <= self.positive < classes:
            raise ValueError(f"positive is one of the {classes} classes, got {self.positive}")

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        hits, predicted, true = sums["hits"], sums["predicted"], sums["true"]
        if self.average == "micro":
            hits, predicted, true = (each.sum(keepdims=True) for each in (hits, predicted, true))
        scores = self.score(hits, predicted, true)
        if self.average == "binary":
            scores = scores[1 if self.positive is None else self.positive]
        elif self.average is not None:
            share = true if self.average == "weighted" else (predicted + true != 0).astype(true.dtype)
            scores = ratio((share * scores).sum(), share.sum())
        return jnp.where(true.sum() == 0, jnp.nan, scores)


@dataclasses.dataclass(frozen=True)
class Precision(ClassScore):
    """Of what is predicted to be of a class, the share that is: hits / predicted. See ``ClassScore`` for averages.

    >>> Precision()(jnp.array([2.0, 1.0, -1.0]), jnp.array([1, 0, 1]))
    Array(0.5, dtype=float32)
    """

    kind = "precision"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        return _or_zero(hits, predicted)


@dataclasses.dataclass(frozen=True)
class Recall(ClassScore):
    """Of what is of a class, the share that is found: hits / true. See ``ClassScore`` for averages.

    >>> Recall("macro")(jnp.array([[2.0, 1.0], [0.0, 1.0], [5.0, 3.0]]), jnp.array([0, 0, 1]))
    Array(0.25, dtype=float32)
    """

    kind = "recall"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        return _or_zero(hits, true)


@dataclasses.dataclass(frozen=True)
class F1(ClassScore):
    """The harmonic mean of precision and recall: 2 hits / (predicted + true). See ``ClassScore`` for averages.

    >>> F1()(jnp.array([2.0, 1.0, -1.0]), jnp.array([1, 0, 0]))
    Array(0.6666667, dtype=float32)
    """

    kind = "f1"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        return _or_zero(2 * hits, predicted + true)


def decisions(outputs: Any, targets: Any, weights: Any, ignored: int | None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """True and predicted classes as rows of 0 and 1 (answers, classes), and the weights (answers,)."""
    if jnp.shape(outputs) == jnp.shape(targets):
        answers = of_yes_or_no(outputs, targets, weights, ignored)
        predicted = (answers.outputs > 0).astype(answers.labels.dtype)
    else:
        answers = of_classes(outputs, targets, weights, ignored)
        predicted = answers.outputs.argmax(-1).astype(answers.labels.dtype)
    each, shape = answers.weights.reshape(-1), (answers.labels.size, answers.classes)
    rows = [at_class(classes.reshape(-1), shape).astype(each.dtype) for classes in (answers.labels, predicted)]
    return rows[0], rows[1], each


def _flagged(each: jax.Array, sums: jax.Array) -> jax.Array:
    # A weight that is NaN marks a label that does not exist. XLA may make a selection of a product with 0 and 1, in
    # which NaN · 0 is 0.
    return jnp.where(jnp.isnan(each).any(), jnp.nan, sums)


def _or_zero(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    return jnp.where(denominator == 0, 0, numerator / jnp.where(denominator == 0, 1, denominator))
