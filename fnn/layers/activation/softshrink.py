"""Softshrink: soft thresholding."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, on_corners
from fnn.guards.ranges import AT_LEAST_ZERO, FINITE, keep_in_range
from fnn.layers.activation._elementwise import Elementwise


@dataclasses.dataclass(frozen=True)
class Softshrink(Elementwise, name="softshrink"):
    """Soft thresholding: moves x towards 0 by λ = ``threshold``, but not past it.

    Forward:   y = 0 where |x| ≤ λ, else x − λ sign(x)
    Backward:  dx = 0 where |x| ≤ λ, else dy; the slope at both corners ±λ is 0.

    With λ = 0 it is the identity: there is no corner, and the slope at 0 is 1.

    Cache:   ``x`` (y is 0 beyond a corner too, where x − λ sign(x) underflows)
    Errors:  ``TypeError`` or ``ValueError`` for a ``threshold`` that is not a finite number of at least 0.
    Source:  Donoho 1995, De-noising by soft-thresholding.

    >>> Softshrink()(jnp.array([-2.0, 0.25, 1.0]))
    Array([-1.5,  0. ,  0.5], dtype=float32)
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        keep_in_range(self, threshold=FINITE)
        keep_in_range(self, threshold=AT_LEAST_ZERO)

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(self.flat(x), 0, x - self.threshold * jnp.sign(x))

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        return jnp.where(self.flat(value), 0, dy)

    def flat(self, x: jax.Array) -> jax.Array:
        """Where the slope is 0: |x| ≤ λ, and nowhere if λ = 0."""
        return (abs(x) <= self.threshold) & (self.threshold > 0)

    def kinks_at(self, x: np.ndarray) -> Kinks | None:
        return on_corners(x, -self.threshold, self.threshold) if self.threshold > 0 else None
