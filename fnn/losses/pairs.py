"""Predictions and targets of one shape, of which nothing is broadcast."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, exact_array, floating_array, is_floating
from fnn.layer import wide_dtype


def same_shape(prediction: Any, target: Any) -> tuple[jax.Array, jax.Array]:
    """Prediction and target of an elementwise loss, as arrays; raises if their shapes differ: nothing broadcasts."""
    prediction, target = floating_array(prediction), exact_array(target)
    if prediction.shape != target.shape:
        of_classes = target.shape == prediction.shape[:-1] and prediction.shape[-1] > 1
        if of_classes and jnp.issubdtype(target.dtype, jnp.integer):
            raise ValueError(
                f"prediction and target must have the same shape, got {describe(prediction)} and {describe(target)};"
                f" for class labels use CrossEntropy(), or make them one-hot: jax.nn.one_hot(target,"
                f" {prediction.shape[-1]})"
            )
        raise ValueError(
            f"prediction and target must have the same shape, got {describe(prediction)} and {describe(target)};"
            f" nothing is broadcast, so reshape one of them"
        )
    return prediction, target


def real_target(prediction: Any, target: Any) -> tuple[jax.Array, jax.Array]:
    """Prediction and target of a regression, of one shape and one floating dtype, cast to the dtype to compute in."""
    prediction, target = same_shape(prediction, target)
    if not is_floating(target) or target.dtype != prediction.dtype:
        raise TypeError(f"the target has the prediction's dtype, {prediction.dtype}, got {describe(target)}")
    wide = wide_dtype(prediction.dtype)
    return prediction.astype(wide), target.astype(wide)
