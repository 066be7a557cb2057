"""Rectifiers that bend to a negative limit exponentially: ELU, CELU and SELU."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks, on_corners
from fnn.guards.ranges import AT_LEAST_ZERO, FINITE, Range, keep_in_range
from fnn.layers.activation._elementwise import Elementwise
from fnn.layers.activation.rectifiers import nonpositive


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
