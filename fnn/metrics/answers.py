"""What the metrics of classification count: for every answer the label, and a weight.

An answer that weighs nothing (a weight of 0, or the label ``ignore_index``) has the weight 0 whatever stands there. A
label that does not exist raises where values can be looked at; inside jit it has the weight NaN, and so has the metric.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array, is_concrete
from fnn.losses.labels import class_labels, is_class
from fnn.losses.loss import check_weights, expanded


class Answers(NamedTuple):
    """Outputs with the labels they are to match; ``classes`` is a number, the others arrays."""

    outputs: jax.Array
    labels: jax.Array
    weights: jax.Array
    classes: int


def of_classes(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Outputs (…, V) with labels (…), or with distributions (…, V) whose largest entry is the label."""
    outputs, targets = jnp.asarray(outputs), exact_array(targets)
    if outputs.ndim < 2 or outputs.shape[-1] == 1:
        raise ValueError(f"expected the outputs of two classes or more (N, …, V), got {describe(outputs)}")
    if targets.shape not in (outputs.shape, outputs.shape[:-1]):
        raise ValueError(f"outputs {describe(outputs)} and targets {describe(targets)} do not belong together")
    classes = outputs.shape[-1]
    labels = targets.argmax(-1) if targets.ndim == outputs.ndim else class_labels(targets, outputs, ignored)
    return Answers(outputs, labels, _weights(labels, weights, is_class(labels, classes), ignored), classes)


def yes_or_no(outputs: Any, targets: Any) -> bool:
    """Whether these are logits of single answers: (N,), or (…, 1) with targets of the same shape."""
    shape = jnp.shape(outputs)
    return shape == jnp.shape(targets) and (len(shape) == 1 or shape[-1:] == (1,))


def of_yes_or_no(outputs: Any, targets: Any, weights: Any, ignored: int | None = None) -> Answers:
    """Logits and labels 0 or 1 of one shape, as of ``BinaryCrossEntropy``; the labels come back as integers."""
    outputs, targets = jnp.asarray(outputs), exact_array(targets)
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs {describe(outputs)} and targets {describe(targets)} do not belong together")
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        raise ValueError(
            f"targets {describe(targets)} of the shape of the outputs may be distributions or yes-or-no answers;"
            f" give labels (targets.argmax(-1)), or answers one by one (outputs.reshape(-1) and targets.reshape(-1))"
        )
    if targets.dtype == bool:
        targets = targets.astype(jnp.int32)
    valid = (targets == 0) | (targets == 1)
    if is_concrete(targets):
        values = np.asarray(targets)
        wrong = values[(values != 0) & (values != 1) & (True if ignored is None else values != ignored)]
        if wrong.size:
            raise ValueError(f"labels of yes-or-no answers are 0 or 1, got {np.unique(wrong)[:5].tolist()}")
    return Answers(outputs, (targets == 1).astype(jnp.int32), _weights(targets, weights, valid, ignored), 2)


def _weights(labels: jax.Array, weights: Any, valid: jax.Array, ignored: int | None) -> jax.Array:
    dtype = jnp.zeros(()).dtype
    each = jnp.ones(labels.shape, dtype)
    if weights is not None:
        check_weights(weights)
        each = expanded(jnp.asarray(weights), labels.shape).astype(dtype)
    if ignored is not None:
        each = jnp.where(labels == ignored, 0, each)
    return jnp.where(valid | (each == 0), each, jnp.nan)
