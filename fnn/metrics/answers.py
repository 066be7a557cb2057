"""What classification metrics count: a label and a weight for every answer.

An answer with a weight of 0, or with the label ``ignore_index``, has weight 0 whatever its outputs hold. A label that
does not exist raises where values are known; inside jit its weight is NaN, and so is the metric. NaN outputs predict no
class: the answer is wrong, and its weight still counts.

Outputs may be shapes alone if only the labels are to be checked.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array, is_concrete
from fnn.losses.labels import class_labels, is_class
from fnn.losses.loss import check_weights, expanded
from fnn.metrics.metric import refuse_several

NOT_ONE = 0.01
"""How far the sum of a distribution may be from 1: the rounding of bfloat16."""

SEVERAL = "for several labels a sample use MultiLabelAccuracy(), or multi_label=True with F1 and the like"


class Answers(NamedTuple):
    """Outputs with the labels they should match; ``classes`` is a number, the others are arrays."""

    outputs: jax.Array
    labels: jax.Array
    weights: jax.Array
    classes: int

    @property
    def predicted(self) -> jax.Array:
        """The classes with the largest outputs (the first on a tie), or whether logits are above 0; −1 for NaN."""
        if self.outputs.ndim == self.labels.ndim:
            found, missing = self.outputs > 0, jnp.isnan(self.outputs)
        else:
            found, missing = self.outputs.argmax(-1), jnp.isnan(self.outputs).any(-1)
        return jnp.where(missing, -1, found.astype(jnp.int32))

    @property
    def right(self) -> jax.Array:
        """1 where the label is predicted, else 0."""
        return (self.predicted == self.labels).astype(self.weights.dtype)


def of_classes(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Outputs (…, V) with labels (…), or with distributions (…, V) whose largest entry is the label."""
    outputs, targets = _outputs(outputs), exact_array(targets)
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        raise ValueError(
            f"expected outputs of two or more classes (N, …, V), got {describe(outputs)} with targets"
            f" {describe(targets)}; yes-or-no answers (N, 1) need targets of the same shape"
        )
    if targets.shape not in (outputs.shape, outputs.shape[:-1]):
        raise ValueError(f"outputs {describe(outputs)} and targets {describe(targets)} do not belong together")
    classes = outputs.shape[-1]
    if targets.ndim == outputs.ndim:
        labels, valid = targets.argmax(-1), distributions(targets, weights)
    else:
        labels = class_labels(targets, outputs, ignored)
        valid = is_class(labels, classes)
    return Answers(outputs, labels.astype(jnp.int32), _weights(labels, weights, valid, ignored), classes)


def distributions(targets: Any, weights: Any = None) -> jax.Array:
    """Which of the targets (…, V) are distributions; where values are known, all that count must be.

    Rows of zeros and ones with several ones, or none, are multi-label targets: their largest entry is not the label.
    """
    if is_concrete(targets) and (weights is None or is_concrete(weights)):
        values = np.asarray(targets, np.float64)
        fit = _sums_to_one(values)
        counted = np.ones(fit.shape, bool) if weights is None else _expanded_numpy(weights, fit.shape) != 0
        if not (fit | ~counted).all():
            row = values[counted & ~fit][0]
            raise ValueError(
                f"targets {describe(targets)} with the shape of the outputs must be distributions, entries of at least"
                f" 0 that sum to 1, got one with the sum {row.sum():g} and smallest entry {row.min():g}; {SEVERAL}"
            )
    return _sums_to_one(jnp.asarray(targets).astype(jnp.zeros(()).dtype))


def yes_or_no(outputs: Any, targets: Any) -> bool:
    """Whether these are logits of yes-or-no answers: (N,), or (…, 1) with targets of the same shape."""
    refuse_several(outputs)
    shape = jnp.shape(outputs)
    return shape == jnp.shape(targets) and (len(shape) == 1 or shape[-1:] == (1,))


def of_yes_or_no(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Logits and labels 0 or 1 of one shape, as for ``BinaryCrossEntropy``; the labels come back as integers."""
    outputs, targets = _outputs(outputs), exact_array(targets)
    if outputs.shape == targets.shape and outputs.ndim > 1 and outputs.shape[-1] > 1:
        raise ValueError(
            f"targets {describe(targets)} with the shape of the outputs may be distributions or several labels a"
            f" sample: convert distributions to labels (targets.argmax(-1)), for several labels set multi_label=True"
        )
    return _of_either(outputs, targets, weights, ignored)


def of_labels(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Logits and labels 0 or 1 of one shape (N, …, L): each of the L labels is a separate answer."""
    outputs, targets = _outputs(outputs), exact_array(targets)
    if outputs.ndim < 2:
        raise ValueError(
            f"expected logits (N, …, L) for several labels a sample, got {describe(outputs)};"
            f" for yes-or-no answers (N,) omit multi_label"
        )
    return _of_either(outputs, targets, weights, ignored)._replace(classes=outputs.shape[-1])


def _of_either(outputs: Any, targets: jax.Array, weights: Any, ignored: int | None) -> Answers:
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs {describe(outputs)} and targets {describe(targets)} do not belong together")
    if targets.dtype == bool:
        targets = targets.astype(jnp.int32)
    valid = (targets == 0) | (targets == 1)
    if is_concrete(targets):
        values = np.asarray(targets)
        wrong = values[(values != 0) & (values != 1) & (True if ignored is None else values != ignored)]
        if wrong.size:
            raise ValueError(f"labels of yes-or-no answers are 0 or 1, got {np.unique(wrong)[:5].tolist()}")
    return Answers(outputs, (targets == 1).astype(jnp.int32), _weights(targets, weights, valid, ignored), 2)


def _outputs(outputs: Any) -> Any:
    refuse_several(outputs)
    return outputs if isinstance(outputs, jax.ShapeDtypeStruct) else jnp.asarray(outputs)


def _sums_to_one(targets: Any) -> Any:
    return (targets >= 0).all(-1) & (abs(targets.sum(-1) - 1) <= NOT_ONE)


def _expanded_numpy(weights: Any, shape: tuple[int, ...]) -> np.ndarray:
    with jax.ensure_compile_time_eval():
        return np.asarray(expanded(jnp.asarray(weights), shape))


def _weights(labels: jax.Array, weights: Any, valid: jax.Array, ignored: int | None) -> jax.Array:
    dtype = jnp.zeros(()).dtype
    each = jnp.ones(labels.shape, dtype)
    if weights is not None:
        check_weights(weights)
        each = expanded(jnp.asarray(weights), labels.shape).astype(dtype)
    if ignored is not None:
        each = jnp.where(labels == ignored, 0, each)
    return jnp.where(valid | (each == 0), each, jnp.nan)
