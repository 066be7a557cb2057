"""Deltas that arrive changed, as in hardware with few bits or noise, or pass a layer that has no useful slope."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import own_backward
from fnn.errors import describe, is_floating, positive
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Cache, Layer, wide_dtype
from fnn.ruled import Replaced


@dataclasses.dataclass(frozen=True)
class QuantizedDelta(Replaced):
    """The delta of a layer rounded to ``bits`` bits, before its own backward pass.

    Backward:  dy' = Δ round(dy / Δ),  Δ = max |dy| / (2^(bits−1) − 1),  then the layer's own at dy'

    With ``stochastic=True`` a number between two steps goes to the upper one with the probability of its distance to
    the lower, so that E[dy'] = dy. The random numbers then come from the key of the call.

    Errors: ``ValueError`` for fewer than 2 bits or more than 24, and if ``stochastic`` without a key.

    >>> dy = jnp.array([1.0, 0.4, -0.1])
    >>> QuantizedDelta(2).changed(dy, None)
    Array([ 1.,  0., -0.], dtype=float32)

    Source: Gupta et al. 2015 (stochastic rounding); Banner et al. 2018 (quantised gradients).
    """

    bits: int
    _: dataclasses.KW_ONLY
    stochastic: bool = False

    def __post_init__(self) -> None:
        positive("bits", self.bits)
        if not 2 <= self.bits <= 24:
            raise ValueError(f"bits lies between 2 (a sign and 0) and 24 (the digits of a float32), got {self.bits}")

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        return own_backward(path, layer, cache, _each(self.changed, dy, key))

    def changed(self, dy: jax.Array, key: jax.Array | None) -> jax.Array:
        """dy'."""
        wide = dy.astype(wide_dtype(dy.dtype))
        step = jnp.max(jnp.abs(wide), initial=0) / (2 ** (self.bits - 1) - 1)
        divisor: Any = jnp.where(step == 0, 1, step)
        scaled = wide / divisor
        if self.stochastic:
            lower = jnp.floor(scaled)
            up = jax.random.uniform(_given(self, key), dy.shape, jnp.float32).astype(wide.dtype) < scaled - lower
            return ((lower + up.astype(lower.dtype)) * step).astype(dy.dtype)
        return (jnp.round(scaled) * step).astype(dy.dtype)


@dataclasses.dataclass(frozen=True)
class NoisyDelta(Replaced):
    """The delta of a layer with normal noise, before its own backward pass.

    Backward:  dy' = dy + scale · √(mean dy²) · n,  n ~ N(0, 1) for every entry,  then the layer's own at dy'

    ``scale`` is the ratio of noise to delta. The noise comes from the key of the call.

    Errors: ``ValueError`` for a negative scale, and without a key.

    >>> NoisyDelta(0.0).changed(jnp.array([1.0, -2.0]), jax.random.key(0))
    Array([ 1., -2.], dtype=float32)
    """

    scale: float

    def __post_init__(self) -> None:
        keep_in_range(self, scale=AT_LEAST_ZERO)

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        return own_backward(path, layer, cache, _each(self.changed, dy, key))

    def changed(self, dy: jax.Array, key: jax.Array | None) -> jax.Array:
        """dy'."""
        wide = dy.astype(wide_dtype(dy.dtype))
        noise = jax.random.normal(_given(self, key), dy.shape, jnp.float32).astype(wide.dtype)
        return (wide + self.scale * jnp.sqrt(jnp.mean(jnp.square(wide))) * noise).astype(dy.dtype)


@dataclasses.dataclass(frozen=True)
class StraightThrough(Replaced):
    """The delta passes a layer as if it were the identity: for layers whose slope is 0 or that have none.

    Backward:  dx = dy;  dparams as ever

    Errors: ``ValueError`` if input and output are not one array of one shape.

    Source: Hinton 2012 (lecture 9c); Bengio, Léonard and Courville 2013, §4.
    """

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        report, dx = own_backward(path, layer, cache, dy)
        if jax.tree.map(jax.typeof, dx) != jax.tree.map(jax.typeof, dy):
            raise ValueError(
                f"StraightThrough passes on a delta as it is, but {layer!r} has an input {describe(dx)} and an output"
                f" {describe(dy)}"
            )
        return report, dy


def _each(function: Any, dy: Any, key: jax.Array | None) -> Any:
    """``function(leaf, key)`` of every floating leaf, with a key of its own each."""
    leaves, treedef = jax.tree.flatten(dy)
    keys = [key] * len(leaves) if key is None or len(leaves) == 1 else list(jax.random.split(key, len(leaves)))
    made = [function(leaf, own) if is_floating(leaf) else leaf for leaf, own in zip(leaves, keys, strict=True)]
    return treedef.unflatten(made)


def _given(rule: Replaced, key: jax.Array | None) -> jax.Array:
    if key is None:
        raise ValueError(f"{rule!r} draws random numbers: give key=")
    return key
