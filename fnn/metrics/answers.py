"""What the metrics of classification count: for every answer the label, and a weight.

An answer that weighs nothing (a weight of 0, or the label ``ignore_index``) has the weight 0 whatever stands there. A
label that does not exist raises where values can be looked at; inside jit it has the weight NaN, and so has the metric.
Outputs that are NaN are no answer: no class is predicted, so nothing is right, and the weight counts all the same.

Outputs may be shapes alone, where only the labels are to be looked at.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array, is_concrete
from fnn.losses.labels import class_labels, is_class
from fnn.losses.loss import check_weights, expanded

NOT_ONE = 0.01
"""A distribution may sum to so much more or less than 1: what bfloat16 rounds off."""

SEVERAL = "for several labels a sample there is MultiLabelAccuracy(), and multi_label=True of F1 and its like"


class Answers(NamedTuple):
    """Outputs with the labels they are to match; ``classes`` is a number, the others arrays."""

    outputs: jax.Array
    labels: jax.Array
    weights: jax.Array
    classes: int

    @property
    def predicted(self) -> jax.Array:
        """The classes with the largest outputs, of equal ones the first, or whether logits are above 0; −1 of NaN."""
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
            f"expected the outputs of two classes or more (N, …, V), got {describe(outputs)} with targets"
            f" {describe(targets)}; yes-or-no answers (N, 1) go with targets of the same shape"
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
    """Which of the targets (…, V) are distributions; where values can be looked at, all that count must be.

    Rows of zeros and ones with several ones, or none, are labels of another kind: their largest entry says nothing.
    """
    if is_concrete(targets) and (weights is None or is_concrete(weights)):
        values = np.asarray(targets, np.float64)
        fit = _sums_to_one(values)
        counted = np.ones(fit.shape, bool) if weights is None else _expanded_numpy(weights, fit.shape) != 0
        if not (fit | ~counted).all():
            row = values[counted & ~fit][0]
            raise ValueError(
                f"targets {describe(targets)} of the shape of the outputs are distributions, entries of at least 0 that"
                f" sum to 1, got one with the sum {row.sum():g} and the least entry {row.min():g}; {SEVERAL}"
            )
    return _sums_to_one(jnp.asarray(targets).astype(jnp.zeros(()).dtype))


def yes_or_no(outputs: Any, targets: Any) -> bool:
    """Whether these are logits of single answers: (N,), or (…, 1) with targets of the same shape."""
    shape = jnp.shape(outputs)
    return shape == jnp.shape(targets) and (len(shape) == 1 or shape[-1:] == (1,))


def of_yes_or_no(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Logits and labels 0 or 1 of one shape, as of ``BinaryCrossEntropy``; the labels come back as integers."""
    outputs, targets = _outputs(outputs), exact_array(targets)
    if outputs.shape == targets.shape and outputs.ndim > 1 and outputs.shape[-1] > 1:
        raise ValueError(
            f"targets {describe(targets)} of the shape of the outputs may be distributions or several labels a sample:"
            f" of distributions give labels (targets.argmax(-1)), of several labels say multi_label=True"
        )
    return _of_either(outputs, targets, weights, ignored)


def of_labels(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Logits and labels 0 or 1 of one shape (N, …, L): each of L labels is an answer of its own."""
    outputs, targets = _outputs(outputs), exact_array(targets)
    if outputs.ndim < 2:
        raise ValueError(
            f"the outputs for several labels a sample are logits (N, …, L), got {describe(outputs)};"
            f" yes-or-no answers (N,) go without multi_label"
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
