"""Initialisers: frozen dataclasses ``init(key, shape, dtype) -> array`` that delegate to ``jax.nn.initializers``.

A closure from there never equals a second one made the same way, so a rebuilt model would recompile; and it prints as
an address. The fans of a kernel are its last two axes, (in, out), times the product of the axes before them.

Source: Glorot and Bengio 2010 (eq. 16); He et al. 2015 (eq. 10); LeCun et al. 1998 §4.6; Saxe et al. 2014 (orthogonal).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.nn import initializers as jax_initializers

from fnn.layer import wide_dtype

Initializer = Callable[[jax.Array, tuple[int, ...], Any], jax.Array]


@dataclasses.dataclass(frozen=True)
class Zeros:
    """Every entry 0."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.zeros(shape, dtype)


@dataclasses.dataclass(frozen=True)
class Ones:
    """Every entry 1."""

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.ones(shape, dtype)


@dataclasses.dataclass(frozen=True)
class Constant:
    """Every entry ``value``."""

    value: float

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jnp.full(shape, self.value, dtype)


@dataclasses.dataclass(frozen=True)
class Normal:
    """Entries from N(0, stddev²)."""

    stddev: float = 0.01

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jax_initializers.normal(self.stddev)(required(key), shape, dtype)


@dataclasses.dataclass(frozen=True)
class TruncatedNormal:
    """Entries from N(0, stddev²) truncated at ± 2 stddev, not rescaled: their standard deviation is 0.88 stddev."""

    stddev: float = 0.01

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jax_initializers.truncated_normal(self.stddev)(required(key), shape, dtype)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Entries from U(−scale, scale)."""

    scale: float = 0.01

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jax.random.uniform(required(key), shape, dtype, -self.scale, self.scale)


@dataclasses.dataclass(frozen=True)
class VarianceScaling:
    """Entries of variance scale / fan, where fan is fan_in, fan_out or their mean."""

    scale: float = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["normal", "truncated_normal", "uniform"] = "normal"
    in_axis: int = -2
    out_axis: int = -1

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        make = jax_initializers.variance_scaling(
            self.scale, self.mode, self.distribution, in_axis=self.in_axis, out_axis=self.out_axis
        )
        return make(required(key), shape, dtype)


@dataclasses.dataclass(frozen=True)
class GlorotNormal(VarianceScaling):
    """Variance 2 / (fan_in + fan_out), truncated normal."""

    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_avg"
    distribution: Literal["normal", "truncated_normal", "uniform"] = "truncated_normal"


@dataclasses.dataclass(frozen=True)
class GlorotUniform(VarianceScaling):
    """Variance 2 / (fan_in + fan_out), uniform."""

    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_avg"
    distribution: Literal["normal", "truncated_normal", "uniform"] = "uniform"


@dataclasses.dataclass(frozen=True)
class HeNormal(VarianceScaling):
    """Variance 2 / fan_in, truncated normal: preserves the variance of activations through ReLU."""

    scale: float = 2.0
    distribution: Literal["normal", "truncated_normal", "uniform"] = "truncated_normal"


@dataclasses.dataclass(frozen=True)
class HeUniform(VarianceScaling):
    """Variance 2 / fan_in, uniform."""

    scale: float = 2.0
    distribution: Literal["normal", "truncated_normal", "uniform"] = "uniform"


@dataclasses.dataclass(frozen=True)
class LecunNormal(VarianceScaling):
    """Variance 1 / fan_in, truncated normal: the default of dense and convolutional kernels."""

    distribution: Literal["normal", "truncated_normal", "uniform"] = "truncated_normal"


@dataclasses.dataclass(frozen=True)
class LecunUniform(VarianceScaling):
    """Variance 1 / fan_in, uniform."""

    distribution: Literal["normal", "truncated_normal", "uniform"] = "uniform"


@dataclasses.dataclass(frozen=True)
class Orthogonal:
    """A uniformly random matrix with orthonormal rows or columns, times ``scale``."""

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        # JAX has the QR decomposition in float32 and float64 only.
        return jax_initializers.orthogonal(self.scale)(required(key), shape, wide_dtype(dtype)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Identity:
    """``scale`` on the diagonal of the last two axes, 0 elsewhere."""

    scale: float = 1.0

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"an identity needs at least two axes, got the shape {shape}")
        return jnp.broadcast_to(self.scale * jnp.eye(*shape[-2:], dtype=dtype), shape)


def required(key: Any) -> jax.Array:
    """Returns the key, or raises if there is none."""
    if key is None:
        raise TypeError("initial weights are random, so init takes a key, got None; write jax.random.key(0)")
    return key
