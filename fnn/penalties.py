"""Penalties on parameters, chosen by path."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.guards.signatures import check_methods
from fnn.guards.spelling import check_spelling
from fnn.layer import Cache, Params, wide_dtype
from fnn.losses.regression import magnitude
from fnn.paths import map_named, named_leaves, select


class Penalty:
    """The base of penalties: a subclass is a frozen dataclass with ``paths`` that defines ``value`` and ``slope``.

    Forward:   value = Σ over the selected arrays W of value(W)
    Backward:  dW = dvalue · slope(W) for the selected arrays, 0 for the others

    Cache:   ``params``, unchanged
    """

    paths: str | tuple[str, ...]
    """The globs of the penalised parameters: a field, after the strengths."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "a penalty")
        check_methods(cls, value=("w",), slope=("w",), kinks_at=("w",))
        check_methods(cls, forward=("params",), backward=("cache", "dvalue"))

    def value(self, w: jax.Array) -> jax.Array:
        """The penalty of one array."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def slope(self, w: jax.Array) -> jax.Array:
        """Its gradient."""
        raise NotImplementedError(f"{type(self).__name__} does not define slope")

    def kinks_at(self, w: np.ndarray) -> Kinks | None:
        """How many parameters stand on a kink, ``(count, total, words)``; ``None`` if the penalty has none."""
        return None

    def __call__(self, params: Params) -> jax.Array:
        leaves = {path: jnp.asarray(leaf) for path, leaf in named_leaves(params).items()}
        values = [
            self.value(leaves[path].astype(wide_dtype(leaves[path].dtype))) for path in select(self.paths, leaves)
        ]
        return functools.reduce(jnp.add, values)

    def forward(self, params: Params) -> tuple[jax.Array, Cache]:
        """The value, and the cache for ``backward``."""
        return self(params), {"params": params}

    def backward(self, cache: Cache, dvalue: Any = 1.0) -> Params:
        """The gradient, with the structure, shapes and dtypes of the parameters."""
        params = cache["params"]
        selected = set(select(self.paths, named_leaves(params)))

        def gradient(path: str, w: jax.Array) -> jax.Array:
            return jnp.asarray(dvalue, w.dtype) * self.slope(w) if path in selected else jnp.zeros_like(w)

        return map_named(gradient, params)


@dataclasses.dataclass(frozen=True)
class L1(Penalty):
    """λ Σ|w|, which drives weights to exactly zero.

    Forward:   value = λ Σ |w|
    Backward:  dw = λ sign(w) dvalue, with sign(0) = 0

    Errors: ``ValueError`` for a negative strength, and for a glob that selects nothing.

    >>> L1(0.1)({"kernel": jnp.array([-2.0, 3.0]), "bias": jnp.ones(2)})
    Array(0.5, dtype=float32)

    Source: Tibshirani 1996.
    """

    strength: float
    paths: str | tuple[str, ...] = "*/kernel"

    def __post_init__(self) -> None:
        keep_in_range(self, strength=AT_LEAST_ZERO)

    def value(self, w: jax.Array) -> jax.Array:
        return jnp.asarray(self.strength, w.dtype) * magnitude(w).sum()

    def slope(self, w: jax.Array) -> jax.Array:
        return jnp.asarray(self.strength, w.dtype) * jnp.sign(w)

    def kinks_at(self, w: np.ndarray) -> Kinks:
        return Kinks(int((w == 0).sum()), w.size, "parameters are exactly 0")


@dataclasses.dataclass(frozen=True)
class L2(Penalty):
    """½ λ Σw², whose gradient is λ w.

    Forward:   value = ½ λ Σ w²
    Backward:  dw = λ w dvalue

    Under plain gradient descent this equals decoupled weight decay of λ times the rate; under Adam it does not.

    Errors: ``ValueError`` for a negative strength, and for a glob that selects nothing.

    >>> L2(0.1)({"kernel": jnp.array([-2.0, 4.0]), "bias": jnp.ones(2)})
    Array(1., dtype=float32)

    Source: Hoerl and Kennard 1970.
    """

    strength: float
    paths: str | tuple[str, ...] = "*/kernel"

    def __post_init__(self) -> None:
        keep_in_range(self, strength=AT_LEAST_ZERO)

    def value(self, w: jax.Array) -> jax.Array:
        return jnp.asarray(0.5 * self.strength, w.dtype) * jnp.vdot(w, w)

    def slope(self, w: jax.Array) -> jax.Array:
        return jnp.asarray(self.strength, w.dtype) * w


@dataclasses.dataclass(frozen=True)
class ElasticNet(Penalty):
    """L1 and L2: λ₁ Σ|w| + ½ λ₂ Σw², which drives weights to zero and gives similar inputs similar weights.

    Forward:   value = λ₁ Σ |w| + ½ λ₂ Σ w²
    Backward:  dw = (λ₁ sign(w) + λ₂ w) dvalue, with sign(0) = 0

    Errors: ``ValueError`` for a negative strength, and for a glob that selects nothing.

    >>> ElasticNet(0.5, 1.0)({"kernel": jnp.array([-2.0, 3.0]), "bias": jnp.ones(2)})
    Array(9., dtype=float32)

    Source: Zou and Hastie 2005.
    """

    l1: float
    l2: float
    paths: str | tuple[str, ...] = "*/kernel"

    def __post_init__(self) -> None:
        keep_in_range(self, l1=AT_LEAST_ZERO, l2=AT_LEAST_ZERO)

    def value(self, w: jax.Array) -> jax.Array:
        return L1(self.l1).value(w) + L2(self.l2).value(w)

    def slope(self, w: jax.Array) -> jax.Array:
        return L1(self.l1).slope(w) + L2(self.l2).slope(w)

    def kinks_at(self, w: np.ndarray) -> Kinks:
        return L1(self.l1).kinks_at(w)
