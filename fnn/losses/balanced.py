"""Weights with which every class counts the same, however many examples it has."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, is_concrete, positive
from fnn.losses.labels import class_labels
from fnn.losses.loss import check_weights, expanded


def balanced_class_weight(labels: Any, classes: int, weights: Any = None) -> Any:
    """Class weights c (K,) with which each class has the same share of a loss: what ``class_weight="balanced"`` means.

    Forward:   c_k = Σ w / (K Σ_(n: yₙ = k) wₙ), without weights N / (K N_k);  the mean of c[y] over the examples is 1

    Shapes:  labels (…) integer in [0, K), or distributions (…, K); weights of the leading axes → (K,), NumPy's float64,
             or an array of JAX if labels or weights are traced

    Errors: ``ValueError`` for a label outside [0, K) and for a class that never occurs or whose weights sum to 0;
    where labels are traced, such a class makes all weights NaN.

    >>> balanced_class_weight([0, 0, 0, 1], 2)
    array([0.66666667, 2.        ])

    Source: King and Zeng 2001; scikit-learn's ``compute_class_weight("balanced", …)`` computes the same.
    """
    positive("classes", classes)
    if not hasattr(labels, "shape"):
        labels = np.asarray(labels)
    if weights is not None:
        check_weights(weights)
    known = is_concrete(labels) and (weights is None or is_concrete(weights))
    xp: Any = np if known else jnp
    target = xp.asarray(labels)
    if target.ndim and target.shape[-1] == classes and jnp.issubdtype(target.dtype, jnp.floating):
        shape = target.shape[:-1]
        w = _weights(xp, weights, shape)
        counts = (w[..., None] * target).sum(tuple(range(len(shape))))
    else:
        class_labels(target, np.broadcast_to(np.float32(0), (*target.shape, classes)))
        w, flat = _weights(xp, weights, target.shape).reshape(-1), target.reshape(-1)
        counts = np.bincount(flat, w, classes) if known else jnp.zeros(classes, w.dtype).at[flat].add(w)
    if known and not (counts > 0).all():
        empty = np.flatnonzero(~(counts > 0))[:5].tolist()
        raise ValueError(
            f"balanced class weights divide by the number of examples of each class, and of class"
            f" {', '.join(map(str, empty))} there are none in {describe(target)}; leave it out of the model, or give"
            f" class_weight as numbers"
        )
    counts = xp.where((counts > 0).all(), counts, xp.nan)
    return counts.sum() / (classes * counts)


def _weights(xp: Any, weights: Any, shape: tuple[int, ...]) -> Any:
    if weights is None:
        return xp.ones(shape)
    return xp.asarray(expanded(jnp.asarray(weights), shape), xp.zeros(()).dtype)
