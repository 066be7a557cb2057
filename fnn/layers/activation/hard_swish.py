"""Swish with a gate of straight lines."""

import dataclasses

import jax

from fnn.layers.activation._elementwise import Elementwise, without_infinities
from fnn.layers.activation._gated import gated
from fnn.layers.activation.sigmoids import HardSigmoid


@dataclasses.dataclass(frozen=True)
class HardSwish(Elementwise, name="hard_swish"):
    """Swish with the sigmoid of three straight lines.

    Forward:   y = x g,  g = relu6(x + 3) / 6
    Backward:  dx = (g + x g') dy,  g' = 1/6 where −3 < x < 3, else 0

    At the corners g' is 0, so the slope is the one outside: 0 at −3, 1 at 3.

    Cache:   ``x``
    Source:  Howard et al. 2019 (MobileNetV3), §5.2.

    >>> import jax.numpy as jnp
    >>> HardSwish()(jnp.array([-1.5, 1.5, 4.0]))
    Array([-0.375,  1.125,  4.   ], dtype=float32)
    """

    corners = HardSigmoid.corners

    def f(self, x: jax.Array) -> jax.Array:
        return gated(x, HardSigmoid().f)

    def derivative(self, value: jax.Array) -> jax.Array:
        gate = HardSigmoid().f(value)
        return gate + HardSigmoid().gradient(gate, without_infinities(value))
