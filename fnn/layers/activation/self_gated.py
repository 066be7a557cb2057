"""Activations x ⊙ gate(x) whose gate opens smoothly, or in a straight line, from 0 to 1."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import erfc

from fnn.guards.ranges import FINITE, keep_in_range
from fnn.layers.activation._elementwise import Elementwise, without_infinities
from fnn.layers.activation.sigmoids import HardSigmoid, softplus


@dataclasses.dataclass(frozen=True)
class Gelu(Elementwise, name="gelu"):
    """The Gaussian error linear unit: exact, or with ``approximate=True`` the tanh form.

    Forward:   y = x Φ(x),  Φ(x) = ½ erfc(−x/√2)
    Backward:  dx = (Φ(x) + x φ(x)) dy,  φ(x) = e^(−x²/2) / √(2π)

    Forward, approximate:   y = x s,  s = ½ (1 + tanh u) = sigmoid(2u),  u = √(2/π) (x + 0.044715 x³)
    Backward, approximate:  dx = (s + 2x s (1 − s) u') dy,  u' = √(2/π) (1 + 0.134145 x²)

    By erfc and the sigmoid, since 1 + erf and 1 + tanh have no digits left where they are near 0.

    Cache:   ``x``
    Source:  Hendrycks and Gimpel 2016, §2.

    >>> [f"{y:.4f}" for y in Gelu()(jnp.array([-1.0, 0.0, 1.0]))]
    ['-0.1587', '0.0000', '0.8413']
    """

    approximate: bool = False

    def f(self, x: jax.Array) -> jax.Array:
        return gated(x, self._gate)

    def derivative(self, value: jax.Array) -> jax.Array:
        return gated_slope(value, self._slope(without_infinities(value)))

    def _slope(self, x: jax.Array) -> jax.Array:
        gate = self._gate(x)
        if self.approximate:
            du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
            return gate + 2 * x * gate * (1 - gate) * du
        z = x * -math.sqrt(0.5)  # e^(−z²) as in erfc(z), computed once; that costs half a digit of φ where x < −5
        return gate + x * jnp.exp(-(z * z)) * (1 / math.sqrt(2 * math.pi))

    def _gate(self, x: jax.Array) -> jax.Array:
        if self.approximate:
            return jax.lax.logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        return 0.5 * erfc(x * -math.sqrt(0.5))


@dataclasses.dataclass(frozen=True)
class Swish(Elementwise, name="swish"):
    """The sigmoid-weighted linear unit with a fixed steepness ``beta``.

    Forward:   y = x s,  s = sigmoid(βx)
    Backward:  dx = (s + βx s (1 − s)) dy

    Cache:   ``x``
    Errors:  ``TypeError`` or ``ValueError`` for a ``beta`` that is not a finite number.
    Source:  Ramachandran, Zoph and Le 2017, §2.

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

    >>> Silu()(jnp.array([1.0]))
    Array([0.7310586], dtype=float32)
    """

    def f(self, x: jax.Array) -> jax.Array:
        return Swish().f(x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return Swish().derivative(value)


@dataclasses.dataclass(frozen=True)
class HardSwish(Elementwise, name="hard_swish"):
    """Swish with the sigmoid of three straight lines.

    Forward:   y = x g,  g = relu6(x + 3) / 6
    Backward:  dx = (g + x g') dy,  g' = 1/6 where −3 < x < 3, else 0

    At the corners g' is 0, so the slope is the one outside: 0 at −3, 1 at 3.

    Cache:   ``x``
    Source:  Howard et al. 2019 (MobileNetV3), §5.2.

    >>> HardSwish()(jnp.array([-1.5, 1.5, 4.0]))
    Array([-0.375,  1.125,  4.   ], dtype=float32)
    """

    corners = HardSigmoid.corners

    def f(self, x: jax.Array) -> jax.Array:
        return gated(x, HardSigmoid().f)

    def derivative(self, value: jax.Array) -> jax.Array:
        gate = HardSigmoid().f(value)
        return gate + HardSigmoid().gradient(gate, without_infinities(value))


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


def swish(x: jax.Array, beta: Any) -> jax.Array:
    """x sigmoid(βx)."""
    return gated(x, lambda x: jax.lax.logistic(beta * x), beta)


def swish_slopes(x: jax.Array, beta: Any) -> tuple[jax.Array, jax.Array]:
    """The slopes s + βx s (1 − s) with respect to x and x² s (1 − s) with respect to β, s = sigmoid(βx)."""
    finite = without_infinities(x)
    s = jax.lax.logistic(beta * finite)
    rise = finite * s * (1 - s)
    return gated_slope(x, s + beta * rise, beta), finite * rise


def gated(x: jax.Array, gate: Callable[[jax.Array], jax.Array], steepness: Any = 1) -> jax.Array:
    """x ⊙ gate(x) for a gate that shuts where steepness · x is −∞: there y is 0, and 0 · ∞ would be NaN."""
    finite = without_infinities(x)
    return jnp.where(jnp.isinf(x), jnp.where(steepness * x < 0, 0, x), finite * gate(finite))


def gated_slope(x: jax.Array, slope: jax.Array, steepness: Any = 1) -> jax.Array:
    """The slope of ``gated`` from that at the finite numbers: 0 and 1 at ±∞.

    Where the slope asks for the gate of the ``finite`` numbers, as forward does, a compiled step computes it once.
    """
    return jnp.where(jnp.isinf(x), jnp.where(steepness * x < 0, 0, 1), slope)
