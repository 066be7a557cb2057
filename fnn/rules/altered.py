"""Deltas that arrive changed, as in hardware with few bits or noise, or pass a layer that has no useful slope."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import own_backward
from fnn.errors import describe, is_floating, positive
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Cache, Layer, named_key
from fnn.ruled import Replaced


@dataclasses.dataclass(frozen=True)
class QuantizedDelta(Replaced):
    """The delta of a layer rounded to ``bits`` bits, before its own backward pass.

    Backward:  dy' = Δ round(dy / Δ),  Δ = max |dy| / (2^(bits−1) − 1),  then the layer's own at dy'

    With ``stochastic=True`` a number between two steps goes to the upper one with the probability of its distance to
    the lower, so that E[dy'] = dy. The random numbers then come from the key of the call.

    Errors: ``ValueError`` for fewer than 2 bits or more than 24, and if ``stochastic`` without a key.

    >>> dy = jnp.array([1.0, 0.4, -0.1])
    >>> QuantizedDelta(2).changed("", dy, None)
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
        return own_backward(path, layer, cache, _each(lambda leaf: self.changed(path, leaf, key), dy))

    def changed(self, path: str, dy: jax.Array, key: jax.Array | None) -> jax.Array:
        """dy'."""
        step = jnp.max(jnp.abs(dy), initial=0) / (2 ** (self.bits - 1) - 1)
        divisor: Any = jnp.where(step == 0, 1, step)
        scaled = dy / divisor
        if self.stochastic:
            drawn = jax.random.uniform(_key_at(self, path, dy, key), dy.shape, jnp.float32)
            return jnp.floor(scaled + drawn.astype(dy.dtype)) * step
        return jnp.round(scaled) * step


@dataclasses.dataclass(frozen=True)
class NoisyDelta(Replaced):
    """The delta of a layer with normal noise, before its own backward pass.

    Backward:  dy' = dy + scale · √(mean dy²) · n,  n ~ N(0, 1) for every entry,  then the layer's own at dy'

    ``scale`` is the ratio of noise to delta. The noise comes from the key of the call.

    Errors: ``ValueError`` for a negative scale, and without a key.

    >>> NoisyDelta(0.0).changed("", jnp.array([1.0, -2.0]), jax.random.key(0))
    Array([ 1., -2.], dtype=float32)
    """

    scale: float

    def __post_init__(self) -> None:
        keep_in_range(self, scale=AT_LEAST_ZERO)

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        return own_backward(path, layer, cache, _each(lambda leaf: self.changed(path, leaf, key), dy))

    def changed(self, path: str, dy: jax.Array, key: jax.Array | None) -> jax.Array:
        """dy'."""
        noise = jax.random.normal(_key_at(self, path, dy, key), dy.shape, jnp.float32).astype(dy.dtype)
        return dy + self.scale * jnp.sqrt(jnp.mean(jnp.square(dy))) * noise


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


def _each(function: Any, dy: Any) -> Any:
    return jax.tree.map(lambda leaf: function(leaf) if is_floating(leaf) else leaf, dy)


def _key_at(rule: Replaced, path: str, dy: jax.Array, key: jax.Array | None) -> jax.Array:
    """A key of this layer's own. The layers of a ``Repeat`` have one path: their deltas tell them apart."""
    if key is None:
        raise ValueError(f"{rule!r} draws random numbers: give key=")
    bits = lax.bitcast_convert_type(jnp.sum(dy, dtype=jnp.float32), jnp.uint32)
    return jax.random.fold_in(named_key(key, f"delta of {path}"), bits)
