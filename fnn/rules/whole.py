"""A parameter's gradient in full, for one example."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jax import lax

from fnn.rules._sums import inner, scaled, square_of, wide


@functools.partial(jax.tree_util.register_dataclass, data_fields=["value"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Whole:
    """G itself, of parameters no larger than the activations: biases, scales, and what is not known to be a product."""

    value: jax.Array

    def array(self) -> jax.Array:
        return self.value

    def square(self) -> jax.Array:
        return square_of(self.value)

    def along(self, p: jax.Array) -> jax.Array:
        return inner(self.value, p)

    def rounding(self) -> jax.Array:
        return jnp.zeros((), wide(self.value))  # G is at hand: what is added up is what was measured

    def summed(self, c: jax.Array, axis: str) -> "Whole":
        return Whole(lax.psum(scaled(self.value, c), axis))

    def transposed(self) -> "Whole":
        return Whole(jnp.swapaxes(self.value, -1, -2))
