"""Labels: class indices, and signs ±1. Checked on the host where their values are known, else flagged in the graph."""

from typing import Any

import jax
import numpy as np
from jax import lax

from fnn.errors import describe, integer_array, is_concrete


def class_labels(target: Any, logits: Any, ignored: int | None = None) -> jax.Array:
    """The target as labels, one for every row of the logits (…, V) (an array or its shape), or raises."""
    labels = integer_array(target, "labels")
    if len(logits.shape) < 1 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"expected labels {logits.shape[:-1]} for logits {describe(logits)} (…, V), got {describe(labels)}"
        )
    if is_concrete(labels):
        # In NumPy, because JAX would trace the comparison if only the logits are traced.
        values = np.asarray(labels)
        wrong = values[~is_class(values, logits.shape[-1], ignored)]
        if wrong.size:
            raise ValueError(
                f"labels lie in [0, {logits.shape[-1]}), got {np.unique(wrong)[:5].tolist()}{_hint(wrong, logits)}"
            )
    return labels


def _hint(wrong: np.ndarray, logits: Any) -> str:
    if logits.shape[-1] == 1:
        return "; one output has one class: give the model one output a class, or use BinaryCrossEntropy()"
    return "; set ignore_index to leave labels out" if (wrong < 0).all() else ""


def is_class(labels: Any, classes: int, ignored: int | None = None) -> Any:
    """Which of the labels are in [0, classes), or ignored."""
    valid = (labels >= 0) & (labels < classes)
    return valid if ignored is None else valid | (labels == ignored)


def at_class(labels: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Which entries of an array of this shape (…, V) belong to the labels (…): one-hot, as booleans."""
    return labels[..., None] == lax.broadcasted_iota(labels.dtype, shape, len(shape) - 1)


def check_signs(target: Any) -> None:
    """Raises for labels other than −1 and 1 if their values are known."""
    if is_concrete(target):
        values = np.asarray(target)
        wrong = values[~is_sign(values)]
        if wrong.size:
            raise ValueError(
                f"labels are -1 or 1, got {np.unique(wrong)[:5].tolist()}; convert labels 0 and 1 with 2 * y - 1"
            )


def is_sign(labels: Any) -> Any:
    """Which of the labels are −1 or 1."""
    return (labels == 1) | (labels == -1)
