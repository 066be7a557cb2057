"""Checks that metrics can be computed against mixed targets."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from fnn.metrics import Metric


def check_mixed_targets(metrics: Sequence[Metric], outputs: Any, targets: Any) -> None:
    """Raises for a metric that needs labels if training targets are mixed (``fnn.augment.Mixup``).

    Training metrics use the same targets as the loss: ``Accuracy`` takes the class with the largest share as the label,
    ``Perplexity`` and ``R2`` need no labels. A metric that rejects values between 0 and 1 could not raise inside a
    compiled step, where values are unknown: it would be NaN. So each is tried here once, while the step is traced, on
    two samples whose targets are halfway between two classes.
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
                f"{metric!r} needs labels, but the augmentation mixes the training targets: {error};"
                f" leave the metric out and compute it after the run, on data that are not mixed"
            ) from error
