"""Activations that bend at 0: x or a multiple of it above, little or nothing below."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, on_corners
from fnn.guards.ranges import AT_LEAST_ZERO, FINITE, Range, keep_in_range
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


@dataclasses.dataclass(frozen=True)
class Elu(Elementwise, name="elu"):
    """The exponential linear unit, which tends to −``alpha`` on the left.

    Forward:   y = x where x > 0, else α (eˣ − 1)
    Backward:  dx = dy where x > 0, else (y + α) dy,  for y + α = α eˣ; the slope at 0 is α.

    Cache:   ``y`` (its rounding leaves the slope an error of α ε/2 at most, ε that of the dtype)
    Errors:  ``ValueError`` for an ``alpha`` that is not finite or below 0, where y would lose the sign of x.
    Source:  Clevert, Unterthiner and Hochreiter 2016, eq. 17 and 18.

    >>> [f"{y:.4f}" for y in Elu()(jnp.array([-1.0, 0.0, 2.0]))]
    ['-0.6321', '0.0000', '2.0000']
    """

    alpha: float = 1.0

    cached = "y"

    def __post_init__(self) -> None:
        keep_in_range(self, alpha=FINITE)
        keep_in_range(self, alpha=AT_LEAST_ZERO)

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, x, self.alpha * jnp.expm1(nonpositive(x)))

    def derivative(self, value: jax.Array) -> jax.Array:
        return jnp.where(value > 0, 1, value + self.alpha)

    def kinks_at(self, x: np.ndarray) -> Kinks | None:
        return on_corners(x, 0) if self.alpha != 1 else None


DIVISOR = Range("not 0; the limit at 0 is Relu()", lambda value: value != 0, verb="divides and is")


@dataclasses.dataclass(frozen=True)
class Celu(Elementwise, name="celu"):
    """The exponential linear unit whose slope is continuous for every ``alpha``.

    Forward:   y = x where x > 0, else α (e^(x/α) − 1)
    Backward:  dx = dy where x > 0, else (1 + y/α) dy,  for 1 + y/α = e^(x/α)

    Cache:   ``y`` (its rounding leaves the slope an error of ε/2 at most, ε that of the dtype)
    Errors:  ``ValueError`` for an ``alpha`` that is 0 or not finite. One below 0 is no mistake but grows exponentially.
    Source:  Barron 2017, eq. 2.

    >>> [f"{y:.4f}" for y in Celu(2.0)(jnp.array([-1.0, 0.0, 2.0]))]
    ['-0.7869', '0.0000', '2.0000']
    """

    alpha: float = 1.0

    cached = "y"

    def __post_init__(self) -> None:
        keep_in_range(self, alpha=FINITE)
        keep_in_range(self, alpha=DIVISOR)

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, x, self.alpha * jnp.expm1(nonpositive(x) / self.alpha))

    def derivative(self, value: jax.Array) -> jax.Array:
        return jnp.where(value > 0, 1, 1 + value / self.alpha)


SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@dataclasses.dataclass(frozen=True)
class Selu(Elementwise, name="selu"):
    """The scaled exponential linear unit: mean 0 and variance 1 are a fixed point under LeCun-normal kernels.

    Forward:   y = λ x where x > 0, else λ α (eˣ − 1);  α = 1.6732632423543772…, λ = 1.0507009873554804…
    Backward:  dx = λ dy where x > 0, else (y + λα) dy,  for y + λα = λα eˣ; the slope at 0 is λα.

    Cache:   ``y`` (its rounding leaves the slope an error of λα ε/2 at most, ε that of the dtype)
    Source:  Klambauer et al. 2017, eq. 2 and 14.

    >>> [f"{y:.4f}" for y in Selu()(jnp.array([-1.0, 0.0, 1.0]))]
    ['-1.1113', '0.0000', '1.0507']
    """

    cached = "y"
    corners = (0,)

    def f(self, x: jax.Array) -> jax.Array:
        return SELU_SCALE * Elu(SELU_ALPHA).f(x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return jnp.where(value > 0, SELU_SCALE, value + SELU_SCALE * SELU_ALPHA)


def clip(x: jax.Array, low: float, high: float) -> jax.Array:
    """x cut to [low, high]; the slope is 0 at both corners, and NaN stays."""
    return jnp.where(x <= low, low, jnp.where(x >= high, high, x))


def clip_gradient(y: jax.Array, low: float, high: float, dy: jax.Array) -> jax.Array:
    """dx of ``clip`` from its output."""
    return jnp.where((y <= low) | (y >= high), 0, dy)


def nonpositive(x: jax.Array) -> jax.Array:
    """x where it is not above 0, else 0: a branch that is not taken must be finite, or its gradient is 0 · ∞."""
    return jnp.where(x > 0, 0, x)
