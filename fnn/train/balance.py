"""Class weights that a run computes from its training targets, and sample weights given beside the data."""

import dataclasses
from typing import Any

import jax
import numpy as np

from fnn.calls import output_shape
from fnn.errors import describe, located
from fnn.losses.class_weight import Classification
from fnn.losses.multi import MultiLoss
from fnn.losses.steps import parted, steps_of
from fnn.objective import Objective, unpacked
from fnn.sequences.lengths import lengths_of
from fnn.train.converted import named
from fnn.train.data import arrays, is_arrays


def balanced(objective: Objective, data: Any, params: Any = None, state: Any = None) -> Objective:
    """The objective with numbers in place of ``class_weight="balanced"``; any other one unchanged.

    Counted are the targets that count in the loss: by their weights, without ignored labels and steps past a length.
    """
    loss = getattr(objective, "loss", None)  # another thing than an objective is refused where it is used
    if not _is_open(loss):
        return objective
    if not is_arrays(data):
        raise ValueError(
            "class_weight='balanced' counts the targets of arrays, and batches are read one by one; give the numbers:"
            " class_weight=fnn.balanced_class_weight(labels, classes)"
        )
    inputs, targets, weights = unpacked(arrays(data, lambda leaf: leaf))
    like = jax.eval_shape(lambda inputs: inputs, inputs)
    if params is None:
        params, state = jax.eval_shape(lambda key: objective.init(key, like), jax.random.key(0))
    outputs = output_shape(objective.model, params, state, like)
    with located("loss", loss, (inputs, targets)):
        return dataclasses.replace(objective, loss=_counted(loss, inputs, outputs, targets, weights))


def _is_open(loss: Any) -> bool:
    """Whether the loss, or one of several, waits for the weights of its classes."""
    if isinstance(loss, MultiLoss):
        return any(map(_is_open, loss.losses.values()))
    return isinstance(loss, Classification) and isinstance(loss.class_weight, str)


def _counted(loss: Any, inputs: Any, outputs: Any, targets: Any, weights: Any) -> Any:
    """The loss with the weights of the classes of these targets; ``outputs`` are shapes."""
    if isinstance(loss, MultiLoss):
        parts = loss.parts(outputs, targets, weights)
        found = {name: _counted(each, inputs, *parts[name]) for name, each in loss.losses.items()}
        return dataclasses.replace(loss, losses=found)
    if not _is_open(loss):
        return loss
    prediction, lengths = parted(outputs)
    if lengths is not None:
        targets, weights = _within(inputs, targets, weights, prediction)
    return loss.balanced(prediction, targets, weights)


def _within(inputs: Any, targets: Any, weights: Any, prediction: Any) -> tuple[Any, Any]:
    """Targets and weights of sequences, with weight 0 past their lengths."""
    given, steps = lengths_of(inputs), jax.tree.leaves(prediction)[0].shape[:2]
    if given is None or inputs[0].shape[:2] != steps:
        raise ValueError(
            f"class_weight='balanced' counts the targets within the lengths of the inputs, and the model turns"
            f" {describe(inputs)} into sequences of {steps[1]} steps; give the numbers:"
            f" class_weight=fnn.balanced_class_weight(labels, classes, weights)"
        )
    found = steps_of((np.broadcast_to(np.float32(0), steps), given), targets, weights)
    return found.target, found.weights


def weighted(data: Any, sample_weight: Any, name: str = "data") -> Any:
    """The data with the weights given beside them as their third part."""
    if sample_weight is None:
        return data
    if not is_arrays(data):
        raise ValueError(
            "sample_weight belongs to arrays; the batches of an iterable bring their own: (inputs, targets, weights)"
        )
    inputs, targets, weights = unpacked(named(data))
    if weights is not None:
        raise ValueError(
            f"the {name} have weights, {describe(weights)}, and sample_weight is given too; leave out one of them"
        )
    return inputs, targets, sample_weight
