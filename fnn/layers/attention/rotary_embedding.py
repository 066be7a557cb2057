"""Positions as angles: for the sinusoidal and the rotary embedding."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import floating_array
from fnn.layer import Cache, Layer, Params, State, wide_dtype
from fnn.layers.attention._position import first_position, next_position, one_step
from fnn.sequences.stepwise import as_sequence, as_step


def angles(positions: jax.Array, features: int, dtype: Any, base: float = 10000.0) -> jax.Array:
    """φ[t, i] = positions[t] · base^(−2i/features) for i < features/2, modulo 2π; in at least float32.

    A float32 product would have a relative error of 1e-7, 0.006 at position 1e5. Positions are integers, so φ is
    computed in units of 2⁻³² turns instead, where 32-bit integers wrap as angles do; the fractional part of a frequency
    times the position is rounded to whole units and added. What remains is the rounding of an angle in [−π, π].
    """
    frequencies = base ** (-2 * np.arange(math.ceil(features / 2)) / features)
    dtype = jnp.dtype(wide_dtype(dtype))
    if dtype.itemsize == 8:
        return positions.astype(dtype)[:, None] * jnp.asarray(frequencies, dtype)[None]
    units = frequencies * (2**32 / (2 * math.pi))
    whole, rest = jnp.asarray(np.floor(units), jnp.uint32)[None], jnp.asarray(units % 1, dtype)[None]
    fine = jnp.round(positions.astype(dtype)[:, None] * rest).astype(jnp.uint32)
    phase = positions.astype(jnp.uint32)[:, None] * whole + fine
    return lax.bitcast_convert_type(phase, jnp.int32).astype(dtype) * jnp.asarray(2 * math.pi / 2**32, dtype)


def rotated(x: jax.Array, positions: jax.Array, direction: int = 1) -> jax.Array:
    """x (…, T, heads, d) with entries i and i + d/2 rotated by φ[t, i], or by −φ[t, i] with ``direction=-1``."""
    phi = angles(positions, x.shape[-1], x.dtype)
    phi = phi.reshape((1,) * (x.ndim - 3) + (phi.shape[0], 1, phi.shape[1]))
    cosine, sine = jnp.cos(phi), direction * jnp.sin(phi)
    one, other = jnp.split(x.astype(phi.dtype), 2, axis=-1)
    return lax.concatenate([one * cosine - other * sine, other * cosine + one * sine], x.ndim - 1).astype(x.dtype)


def check_even(features: int) -> None:
    """Raises if the number of features of a head is odd."""
    if features % 2:
        raise ValueError(f"rotary positions rotate pairs of features: expected an even number per head, got {features}")


@dataclasses.dataclass(frozen=True)
class RotaryEmbedding(Layer, name="rotary_embedding"):
    """Rotates pairs of features by an angle proportional to the position.

    Forward:   y₁ = x₁ cos φ − x₂ sin φ,  y₂ = x₂ cos φ + x₁ sin φ,  φ[t, i] = t · 10000^(−2i/d),
               x₁ and x₂ the halves of the last axis (entry i goes with entry i + d/2)
    Backward:  the rotation by −φ, its transpose

    The product of a rotated query at t and a rotated key at s depends on t and s only through t − s.

    Params, State, Cache: none
    Shapes:  (N, T, heads, d) → the same, d even, any floating dtype, kept; computed in at least float32, with angles
             accurate to float32 rounding at any position

    Errors: ``ValueError`` for an odd d or an input that is not (N, T, heads, d).

    >>> y, _ = RotaryEmbedding().apply({}, {}, jnp.ones((1, 2, 1, 2)))
    >>> np.asarray(y)[0, :, 0].tolist()  # rotated by 0 and by 1: cos 1 − sin 1, cos 1 + sin 1
    [[1.0, 1.0], [-0.301..., 1.381...]]

    Source: Su et al. 2021, eq. 34, which pairs neighbours instead of halves.
    """

    over_time = "each step"

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        if x.ndim != 4:
            raise ValueError(f"expected an input (N, T, heads, d), got the shape {x.shape}")
        check_even(x.shape[-1])
        return rotated(x, jnp.arange(x.shape[1])), state, {}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return {}, rotated(dy, jnp.arange(dy.shape[1]), -1)

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> dict:
        return first_position()

    def step(self, params: Params, carry: dict, x: Any, *, state: State | None = None) -> tuple[jax.Array, dict]:
        x = one_step(x, 3, "(N, heads, d)")
        check_even(x.shape[-1])
        return as_step(rotated(as_sequence(x), carry["position"].reshape(1))), next_position(carry)
