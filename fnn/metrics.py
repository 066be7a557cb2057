"""Metrics: what is reported beside the loss, as sums that add up over batches of any size."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.errors import describe
from fnn.losses.loss import expanded


@dataclasses.dataclass(frozen=True)
class Metric:
    """The base of metrics: ``update`` gives sums for one batch, which are added up; ``value`` is made of the totals.

    Both are pure and jittable, so a metric streams over batches, epochs and devices alike.
    """

    name: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        """The sums of one batch: a pytree of arrays, to be added to those of the other batches."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def value(self, sums: Any) -> jax.Array:
        """The metric from the totals."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def __call__(self, outputs: Any, targets: Any, weights: Any = None) -> jax.Array:
        """The metric of one batch."""
        return self.value(self.update(outputs, targets, weights))


@dataclasses.dataclass(frozen=True)
class Accuracy(Metric):
    """The share of examples whose largest output is at the label: Σ w [argmax z = y] / Σ w.

    Of equal outputs the first counts. Targets are labels (…) or distributions (…, V), whose largest entry is the label.

    >>> Accuracy()(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """

    name = "accuracy"

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        outputs, targets = jnp.asarray(outputs), jnp.asarray(targets)
        if outputs.ndim < 2 or outputs.shape[-1] == 1:
            raise ValueError(f"accuracy compares the outputs of two classes or more (N, …, V), got {describe(outputs)}")
        labels = targets.argmax(-1) if targets.ndim == outputs.ndim else targets
        if labels.shape != outputs.shape[:-1]:
            raise ValueError(f"outputs {describe(outputs)} and targets {describe(targets)} do not belong together")
        best = outputs.argmax(-1)
        correct = (best == labels.astype(best.dtype)).astype(jnp.zeros(()).dtype)
        each = jnp.ones_like(correct) if weights is None else expanded(jnp.asarray(weights), correct.shape)
        each = each.astype(correct.dtype)
        return {"correct": (each * correct).sum(), "weight": each.sum()}

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        return ratio(sums["correct"], sums["weight"])


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """The quotient; NaN, not an error or a warning, where nothing was counted."""
    return jnp.where(denominator == 0, jnp.nan, numerator / jnp.where(denominator == 0, 1, denominator))
