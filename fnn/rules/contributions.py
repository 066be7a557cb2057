"""A parameter's gradient, kept as its factors, so that its norm is known before it is formed.

The gradient of a kernel is a sum of outer products over the rows of a batch, of which a ``Contribution`` keeps the
factors. Each kind answers the same questions:

    array()           the gradient G itself
    square()          ‖G‖²
    along(p)          ⟨G, p⟩ for an array p of the parameter's shape
    rounding()        how large ‖G‖² would be if no rows cancelled, times their number: what rounding is relative to
    summed(c, axis)   Σ c G over the members of a mapped axis (``jax.vmap``), c a scalar of each: a contribution again

A contribution is a pytree; ``Repeat`` stacks its arrays on leading axes, which every kind treats as blocks of one
array. What is computed in place of the gradient has at least float32.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from fnn.rules._in_full import square_in_full
from fnn.rules.outer import Outer
from fnn.rules.slid import Slid
from fnn.rules.whole import Whole


@functools.partial(jax.tree_util.register_dataclass, data_fields=["terms"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Joined:
    """G = Σᵢ Gᵢ: a parameter used in several places.

    ‖G‖² = Σᵢ ‖Gᵢ‖² + 2 Σ_(i<j) ⟨Gᵢ, Gⱼ⟩.
    """

    terms: tuple[Any, ...]

    def array(self) -> jax.Array:
        return functools.reduce(jnp.add, [term.array() for term in self.terms])

    def square(self) -> jax.Array:
        shapes = {term.shape if isinstance(term, Outer) and len(term.shape) == 2 else None for term in self.terms}
        if None in shapes or len(shapes) > 1:
            return square_in_full(self)
        total = functools.reduce(jnp.add, [term.square() for term in self.terms])
        for i, one in enumerate(self.terms):
            for other in self.terms[:i]:
                total = total + 2 * one.cross(other)
        return total

    def along(self, p: jax.Array) -> jax.Array:
        return functools.reduce(jnp.add, [term.along(p) for term in self.terms])

    def rounding(self) -> jax.Array:
        return len(self.terms) * functools.reduce(jnp.add, [term.rounding() for term in self.terms])

    def summed(self, c: jax.Array, axis: str) -> "Joined":
        return Joined(tuple(term.summed(c, axis) for term in self.terms))

    def transposed(self) -> "Joined":
        return Joined(tuple(term.transposed() for term in self.terms))


Contribution = Whole | Outer | Slid | Joined


def is_contribution(node: Any) -> bool:
    """Whether a node of a tree of reports is a contribution."""
    return isinstance(node, Contribution)
