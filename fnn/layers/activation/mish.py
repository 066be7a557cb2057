"""Mish, x tanh(softplus x)."""

import dataclasses

import jax
import jax.numpy as jnp

from fnn.layers.activation._elementwise import Elementwise, without_infinities
from fnn.layers.activation._gated import gated, gated_slope
from fnn.layers.activation.sigmoids import softplus


@dataclasses.dataclass(frozen=True)
class Mish(Elementwise, name="mish"):
    """The self-regularised rectifier x tanh(softplus x).

    Forward:   y = x t,  t = tanh(softplus x),  softplus x = log(1 + eˣ)
    Backward:  dx = (t + x (1 − t²) sigmoid(x)) dy

    Cache:   ``x``
    Source:  Misra 2020.

    >>> [f"{y:.4f}" for y in Mish()(jnp.array([-1.0, 0.0, 1.0]))]
    ['-0.3034', '0.0000', '0.8651']
    """

    def f(self, x: jax.Array) -> jax.Array:
        return gated(x, _mish_gate)

    def derivative(self, value: jax.Array) -> jax.Array:
        return gated_slope(value, _mish_slope(without_infinities(value)))


def _mish_gate(x: jax.Array) -> jax.Array:
    return jnp.tanh(softplus(x))


def _mish_slope(x: jax.Array) -> jax.Array:
    t = _mish_gate(x)
    return t + x * (1 - t) * (1 + t) * jax.lax.logistic(x)
