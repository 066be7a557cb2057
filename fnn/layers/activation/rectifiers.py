"""Rectifiers: x above 0 (its square, or up to 6), nothing or a small multiple of x below."""

import dataclasses

import jax
import jax.numpy as jnp

from fnn.guards.ranges import FINITE, keep_in_range
from fnn.layers.activation._elementwise import Elementwise


@dataclasses.dataclass(frozen=True)
class Relu(Elementwise, name="relu"):
    """The rectifier.

    Forward:   y = x where x > 0, else 0
    Backward:  dx = dy where x > 0, else 0; the slope at the kink is 0. NaN passes through.

    Cache:   ``y``
    Source:  Nair and Hinton 2010.

    >>> Relu()(jnp.array([-1.0, 0.0, 2.0]))
    Array([0., 0., 2.], dtype=float32)
    """

    cached = "y"
    corners = (0,)

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(x <= 0, 0, x)

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        return jnp.where(value <= 0, 0, dy)


@dataclasses.dataclass(frozen=True)
class LeakyRelu(Elementwise, name="leaky_relu"):
    """The leaky rectifier with ``slope`` for negative inputs.

    Forward:   y = x where x > 0, else slope · x
    Backward:  dx = dy where x > 0, else slope · dy; the slope at the kink is ``slope``.

    Cache:   ``x``
    Errors:  ``TypeError`` or ``ValueError`` for a ``slope`` that is not a finite number.
    Source:  Maas, Hannun and Ng 2013.

    >>> LeakyRelu(0.1)(jnp.array([-1.0, 2.0]))
    Array([-0.1,  2. ], dtype=float32)
    """

    slope: float = 0.01

    corners = (0,)

    def __post_init__(self) -> None:
        keep_in_range(self, slope=FINITE)

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, x, self.slope * x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return jnp.where(value > 0, 1, self.slope)


@dataclasses.dataclass(frozen=True)
class Relu6(Elementwise, name="relu6"):
    """The rectifier that saturates at 6.

    Forward:   y = 0 where x ≤ 0, 6 where x ≥ 6, else x
    Backward:  dx = dy where 0 < x < 6, else 0; the slope at both corners is 0.

    Cache:   ``y``
    Source:  Krizhevsky 2010.

    >>> Relu6()(jnp.array([-1.0, 2.0, 7.0]))
    Array([0., 2., 6.], dtype=float32)
    """

    cached = "y"
    corners = (0, 6)

    def f(self, x: jax.Array) -> jax.Array:
        return clip(x, 0, 6)

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        return clip_gradient(value, 0, 6, dy)


@dataclasses.dataclass(frozen=True)
class SquaredRelu(Elementwise, name="squared_relu"):
    """The square of the rectifier.

    Forward:   y = x² where x > 0, else 0
    Backward:  dx = 2x dy where x > 0, else 0

    Cache:   ``x`` (the root of y would be 0 where x² underflows)
    Source:  So et al. 2021 (Primer), §3.1.

    >>> SquaredRelu()(jnp.array([-1.0, 3.0]))
    Array([0., 9.], dtype=float32)
    """

    def f(self, x: jax.Array) -> jax.Array:
        rectified = jnp.where(x <= 0, 0, x)
        return rectified * rectified

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        return jnp.where(value <= 0, 0, 2 * value * dy)


def clip(x: jax.Array, low: float, high: float) -> jax.Array:
    """x cut to [low, high]; the slope is 0 at both corners, and NaN stays."""
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))


def clip_gradient(y: jax.Array, low: float, high: float, dy: jax.Array) -> jax.Array:
    """dx of ``clip`` from its output."""
    return jnp.where((y <= low) | (y >= high), 0, dy)


def nonpositive(x: jax.Array) -> jax.Array:
    """x where it is not above 0, else 0: a branch that is not taken must be finite, or its gradient is 0 · ∞."""
    return jnp.where(x > 0, 0, x)
