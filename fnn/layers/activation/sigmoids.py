"""Activations that saturate on one side or both: sigmoids, their straight-line and logarithmic kin, and the step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import floating_array
from fnn.layer import Cache, Params, State
from fnn.layers.activation._elementwise import Elementwise, without_infinities
from fnn.layers.activation.rectifiers import clip, clip_gradient


@dataclasses.dataclass(frozen=True)
class Sigmoid(Elementwise, name="sigmoid"):
    """The logistic function.

    Forward:   y = 1 / (1 + e⁻ˣ)
    Backward:  dx = y (1 − y) dy

    Cache:   ``y``

    >>> Sigmoid()(jnp.zeros(2))
    Array([0.5, 0.5], dtype=float32)
    """

    cached = "y"

    def f(self, x: jax.Array) -> jax.Array:
        return jax.lax.logistic(x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return value * (1 - value)


@dataclasses.dataclass(frozen=True)
class LogSigmoid(Elementwise, name="log_sigmoid"):
    """The logarithm of the logistic function, without its underflow.

    Forward:   y = −softplus(−x) = −log(1 + e⁻ˣ)
    Backward:  dx = (1 − e^y) dy,  for 1 − e^y = 1 − sigmoid(x)

    Cache:   ``y``, of which ``expm1`` keeps every digit of the slope

    >>> [f"{y:.4f}" for y in LogSigmoid()(jnp.array([-1e4, 0.0]))]
    ['-10000.0000', '-0.6931']
    """

    cached = "y"

    def f(self, x: jax.Array) -> jax.Array:
        return -softplus(-x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return -jnp.expm1(value)


@dataclasses.dataclass(frozen=True)
class HardSigmoid(Elementwise, name="hard_sigmoid"):
    """The sigmoid of three straight lines.

    Forward:   y = relu6(x + 3) / 6
    Backward:  dx = dy / 6 where −3 < x < 3, else 0; the slope at both corners is 0.

    Cache:   ``y``
    Source:  Howard et al. 2019 (MobileNetV3), §5.2.

    >>> HardSigmoid()(jnp.array([-4.0, 0.0, 1.5]))
    Array([0.  , 0.5 , 0.75], dtype=float32)
    """

    cached = "y"
    corners = (-3, 3)

    def f(self, x: jax.Array) -> jax.Array:
        return clip(x + 3, 0, 6) / 6

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        return clip_gradient(value, 0, 1, dy / 6)


@dataclasses.dataclass(frozen=True)
class Tanh(Elementwise, name="tanh"):
    """The hyperbolic tangent.

    Forward:   y = tanh x
    Backward:  dx = (1 − y)(1 + y) dy

    Cache:   ``y``

    >>> Tanh()(jnp.zeros(2))
    Array([0., 0.], dtype=float32)
    """

    cached = "y"

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(x)

    def derivative(self, value: jax.Array) -> jax.Array:
        # 1 − y² loses half its digits where y is near 1.
        return (1 - value) * (1 + value)


@dataclasses.dataclass(frozen=True)
class HardTanh(Elementwise, name="hard_tanh"):
    """The identity cut to [−1, 1].

    Forward:   y = −1 where x ≤ −1, 1 where x ≥ 1, else x
    Backward:  dx = dy where −1 < x < 1, else 0; the slope at both corners is 0.

    Cache:   ``y``
    Source:  Collobert 2004.

    >>> HardTanh()(jnp.array([-2.0, 0.5, 2.0]))
    Array([-1. ,  0.5,  1. ], dtype=float32)
    """

    cached = "y"
    corners = (-1, 1)

    def f(self, x: jax.Array) -> jax.Array:
        return clip(x, -1, 1)

    def gradient(self, value: jax.Array, dy: jax.Array) -> jax.Array:
        return clip_gradient(value, -1, 1, dy)


@dataclasses.dataclass(frozen=True)
class Softplus(Elementwise, name="softplus"):
    """The smooth rectifier log(1 + eˣ).

    Forward:   y = max(x, 0) + log(1 + e^(−|x|)) = log(1 + eˣ)
    Backward:  dx = (1 − e^(−y)) dy,  for 1 − e^(−y) = sigmoid(x)

    Cache:   ``y``, of which ``expm1`` keeps every digit of the slope
    Source:  Dugas et al. 2001.

    >>> [f"{y:.4f}" for y in Softplus()(jnp.array([-1e4, 0.0, 1e4]))]
    ['0.0000', '0.6931', '10000.0000']
    """

    cached = "y"

    def f(self, x: jax.Array) -> jax.Array:
        return softplus(x)

    def derivative(self, value: jax.Array) -> jax.Array:
        return -jnp.expm1(-value)


@dataclasses.dataclass(frozen=True)
class Softsign(Elementwise, name="softsign"):
    """The sigmoid with tails that fall as 1/x.

    Forward:   y = x / (1 + |x|), ±1 at ±∞
    Backward:  dx = dy / (1 + |x|)²

    Cache:   ``x`` (1 − |y| would have no digits left where y is near 1)
    Source:  Bergstra et al. 2009.

    >>> Softsign()(jnp.array([-1.0, 0.0, 3.0]))
    Array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """

    def f(self, x: jax.Array) -> jax.Array:
        finite = without_infinities(x)
        return jnp.where(jnp.isinf(x), jnp.sign(x), finite / (1 + abs(finite)))

    def derivative(self, value: jax.Array) -> jax.Array:
        inverse = 1 / (1 + abs(value))
        return inverse * inverse


@dataclasses.dataclass(frozen=True)
class Step(Elementwise, name="step"):
    """The step of the perceptron, without a useful slope or, with ``straight_through=True``, with that of the identity.

    Forward:   y = 1 where x > 0, else 0; NaN stays
    Backward:  dx = 0, or dx = dy with ``straight_through=True``

    Cache:   nothing

    ``jax.grad`` through the straight-through step gives the same, save 0 at ±∞.

    Errors:  ``TypeError`` for a ``straight_through`` that is no bool.
    Source:  Rosenblatt 1958; Bengio, Léonard and Courville 2013, §4 (straight-through).

    >>> Step()(jnp.array([-1.0, 0.0, 2.0]))
    Array([0., 0., 1.], dtype=float32)
    """

    straight_through: bool = False

    corners = (0,)

    def __post_init__(self) -> None:
        if not isinstance(self.straight_through, bool):
            raise TypeError(f"straight_through is True or False, got {self.straight_through!r}")

    def f(self, x: jax.Array) -> jax.Array:
        step = jax.lax.stop_gradient(jnp.where(x > 0, 1, jnp.where(x <= 0, 0, x)))
        if not self.straight_through:
            return step
        # 0 with the slope 1. Added to x instead, step − x would be rounded, and the sum be neither 0 nor 1.
        finite = without_infinities(x)
        return step + (finite - jax.lax.stop_gradient(finite))

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        return self(floating_array(x)), state, {}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return {}, dy if self.straight_through else jnp.zeros_like(dy)


def softplus(x: jax.Array) -> jax.Array:
    """log(1 + eˣ) without overflow or lost digits; the slope of ``jax.grad`` at 0 is ½, and 0 and 1 at ∓∞."""
    magnitude = jnp.where(x < 0, -x, x)
    return jnp.where(x < 0, 0, x) + jnp.log1p(jnp.exp(-magnitude))
