"""Initialisers: frozen dataclasses ``init(key, shape, dtype) -> array`` that delegate to ``jax.nn.initializers``.

A closure from there never equals a second one made the same way, so a rebuilt model would recompile; and it prints as
an address. The fans of a kernel are its last two axes, (in, out), times the product of the axes before them.

Source: Glorot and Bengio 2010 (eq. 16); He et al. 2015 (eq. 10); LeCun et al. 1998 §4.6; Saxe et al. 2014 (orthogonal).
"""

import dataclasses
import math
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
        return _in_a_row(jax_initializers.normal(self.stddev), key, shape, dtype)


@dataclasses.dataclass(frozen=True)
class TruncatedNormal:
    """Entries from N(0, stddev²) truncated at ± 2 stddev, not rescaled: their standard deviation is 0.88 stddev."""

    stddev: float = 0.01

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return _in_a_row(jax_initializers.truncated_normal(self.stddev), key, shape, dtype)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Entries from U(−scale, scale)."""

    scale: float = 0.01

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        return jax.random.uniform(required(key), (math.prod(shape),), dtype, -self.scale, self.scale).reshape(shape)


@dataclasses.dataclass(frozen=True)
class VarianceScaling:
    """Entries of variance scale / fan, where fan is fan_in, fan_out or their mean.

    Errors: ``ValueError`` for a shape of fewer than two axes, and for an unknown mode or distribution.
    """

    scale: float = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["normal", "truncated_normal", "uniform"] = "normal"
    in_axis: int = -2
    out_axis: int = -1

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        if len(shape) < 2:
            raise ValueError(f"a kernel with an input and an output has at least two axes, got the shape {shape}")
        fans = {"fan_in": self.in_axis, "fan_out": self.out_axis}
        around = math.prod(shape) / max(shape[self.in_axis] * shape[self.out_axis], 1)
        sizes = {name: around * shape[axis] for name, axis in fans.items()}
        sizes["fan_avg"] = sum(sizes.values()) / 2
        if self.mode not in sizes:
            raise ValueError(f"the mode is fan_in, fan_out or fan_avg, got {self.mode!r}")
        # A row has one input; a kernel without entries may have no fan, and needs none.
        make = jax_initializers.variance_scaling(self.scale / (sizes[self.mode] or 1), "fan_in", self.distribution)
        return _in_a_row(make, key, shape, dtype)


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


def _in_a_row(make: Initializer, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """The numbers that ``make`` draws for this shape, drawn as one row of them.

    They are the same. On a CPU, XLA takes up to twelve times as long to compile random numbers with a short last axis:
    for a kernel of 64 by 10 more than a second, and four under ``vmap``.
    """
    count = math.prod(shape)
    return make(required(key), (1, count), dtype).reshape(shape) if count else jnp.zeros(shape, dtype)


def required(key: Any) -> jax.Array:
    """Returns the key, or raises if there is none."""
    if key is None:
        raise TypeError("initial weights are random, so init takes a key, got None; write jax.random.key(0)")
    return key
