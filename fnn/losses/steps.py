"""Predictions of sequences with their lengths: steps past the length do not count.

``(p, lengths)``, p (N, T, …), is judged like p with weight 0 past the lengths, whatever the padding of p, the target
and the weights holds.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array
from fnn.sequences.lengths import checked_lengths, is_lengths, without_padding


class Steps(NamedTuple):
    """What a loss or metric judges; without lengths, ``lengths`` is None and the rest is unchanged."""

    prediction: Any
    target: Any
    weights: Any
    lengths: jax.Array | None


def parted(prediction: Any) -> tuple[Any, Any]:
    """The prediction (arrays or shapes), and its lengths or None."""
    beside = type(prediction) is tuple and len(prediction) == 2 and is_lengths(prediction[1])
    return prediction if beside else (prediction, None)


def steps_of(prediction: Any, target: Any, weights: Any) -> Steps:
    """Prediction, target and weights; for sequences with lengths, the weights are 0 past them."""
    prediction, lengths = parted(prediction)
    if lengths is None:
        return Steps(prediction, target, weights, None)
    target = exact_array(target)
    steps = jnp.shape(jax.tree.leaves(prediction)[0])[:2]
    if target.shape[:2] != steps or len(steps) < 2:
        raise ValueError(
            f"a prediction with lengths needs a target for every step (N, T, …), got predictions"
            f" {describe(prediction)} and targets {describe(target)}; to predict once a sequence, reduce the steps in"
            f" the model (return_sequences=False, GlobalAvgPool)"
        )
    lengths = checked_lengths(lengths, *steps)
    each = jnp.ones(steps[:1]) if weights is None else jnp.asarray(weights)
    if each.shape != (*steps, *target.shape[2:])[: each.ndim] or not each.ndim:
        raise ValueError(
            f"weights have the shape of the leading axes of the targets {describe(target)}, got {describe(weights)}"
        )
    each = jnp.broadcast_to(each[:, None], steps) if each.ndim == 1 else each
    # 1 is a valid target of every loss: a class, a yes, a sign, a probability, a number.
    return Steps(prediction, without_padding(target, lengths, 1), without_padding(each, lengths), lengths)


def within_lengths(prediction: Any, target: Any) -> tuple[Any, Any]:
    """Prediction and target, in NumPy; of sequences with their lengths the steps within them alone."""
    prediction, lengths = parted(prediction)
    if lengths is None:
        return prediction, target
    within = np.arange(prediction.shape[1]) < lengths[:, None]
    return prediction[within], target[within]


def as_samples(steps: Steps) -> Steps:
    """The steps of the sequences as separate samples, for metrics."""
    if steps.lengths is None:
        return steps
    prediction, target, weights = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), steps[:3])
    return Steps(prediction, target, weights, steps.lengths)
