"""Layers applied to the first member of a tuple, while the others pass through."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.backprop import Call, Visit, add_gradients
from fnn.combinators.wrapper import Wrapper
from fnn.layer import Cache
from fnn.sequences.over_time import leads, of_children, passed_lengths


@dataclasses.dataclass(frozen=True)
class First(Wrapper, name="first"):
    """Applies the inner layer to the first member of a tuple and passes the others through unchanged.

    Forward:   (x₀, x₁, …) ↦ (f(x₀), x₁, …),  or with ``whole`` (f(x₀, x₁, …), x₁, …);  an array x ↦ f(x)
    Backward:  (dy₀, dy₁, …) ↦ (J₀ᵀ dy₀, dy₁, …),  with ``whole`` (J₀ᵀ dy₀, dy₁ + J₁ᵀ dy₀, …); None for a mask

    Params, State, Cache: the inner ones unchanged; the layer adds no segment to a path

    So layers of one array work in a model whose data are ``(x, mask)``, and with ``whole`` so do layers that read the
    mask but do not return it.

    Lengths of sequences are not such another member: a layer that declares ``over_time`` gets ``(x, lengths)`` as in
    ``Serial``, so that no padding enters a mean or a statistic.

    >>> from fnn.layers import Relu
    >>> First(Relu()).apply({}, {}, (jnp.array([-1.0, 2.0]), jnp.array([True, False])))[0]
    (Array([0., 2.], dtype=float32), Array([ True, False], dtype=bool))
    """

    _: dataclasses.KW_ONLY
    whole: bool = False

    over_time: ClassVar[Any] = property(of_children)

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        x = jax.tree.map(jnp.asarray, x)
        if leads(self.inner, x):
            return call("", self.inner, x)
        y, cache = call("", self.inner, x if self.whole else first_member(x))
        return with_first_member(x, y), cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        if passed_lengths(self.inner, cache):
            return visit("", self.inner, cache, dy)
        report, dx = visit("", self.inner, cache, first_member(dy))
        if self.whole and isinstance(dy, tuple):
            return report, add_gradients(dx, with_first_member(dy, None))
        return report, with_first_member(dy, dx)


def first_member(x: Any) -> Any:
    """The first member of a tuple, or the array itself."""
    return x[0] if isinstance(x, tuple) else x


def with_first_member(x: Any, first: Any) -> Any:
    """The tuple with its first member replaced; for an array, the new member alone."""
    if not isinstance(x, tuple):
        return first
    fields = getattr(x, "_fields", None)
    return (first, *x[1:]) if fields is None else type(x)(first, *x[1:])
