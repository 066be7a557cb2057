"""The Gaussian error linear unit."""

import dataclasses
import math

import jax

from fnn.layers.activation._elementwise import Elementwise, without_infinities
from fnn.layers.activation._gated import gated, gated_slope
from fnn.layers.activation._normal import distribution_and_bell


@dataclasses.dataclass(frozen=True)
class Gelu(Elementwise, name="gelu"):
    """The Gaussian error linear unit: exact, or with ``approximate=True`` the tanh form.

    Forward:   y = x Φ(x),  Φ(x) = ½ erfc(−x/√2)
    Backward:  dx = (Φ(x) + x φ(x)) dy,  φ(x) = e^(−x²/2) / √(2π)

    Forward, approximate:   y = x s,  s = ½ (1 + tanh u) = sigmoid(2u),  u = √(2/π) (x + 0.044715 x³)
    Backward, approximate:  dx = (s + 2x s (1 − s) u') dy,  u' = √(2/π) (1 + 0.134145 x²)

    Φ by erfc or a form as accurate (fnn/layers/activation/_normal.py), s by the sigmoid, since 1 + erf and 1 + tanh
    have no digits left where they are near 0.

    Cache:   ``x``
    Source:  Hendrycks and Gimpel 2016, §2.

    >>> [f"{y:.4f}" for y in Gelu()(jax.numpy.array([-1.0, 0.0, 1.0]))]
    ['-0.1587', '0.0000', '0.8413']
    """

    approximate: bool = False

    def f(self, x: jax.Array) -> jax.Array:
        return gated(x, self._gate)

    def derivative(self, value: jax.Array) -> jax.Array:
        # Without the barrier XLA would keep the gate of forward (and e^(−x²/2)) instead of recomputing it from x.
        value = jax.lax.optimization_barrier(value)
        return gated_slope(value, self._slope(without_infinities(value)))

    def _slope(self, x: jax.Array) -> jax.Array:
        if self.approximate:
            gate = self._gate(x)
            du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
            return gate + 2 * x * gate * (1 - gate) * du
        gate, bell = distribution_and_bell(x)
        return gate + x * bell * (1 / math.sqrt(2 * math.pi))

    def _gate(self, x: jax.Array) -> jax.Array:
        if self.approximate:
            return jax.lax.logistic(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        return distribution_and_bell(x)[0]
