"""The area under the ROC curve, from cells of fixed number."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.errors import is_floating, positive
from fnn.layer import wide_dtype
from fnn.metrics.answers import Answers, of_classes, of_labels, of_yes_or_no
from fnn.metrics.cells import Cells, cells_of, joined
from fnn.metrics.metric import Metric, ratio
from fnn.metrics.sums import whole

AVERAGES = ("macro", "micro", "weighted", None)


@dataclasses.dataclass(frozen=True)
class AUC(Metric):
    """The area under the ROC curve: the chance that a positive example has a larger output than a negative one.

    Outputs are logits with labels 0 and 1 of one shape, (N,) or (N, 1), or those of two classes (…, 2) with labels (…).
    With ``multi_label=True`` they are logits (N, …, L) with labels of one shape, each of the L labels with an area of
    its own, and ``average`` says what becomes of these: ``"macro"`` (the default) their mean, ``"weighted"`` that by
    how often each label is 1, ``"micro"`` the area of all answers together, ``None`` an array of all.

    The exact area needs all outputs at once, which no sums of fixed size hold. So these are ``bins`` cells in the order
    of the outputs, narrow where there are many of them (``fnn.metrics.cells``), with the weights of both labels in
    each. A pair of the two labels within one cell counts half, as a tie does. The result is exact while there are no
    more different outputs than cells, and is otherwise off by at most half the share of pairs of different outputs
    within a cell, which ``uncertainty`` gives: about 1/(2 bins), whatever the offset and scale of the logits, and more
    where the outputs move while they come in.

    A batch costs to sort its outputs, and 2 · bins cells: about a millisecond on a CPU.

    Its name is ``auc``, and of several labels ``macro_auc``, ``micro_auc``, ``weighted_auc`` or ``auc_by_label``.

    Errors: ``ValueError`` for shapes that do not fit, fewer than two bins, an ``average`` that is none of these or is
    given without ``multi_label`` and, outside jit, for other labels. Inside jit these make the area NaN, as outputs
    that are NaN do; with one label alone it is NaN as well, and so is a mean over labels of which one is.

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
            raise ValueError(f"average={self.average!r} is of several labels a sample: it goes with multi_label=True")

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
        if jnp.shape(outputs) == jnp.shape(targets):
            return of_yes_or_no(outputs, targets, weights, self.ignore_index)
        answers = of_classes(outputs, targets, weights, self.ignore_index)
        if answers.classes != 2:
            raise ValueError(f"the area under the ROC curve is of two classes, got the outputs of {answers.classes}")
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
        """How far the value may be from the exact area: half the share of pairs within one cell of several outputs."""
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
    """The shares of both labels in every cell, and the share of their pairs: 1, or 0 where there are none."""
    negative, positive = whole((cells.negative, cells.positive))
    shares = [each / jnp.where(each.sum(-1) == 0, 1, each.sum(-1))[..., None] for each in (negative, positive)]
    return shares[0], shares[1], (negative.sum(-1) * positive.sum(-1) != 0).astype(negative.dtype)
