"""Additive noise."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import floating_array
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Cache, Layer, Params, State, is_training, required_key


@dataclasses.dataclass(frozen=True)
class GaussianNoise(Layer, name="gaussian_noise"):
    """In training, adds normal noise of standard deviation ``stddev``; else the identity.

    Forward:   y = x + stddev · n,  n ~ N(0, 1)
    Backward:  dx = dy

    Cache:   nothing
    Shapes:  any → the same, any floating dtype, kept

    The noise is drawn in float32 and then cast, so that it is the same in every precision. ``stddev`` may be a traced
    scalar (to sweep over it); one below 0 makes the output NaN.

    Errors: ``ValueError`` for a stddev below 0 and for training without a key.

    >>> GaussianNoise(0.1).apply({}, {}, jnp.ones(3), train=True, key=jax.random.key(0))[0].round(2).tolist()
    [1.159999966621399, 1.1999999284744263, 0.9599999785423279]

    Source: Bishop 1995, who shows that training with noise of small variance penalises the slope of the model.
    """

    stddev: float

    over_time = "each step"

    def __post_init__(self) -> None:
        keep_in_range(self, stddev=AT_LEAST_ZERO)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        if not is_training(train):
            return x, state, {}
        noise = jax.random.normal(required_key(self, key), x.shape, np.float32).astype(x.dtype)
        return x + jnp.asarray(self.stddev, x.dtype) * noise, state, {}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return {}, dy
