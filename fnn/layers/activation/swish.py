"""Swish, x sigmoid(βx), and SiLU, its case β = 1."""

import dataclasses
from typing import Any

import jax

from fnn.guards.ranges import FINITE, keep_in_range
from fnn.layers.activation._elementwise import Elementwise, without_infinities
from fnn.layers.activation._gated import gated, gated_slope


@dataclasses.dataclass(frozen=True)
class Swish(Elementwise, name="swish"):
    """The sigmoid-weighted linear unit with a fixed steepness ``beta``.

    Forward:   y = x s,  s = sigmoid(βx)
    Backward:  dx = (s + βx s (1 − s)) dy

    Cache:   ``x``
    Errors:  ``TypeError`` or ``ValueError`` for a ``beta`` that is not a finite number.
    Source:  Ramachandran, Zoph and Le 2017, §2.

    >>> import jax.numpy as jnp
    >>> Swish(beta=2.0)(jnp.array([1.0]))
    Array([0.880797], dtype=float32)
    """

    beta: float = 1.0

    def __post_init__(self) -> None:
        keep_in_range(self, beta=FINITE)

    def f(self, x: jax.Array) -> jax.Array:
        return swish(x, self.beta)

    def derivative(self, value: jax.Array) -> jax.Array:
        return swish_slopes(value, self.beta)[0]


@dataclasses.dataclass(frozen=True)
class Silu(Elementwise, name="silu"):
    """Swish with β = 1.

    Forward:   y = x s,  s = sigmoid(x)
    Backward:  dx = (s + x s (1 − s)) dy

    Cache:   ``x``
    Source:  Elfwing, Uchibe and Doya 2018.

    >>> import jax.numpy as jnp
    >>> Silu()(jnp.array([1.0]))
    Array([0.7310586], dtype=float32)
    """

    def f(self, x: jax.Array) -> jax.Array:
        return Swish().f(x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return Swish().derivative(value)


def swish(x: jax.Array, beta: Any) -> jax.Array:
    """x sigmoid(βx)."""
    return gated(x, lambda x: jax.lax.logistic(beta * x), beta)


def swish_slopes(x: jax.Array, beta: Any) -> tuple[jax.Array, jax.Array]:
    """The slopes s + βx s (1 − s) with respect to x and x² s (1 − s) with respect to β, s = sigmoid(βx)."""
    finite = without_infinities(x)
    s = jax.lax.logistic(beta * finite)
    rise = finite * s * (1 - s)
    return gated_slope(x, s + beta * rise, beta), finite * rise
