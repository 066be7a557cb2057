"""Precision, recall and F1 of a class, from how often it is true, predicted, and both."""

import dataclasses
import numbers
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from fnn.metrics.confusion import as_rows, decided, flagged, of_each_label
from fnn.metrics.metric import Metric, ratio
from fnn.metrics.sums import Sum, summed, whole

AVERAGES = ("binary", "macro", "micro", "weighted", None)


@dataclasses.dataclass(frozen=True)
class ClassScore(Metric):
    """The base of class scores: a subclass defines ``score``, from how often a class is hit, predicted and true.

    ``average`` says which classes: ``"binary"`` the class ``positive``, by default class 1 of two; ``"macro"`` the mean
    over the classes that occur in labels or predictions, ``"weighted"`` the mean weighted by how often each is true;
    ``"micro"`` the score of the sums over all classes; ``None`` an array of all scores. Outputs are (…, V) with labels
    (…), or logits with labels 0 and 1 of one shape, (N,) or (N, 1). Outputs that contain NaN predict no class, and
    their label still counts as true.

    With ``multi_label=True`` outputs are logits (N, …, L) with labels 0 and 1 of one shape; the classes are the L
    labels, each a separate yes-or-no answer, and weights have the shape of the leading axes, (N,) to (N, …, L).
    ``"macro"`` is then the mean over all labels with any weight, as in scikit-learn.

    A quotient 0/0 counts as 0, as in scikit-learn; if nothing is counted at all, or nothing to weight by, the score is
    NaN. The name tells the average, or ``positive`` if the average is ``"binary"``: ``macro_f1``, ``f1_by_class``
    (``f1_by_label`` with ``multi_label``), ``f1_of_0``.

    Errors: ``ValueError`` for another ``average``, for ``positive`` with an average other than ``"binary"`` or not a
    class of the outputs, for ``"binary"`` without ``positive`` if there are more than two classes or several labels,
    for labels that do not fit the outputs and, outside jit, for a label that does not exist (NaN inside jit);
    ``TypeError`` for a ``positive`` that is not an integer.
    """

    cuts_at_zero = True

    average: Literal["binary", "macro", "micro", "weighted"] | None = "binary"
    _: dataclasses.KW_ONLY
    positive: int | None = None
    ignore_index: int | None = None
    multi_label: bool = False

    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if self.average not in AVERAGES:
            raise ValueError(f"average is one of {list(AVERAGES)}, got {self.average!r}")
        if self.positive is None:
            if self.multi_label and self.average == "binary":
                raise ValueError(
                    f"with several labels a sample, {type(self).__name__} needs an average, one of {_of_several()}, or"
                    f" positive, one of the labels"
                )
            return
        if isinstance(self.positive, bool) or not isinstance(self.positive, numbers.Integral):
            raise TypeError(f"positive is a class, an integer, got {self.positive!r}")
        if self.average != "binary":
            raise ValueError(f"positive needs average='binary', got {self.average!r}")

    @property
    def name(self) -> str:
        if self.average is None:
            return f"{self.kind}_by_label" if self.multi_label else f"{self.kind}_by_class"
        if self.average == "binary":
            return self.kind if self.positive is None else f"{self.kind}_of_{self.positive}"
        return f"{self.average}_{self.kind}"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        """The score from the sums of one class or of several."""
        raise NotImplementedError

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        self._check(decided(outputs, targets, weights, self.ignore_index, self.multi_label).classes)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Sum]:
        answers = decided(outputs, targets, weights, self.ignore_index, self.multi_label)
        self._check(answers.classes)
        if self.multi_label:
            true, predicted, each = of_each_label(answers)
            true, predicted = ((label == 1).astype(each.dtype) for label in (true, predicted))
            weight = each
        else:
            true, predicted, weight = as_rows(answers)
            each = weight[:, None]
        sums = {"hits": true * predicted, "predicted": predicted, "true": true}
        return {name: flagged(weight, summed(each * rows)) for name, rows in sums.items()} | {"weight": summed(weight)}

    def _check(self, classes: int) -> None:
        if self.average != "binary":
            return
        if self.positive is None and classes > 2:
            raise ValueError(
                f"{type(self).__name__}() is the score of class 1 of two, but the outputs have {classes} classes:"
                f" pass an average, one of {_of_several()}, or a positive class"
            )
        if self.positive is not None and not 0 <= self.positive < classes:
            raise ValueError(f"positive is one of the {classes} classes, got {self.positive}")

    def value(self, sums: dict[str, Any]) -> jax.Array:
        sums = whole(sums)
        hits, predicted, true, weight = sums["hits"], sums["predicted"], sums["true"], sums["weight"]
        if self.average == "micro":
            hits, predicted, true = (each.sum(keepdims=True) for each in (hits, predicted, true))
        scores = self.score(hits, predicted, true)
        if self.average == "micro":
            scores = scores[0]
        elif self.average == "binary":
            scores = scores[1 if self.positive is None else self.positive]
            weight = weight if weight.ndim == 0 else weight[self.positive]
        elif self.average is not None:
            occurs = weight != 0 if self.multi_label else predicted + true != 0
            share = true if self.average == "weighted" else occurs.astype(true.dtype)
            scores = ratio((share * scores).sum(), share.sum())
        if scores.ndim == 0:
            weight = weight.sum()
        return jnp.where(weight == 0, jnp.nan, scores)


@dataclasses.dataclass(frozen=True)
class Precision(ClassScore):
    """The share of a class's predictions that are right: hits / predicted. See ``ClassScore`` for averages.

    >>> Precision()(jnp.array([2.0, 1.0, -1.0]), jnp.array([1, 0, 1]))
    Array(0.5, dtype=float32)
    """

    kind = "precision"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        return _or_zero(hits, predicted)


@dataclasses.dataclass(frozen=True)
class Recall(ClassScore):
    """The share of a class's examples that are found: hits / true. See ``ClassScore`` for averages.

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
    >>> F1("micro", multi_label=True)(jnp.array([[2.0, -1.0], [3.0, 4.0]]), jnp.array([[1, 0], [1, 0]]))
    Array(0.8, dtype=float32)
    """

    kind = "f1"

    def score(self, hits: jax.Array, predicted: jax.Array, true: jax.Array) -> jax.Array:
        return _or_zero(2 * hits, predicted + true)


def _of_several() -> list[str | None]:
    return [each for each in AVERAGES if each != "binary"]


def _or_zero(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    return jnp.where(denominator == 0, 0, numerator / jnp.where(denominator == 0, 1, denominator))
