"""Sums without rounding error: a number of twice the digits, stored as a pair.

Floating-point addition rounds: in float32 2²⁴ + 1 is 2²⁴, and 0.1 added a million times is 100,958. So a running sum is
a pair ``high`` + ``low``, where ``low`` collects what rounding takes from ``high``:

    s = fl(a + b)        e = (a − (s − (s − a))) + (b − (s − a))        then s + e = a + b exactly

In float32 integers are exact up to 2⁴⁸, and the mean of any number of terms is right to its last digits. This holds
under ``jit`` (XLA does not reorder floating-point sums), ``vmap`` and ``scan``, and ``jax.grad`` works: the derivative
of s is that of a + b, the derivative of e is 0.

Source: Knuth 1969, §4.2.2 (the sum and its error); Dekker 1971 (the pair).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import is_floating

BLOCK, ROWS = 64, 1024
"""How many terms, and how many rows of a product, are added the usual way: that costs about the last digit."""


class Sum(NamedTuple):
    """A sum ``high + low``: ``high`` is the nearest floating-point number, ``low`` the rest.

    >>> million = Sum.of(jnp.float32(2**24)).plus(Sum.of(jnp.float32(1)))
    >>> int(million.high), int(million.low)
    (16777216, 1)
    """

    high: jax.Array
    low: jax.Array

    @classmethod
    def of(cls, number: Any) -> "Sum":
        """A number, or an array of them, as a sum."""
        number = jnp.asarray(number)
        return cls(number, jnp.zeros_like(number))

    def plus(self, other: "Sum") -> "Sum":
        """The sum of both; if it is not finite, the result of ordinary addition."""
        high, low = two_sum(self.high, other.high)
        return Sum(*two_sum(high, low + (self.low + other.low)))

    def part(self, places: Any) -> "Sum":
        """The sums at these indices of an array of sums."""
        return Sum(self.high[places], self.low[places])


def two_sum(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The floating-point sum and its rounding error (0 if the sum is not finite)."""
    s = a + b
    of_b = s - a
    error = (a - (s - of_b)) + (b - of_b)
    return s, jnp.where(jnp.isfinite(s), error, 0)


def summed(terms: jax.Array) -> Sum:
    """The sum over the first axis, however long; a scalar is its own sum."""
    terms = jnp.atleast_1d(terms)
    if len(terms) <= BLOCK:
        return Sum.of(terms.sum(0))
    total = Sum.of(_in_blocks(terms, BLOCK).sum(1))
    while len(total.high) > 1:
        half = (len(total.high) + 1) // 2
        first, second = total.part(slice(0, half)), total.part(slice(half, None))
        total = first.plus(Sum(_padded(second.high, half), _padded(second.low, half)))
    return total.part(0)


def summed_products(a: jax.Array, b: jax.Array) -> Sum:
    """aᵀ b, the sum over the first axis of both, however long: in blocks, and at full precision on every device."""
    if len(a) <= ROWS:
        return Sum.of(jnp.einsum("nc,nd->cd", a, b, precision="highest"))
    a, b = _in_blocks(a, ROWS), _in_blocks(b, ROWS)
    return summed(jnp.einsum("bnc,bnd->bcd", a, b, precision="highest"))


def added(one: Any, other: Any) -> Any:
    """Two trees of sums added: each ``Sum`` keeps its rounding error, arrays are added the usual way."""
    return jax.tree.map(lambda a, b: a.plus(b) if isinstance(a, Sum) else a + b, one, other, is_leaf=_is_sum)


def running(sums: Any) -> Any:
    """The tree with every floating array as a ``Sum``."""

    def of(leaf: Any) -> Any:
        return leaf if isinstance(leaf, Sum) or not is_floating(leaf) else Sum.of(leaf)

    return jax.tree.map(of, sums, is_leaf=_is_sum)


def whole(sums: Any) -> Any:
    """The tree with every ``Sum`` as the array nearest to it."""
    return jax.tree.map(lambda leaf: leaf.high if isinstance(leaf, Sum) else leaf, sums, is_leaf=_is_sum)


def _is_sum(leaf: Any) -> bool:
    return isinstance(leaf, Sum)


def _in_blocks(terms: jax.Array, size: int) -> jax.Array:
    count = -(-len(terms) // size)
    return _padded(terms, count * size).reshape(count, size, *terms.shape[1:])


def _padded(terms: jax.Array, length: int) -> jax.Array:
    """The terms padded with zeros to this length."""
    return jnp.pad(terms, [(0, length - len(terms)), *[(0, 0)] * (terms.ndim - 1)])
