"""Activations that act on each entry alone: one derivation, y = f(x) and dx = f'(x) ⊙ dy, serves them all."""

import dataclasses
import math
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jax.scipy.special import erf

from fnn.errors import floating_array
from fnn.layer import Cache, Layer, Params, State


@dataclasses.dataclass(frozen=True)
class Elementwise(Layer, name="elementwise"):
    """The base of elementwise activations: a subclass gives ``f`` and ``derivative``.

    Forward:   y = f(x)
    Backward:  dx = f'(x) ⊙ dy

    Cache:   ``x``, or ``y`` where the slope is a function of the output (which the next layer keeps anyway)
    Shapes:  any → the same, any floating dtype, kept

    An activation can also be called on an array: ``Relu()(x)``.
    """

    cached: ClassVar[Literal["x", "y"]] = "x"

    def f(self, x: jax.Array) -> jax.Array:
        """The function, written so that ``jax.grad`` gives the documented slope on kinks."""
        raise NotImplementedError

    def derivative(self, value: jax.Array) -> jax.Array:
        """f'(x) from the cached value: x, or y if ``cached`` says so."""
        raise NotImplementedError

    def __call__(self, x: Any) -> jax.Array:
        return self.f(floating_array(x))

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        y = self.f(x)
        return y, state, {self.cached: x if self.cached == "x" else y}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return {}, self.derivative(cache[self.cached]) * dy


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

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(x <= 0, 0, x)

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        # A selection, not a product: 0 · inf would be NaN.
        return {}, jnp.where(cache["y"] <= 0, 0, dy)


@dataclasses.dataclass(frozen=True)
class LeakyRelu(Elementwise, name="leaky_relu"):
    """The leaky rectifier with ``slope`` for negative inputs.

    Forward:   y = x where x > 0, else slope · x
    Backward:  dx = dy where x > 0, else slope · dy; the slope at the kink is ``slope``.

    Cache:   ``x``
    Source:  Maas, Hannun and Ng 2013.

    >>> LeakyRelu(0.1)(jnp.array([-1.0, 2.0]))
    Array([-0.1,  2. ], dtype=float32)
    """

    slope: float = 0.01

    def f(self, x: jax.Array) -> jax.Array:
        return jnp.where(x > 0, x, self.slope * x)

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return {}, jnp.where(cache["x"] > 0, dy, self.slope * dy)


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
class Gelu(Elementwise, name="gelu"):
    """The Gaussian error linear unit: exact, or with ``approximate=True`` the tanh form.

    Forward:   y = x Φ(x),  Φ(x) = ½ (1 + erf(x/√2))
    Backward:  dx = (Φ(x) + x φ(x)) dy,  φ(x) = e^(−x²/2) / √(2π)

    Forward, approximate:   y = ½ x (1 + t),  t = tanh u,  u = √(2/π) (x + 0.044715 x³)
    Backward, approximate:  dx = (½ (1 + t) + ½ x (1 − t²) u') dy,  u' = √(2/π) (1 + 0.134145 x²)

    Cache:   ``x``
    Source:  Hendrycks and Gimpel 2016, §2.

    >>> Gelu()(jnp.array([-1.0, 0.0, 1.0]))
    Array([-0.15865526,  0.        ,  0.8413447 ], dtype=float32)
    """

    approximate: bool = False

    def f(self, x: jax.Array) -> jax.Array:
        if self.approximate:
            return 0.5 * x * (1 + jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))

    def derivative(self, value: jax.Array) -> jax.Array:
        x = value
        if self.approximate:
            t = jnp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
            du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
            return 0.5 * (1 + t) + 0.5 * x * (1 - t) * (1 + t) * du
        return 0.5 * (1 + erf(x * math.sqrt(0.5))) + x * jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


@dataclasses.dataclass(frozen=True)
class Swish(Elementwise, name="swish"):
    """The sigmoid-weighted linear unit with a fixed steepness ``beta``.

    Forward:   y = x s,  s = sigmoid(βx)
    Backward:  dx = (s + βx s (1 − s)) dy

    Cache:   ``x``
    Source:  Ramachandran, Zoph and Le 2017, §2.

    >>> Swish(beta=2.0)(jnp.array([1.0]))
    Array([0.880797], dtype=float32)
    """

    beta: float = 1.0

    def f(self, x: jax.Array) -> jax.Array:
        return x * jax.lax.logistic(self.beta * x)

    def derivative(self, value: jax.Array) -> jax.Array:
        s = jax.lax.logistic(self.beta * value)
        return s + self.beta * value * s * (1 - s)


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
