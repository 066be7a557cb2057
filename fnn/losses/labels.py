"""Labels: classes by number, and sides by sign. Looked at on the host where they can be, marked valid in the graph."""

from typing import Any

import jax
import numpy as np
from jax import lax

from fnn.errors import describe, integer_array, is_concrete


def class_labels(target: Any, logits: Any, ignored: int | None = None) -> jax.Array:
    """The target as labels, one for every place of the logits (…, V) (or their shape), or raises."""
    labels = integer_array(target, "labels")
    if len(logits.shape) < 1 or labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"expected labels {logits.shape[:-1]} for logits {describe(logits)} (…, V), got {describe(labels)}"
        )
    if is_concrete(labels):
        # NumPy's, also where a constant target meets traced logits: JAX would trace the comparison.
        values = np.asarray(labels)
        wrong = values[~is_class(values, logits.shape[-1], ignored)]
        if wrong.size:
            raise ValueError(
                f"labels lie in [0, {logits.shape[-1]}), got {np.unique(wrong)[:5].tolist()}{_hint(wrong, logits)}"
            )
    return labels


def _hint(wrong: np.ndarray, logits: Any) -> str:
    if logits.shape[-1] == 1:
        return "; one output has one class: give the model an output for each, or take BinaryCrossEntropy()"
    return "; ignore_index says which of them are not to count" if (wrong < 0).all() else ""


def is_class(labels: Any, classes: int, ignored: int | None = None) -> Any:
    """Which of the labels are in [0, classes), or ignored."""
    valid = (labels >= 0) & (labels < classes)
    return valid if ignored is None else valid | (labels == ignored)


def at_class(labels: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Whether an entry of an array of this shape (…, V) is that of the label (…)."""
    return labels[..., None] == lax.broadcasted_iota(labels.dtype, shape, len(shape) - 1)


def check_signs(target: Any) -> None:
    """Raises for labels other than −1 and 1, where values can be looked at."""
    if is_concrete(target):
        values = np.asarray(target)
        wrong = values[~is_sign(values)]
        if wrong.size:
            raise ValueError(
                f"labels are -1 or 1, got {np.unique(wrong)[:5].tolist()}; 2 * y - 1 makes them of labels 0 and 1"
            )


def is_sign(labels: Any) -> Any:
    """Which of the labels are −1 or 1."""
    return (labels == 1) | (labels == -1)
