"""Which metrics can be computed against targets that are mixed."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fnn.metrics import Metric


def check_mixed_targets(metrics: Sequence[Metric], outputs: Any, targets: Any) -> None:
    """Raises for a metric that needs labels, where the targets of training are mixed (``fnn.augment.Mixup``).

    A metric of training is computed against the targets that the loss sees: ``Accuracy`` takes the class with the
    largest share for the label, ``Perplexity`` and ``R2`` have no need of labels. One that refuses what is between 0
    and 1 could not say so inside a compiled step, where values cannot be looked at: it would be NaN. So each is asked
    here, once while the step is traced, about two samples whose targets are halfway between two classes.
    """

    def halfway_between(leaf: Any) -> np.ndarray:
        target = np.full((2, *leaf.shape[1:]), 0.5, leaf.dtype)
        target[..., 2:] = 0  # a distribution sums to 1
        return target

    two = jax.tree.map(lambda leaf: np.zeros((2, *leaf.shape[1:]), leaf.dtype), outputs)
    halfway = jax.tree.map(halfway_between, targets)
    for metric in metrics:
        try:
            with jax.ensure_compile_time_eval():
                metric.update(two, halfway)
        except ValueError as error:
            raise ValueError(
                f"{metric!r} needs labels, and the augmentation mixes the targets of training: {error};"
                f" leave the metric out and compute it after the run, on data that are not mixed"
            ) from error
