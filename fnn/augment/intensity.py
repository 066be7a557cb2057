"""Changes of pixel values: noise, brightness, contrast. Nothing is clipped."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from fnn.augment.augmentation import Augmentation
from fnn.augment.strength import NOT_NEGATIVE, interval, is_known, keep_strengths
from fnn.layer import wide_dtype


@dataclasses.dataclass(frozen=True)
class Noise(Augmentation):
    """Adds normal noise:  y = x + stddev · n,  n ~ N(0, 1), one for every pixel and channel.

    A stddev of 0 does nothing. ``GaussianNoise`` is the same as a layer, for use anywhere in a model.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for a stddev below 0.

    >>> Noise(0.5)(jax.random.key(0), jnp.zeros((1, 1, 3, 1))).ravel().round(1)
    Array([ 0.5, -0.5, -0.4], dtype=float32)
    """

    stddev: float

    def __post_init__(self) -> None:
        keep_strengths(self, stddev=NOT_NEGATIVE)

    @property
    def does_nothing(self) -> bool:
        return is_known(self.stddev, 0)

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        noise = jax.random.normal(key, image.shape, np.float32).astype(image.dtype)
        return image + jnp.asarray(self.stddev, image.dtype) * noise


@dataclasses.dataclass(frozen=True)
class Brightness(Augmentation):
    """Makes every image brighter or darker:  y = x + d,  d ~ U(−delta, delta), one for all pixels and channels.

    A delta of 0 does nothing.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for a delta below 0.

    >>> Brightness(0.5)(jax.random.key(0), jnp.zeros((2, 1, 2, 1))).squeeze().round(1)
    Array([[ 0.3,  0.3],
           [-0.5, -0.5]], dtype=float32)
    """

    delta: float

    def __post_init__(self) -> None:
        keep_strengths(self, delta=NOT_NEGATIVE)

    @property
    def does_nothing(self) -> bool:
        return is_known(self.delta, 0)

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        share = jax.random.uniform(key, (), np.float32, -1, 1).astype(image.dtype)
        return image + jnp.asarray(self.delta, image.dtype) * share


@dataclasses.dataclass(frozen=True)
class Contrast(Augmentation):
    """Scales the pixels about their mean:  y = m + f (x − m),  f ~ U(low, high), m the mean of each channel.

    A factor above 1 raises the contrast, 0 leaves only the mean; ``Contrast(1, 1)`` does nothing.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for factors below 0, or if ``low`` is above ``high``.

    >>> Contrast(0.5, 0.5)(jax.random.key(0), jnp.array([[[[0.0], [1.0]]]])).ravel()
    Array([0.25, 0.75], dtype=float32)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        low, high = interval("contrast", self.low, self.high, NOT_NEGATIVE)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def does_nothing(self) -> bool:
        return is_known(self.low, 1) and is_known(self.high, 1)

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        wide = image.astype(wide_dtype(image.dtype))
        low, high = jnp.asarray(self.low, wide.dtype), jnp.asarray(self.high, wide.dtype)
        factor = low + jax.random.uniform(key, (), np.float32).astype(wide.dtype) * (high - low)
        # x + (f − 1)(x − m) is the same, and gives exactly x for a factor of 1.
        return (wide + (factor - 1) * (wide - wide.mean((0, 1), keepdims=True))).astype(image.dtype)
