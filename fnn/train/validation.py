"""Validation inside a run: after which epochs, and what the history holds in between."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from fnn.train.data import plan, samples
from fnn.train.early_stopping import EarlyStopping
from fnn.train.loops import missing
from fnn.train.step import Learned, Training


@dataclasses.dataclass(frozen=True, eq=False)
class Validation:
    """The evaluation of ``data`` (``None``: there are none) after ``every`` epochs and after the last."""

    training: Training
    data: Any
    batch_size: int
    every: int
    epochs: int

    def due(self, epoch: Any) -> Any:
        """Whether the epoch, counted from 0, is one of those."""
        return ((epoch + 1) % self.every == 0) | (epoch + 1 == self.epochs)

    def judged(self, early_stopping: EarlyStopping | None) -> Callable[[Any], Any] | None:
        """Which epochs early stopping looks at: those that have what it watches; ``None`` for all."""
        watches = early_stopping is not None and early_stopping.monitor.startswith("validation_")
        return self.due if watches and self.every > 1 else None

    def values(self, epoch: Any, learned: Learned) -> dict[str, jax.Array]:
        """The loss and the metrics, computed only where they are due."""
        if self.data is None:
            return {}
        if self.every == 1:
            return self._evaluate(learned)
        return jax.lax.cond(self.due(epoch), self._evaluate, self._nothing, learned)

    def _evaluate(self, learned: Learned) -> dict[str, jax.Array]:
        return self.training.evaluate(learned, self.data, plan(samples(self.data), self.batch_size))

    def _nothing(self, learned: Learned) -> dict[str, jax.Array]:
        return jax.tree.map(lambda leaf: missing(leaf.shape, leaf.dtype), jax.eval_shape(self._evaluate, learned))
