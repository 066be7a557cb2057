"""The area under the ROC curve, from a fixed number of cells."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.errors import is_floating, positive
from fnn.layer import wide_dtype
from fnn.metrics.answers import Answers, of_classes, of_labels, of_yes_or_no
from fnn.metrics.cells import Cells, cells_of, joined
from fnn.metrics.metric import Metric, ratio, refuse_several
from fnn.metrics.sums import whole

AVERAGES = ("macro", "micro", "weighted", None)


@dataclasses.dataclass(frozen=True)
class AUC(Metric):
    """The area under the ROC curve: the probability that a positive example has a larger output than a negative one.

    Outputs are logits with labels 0 and 1 of one shape, (N,) or (N, 1), or those of two classes (…, 2) with labels (…).
    With ``multi_label=True`` they are logits (N, …, L) with labels of the same shape; each of the L labels has its own
    area, and ``average`` says how to combine them: ``"macro"`` (the default) takes their mean, ``"weighted"`` the mean
    weighted by how often each label is 1, ``"micro"`` the area of all answers together, ``None`` gives an array of all.

    The exact area needs all outputs at once, which sums of fixed size cannot hold. Instead, ``bins`` cells partition
    the outputs in order, narrow where there are many (``fnn.metrics.cells``), and each holds the weights of both
    labels. A positive and a negative in one cell count half, like a tie. The result is exact as long as there are no
    more distinct outputs than cells. Otherwise the error is at most half the share of pairs of distinct outputs that
    share a cell, which ``uncertainty`` returns: about 1/(2 bins) for any offset and scale of the logits, and more if
    the outputs drift from batch to batch.

    A batch costs a sort of its outputs and of 2 · bins cells: about a millisecond on a CPU.

    Its name is ``auc``; with several labels ``macro_auc``, ``micro_auc``, ``weighted_auc`` or ``auc_by_label``.

    Errors: ``ValueError`` for shapes that do not fit, fewer than two bins, an unknown ``average`` or one without
    ``multi_label`` and, outside jit, for other labels. Inside jit these make the area NaN, and so do NaN outputs. With
    only one of the two labels present the area is NaN too, and so is any mean that includes it.

    >>> AUC()(jnp.array([0.1, 0.4, 0.35, 0.8]), jnp.array([0, 0, 1, 1]))
    Array(0.75, dtype=float32)

    Source: Hanley and McNeil 1982.
    """

    bins: int = 1001
    _: dataclasses.KW_ONLY
    ignore_index: int | None = None
    multi_label: bool = False
    average: Literal["macro", "micro", "weighted"] | None = "macro"

    def __post_init__(self) -> None:
        positive("bins", self.bins)
        if self.bins < 2:
            raise ValueError("bins is at least 2: with one, every pair is a tie")
        if self.average not in AVERAGES:
            raise ValueError(f"average is one of {list(AVERAGES)}, got {self.average!r}")
        if self.average != "macro" and not self.multi_label:
            raise ValueError(f"average={self.average!r} is for several labels a sample: set multi_label=True")

    @property
    def name(self) -> str:
        if not self.multi_label:
            return "auc"
        return "auc_by_label" if self.average is None else f"{self.average}_auc"

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        self._answers(outputs, targets, weights)

    def _answers(self, outputs: Any, targets: Any, weights: Any) -> Answers:
        if self.multi_label:
            return of_labels(outputs, targets, weights, self.ignore_index)
        refuse_several(outputs)
        if jnp.shape(outputs) == jnp.shape(targets):
            return of_yes_or_no(outputs, targets, weights, self.ignore_index)
        answers = of_classes(outputs, targets, weights, self.ignore_index)
        if answers.classes != 2:
            raise ValueError(f"the area under the ROC curve needs two classes, got the outputs of {answers.classes}")
        return answers

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Cells:
        z, labels, each, classes = self._answers(outputs, targets, weights)
        z = z.astype(wide_dtype(z.dtype) if is_floating(z) else each.dtype)
        if z.ndim > labels.ndim:
            z = z[..., 1] - z[..., 0]
        each = jnp.where(jnp.isnan(z) & (each != 0), jnp.nan, each)
        own = self.multi_label and self.average != "micro"
        rows = [leaf.reshape(-1, classes).T if own else leaf.reshape(1, -1) for leaf in (z, labels == 1, each)]
        return jax.vmap(lambda z, positive, each: cells_of(z, positive, each, self.bins))(*rows)

    def merge(self, one: Cells, other: Cells) -> Cells:
        return jax.vmap(joined)(one, other)

    def value(self, sums: Cells) -> jax.Array:
        negative, positive, pairs = _weights(sums)
        below = jnp.cumsum(negative, -1) - negative / 2
        return self._average(ratio((positive * below).sum(-1), pairs), sums)

    def uncertainty(self, sums: Cells) -> jax.Array:
        """The largest distance from the exact area: half the share of pairs of distinct outputs that share a cell."""
        negative, positive, pairs = _weights(sums)
        within = jnp.where(sums.first != sums.last, positive * negative, 0)
        return self._average(ratio(within.sum(-1) / 2, pairs), sums)

    def _average(self, areas: jax.Array, sums: Cells) -> jax.Array:
        if not self.multi_label or self.average == "micro":
            return areas[0]
        if self.average is None:
            return areas
        share = whole(sums.positive).sum(-1) if self.average == "weighted" else jnp.ones_like(areas)
        return ratio(jnp.where(share == 0, 0, share * areas).sum(), share.sum())


def _weights(cells: Cells) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The shares of both labels in every cell, and the total share of their pairs: 1, or 0 if there are none."""
    negative, positive = whole((cells.negative, cells.positive))
    totals = [each.sum(-1, keepdims=True) for each in (negative, positive)]
    shares = [each / jnp.where(total == 0, 1, total) for each, total in zip((negative, positive), totals, strict=True)]
    return shares[0], shares[1], ((totals[0] != 0) & (totals[1] != 0))[..., 0].astype(negative.dtype)
