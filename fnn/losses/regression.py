"""Losses of real-valued predictions."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.layer import Cache, Static
from fnn.losses.loss import Loss, real_target


@dataclasses.dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The mean of squared differences, over everything.

    Forward:   t = (p − y)²,  value = Σ w t / Σ w
    Backward:  dp = 2 (p − y) · dvalue · w / Σ w

    Cache:   ``difference`` p − y, ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included), ``TypeError`` for dtypes that differ.

    >>> MeanSquaredError()(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0]))
    Array(2.5, dtype=float32)
    """

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        dtype = jnp.asarray(prediction).dtype
        prediction, target = real_target(prediction, target)
        difference = prediction - target
        return jnp.square(difference), {"difference": difference, "dtype": Static(dtype)}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        return (2 * cache["difference"] * dterms).astype(cache["dtype"].value)
