"""Rotation, translation, zoom or shear alone: an ``Affine`` with a single strength."""

import dataclasses

import jax
import jax.numpy as jnp  # noqa: F401  (the examples)

from fnn.augment.affine import Affine
from fnn.augment.augmentation import Augmentation
from fnn.augment.border import Fill


@dataclasses.dataclass(frozen=True)
class SingleMotion(Augmentation):
    """The base: a subclass defines its ``affine``, which also checks the strength."""

    @property
    def affine(self) -> Affine:
        """The equivalent ``Affine``."""
        raise NotImplementedError(f"{type(self).__name__} does not define affine")

    def __post_init__(self) -> None:
        _ = self.affine

    @property
    def does_nothing(self) -> bool:
        return self.affine.does_nothing

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        return self.affine.one(key, image)


@dataclasses.dataclass(frozen=True)
class Rotate(SingleMotion):
    """Rotates every image about its centre by an angle from U(−degrees, degrees), counterclockwise where positive.

    180 degrees cover every angle; 0 does nothing. Map, shapes and errors are those of ``Affine``.

    >>> image = jnp.array([[0.0, 1.0, 0.0]] * 3)[None, :, :, None]
    >>> Rotate(45)(jax.random.key(0), image)[0, :, :, 0].round(1)
    Array([[0. , 0.6, 0.3],
           [0.1, 1. , 0.1],
           [0.3, 0.6, 0. ]], dtype=float32)
    """

    degrees: float
    _: dataclasses.KW_ONLY
    fill: Fill = 0.0

    @property
    def affine(self) -> Affine:
        return Affine(degrees=self.degrees, fill=self.fill)


@dataclasses.dataclass(frozen=True)
class Translate(SingleMotion):
    """Moves every image by random fractions of its height and width, each from U(−fraction, fraction).

    Values between pixels are interpolated; ``RandomCrop`` moves by whole pixels. 0 does nothing. Map, shapes and errors
    are those of ``Affine``.

    >>> image = jnp.array([[0.0, 1.0, 0.0]] * 3)[None, :, :, None]
    >>> Translate(0.2)(jax.random.key(0), image)[0, :, :, 0].round(1)
    Array([[0. , 0.5, 0.5],
           [0. , 0.5, 0.5],
           [0. , 0.3, 0.3]], dtype=float32)
    """

    fraction: float
    _: dataclasses.KW_ONLY
    fill: Fill = 0.0

    @property
    def affine(self) -> Affine:
        return Affine(translate=self.fraction, fill=self.fill)


@dataclasses.dataclass(frozen=True)
class Zoom(SingleMotion):
    """Enlarges every image about its centre by a factor from U(low, high); one below 1 shrinks it.

    ``Zoom(1, 1)`` does nothing. Map, shapes and errors are those of ``Affine``.

    >>> image = jnp.array([[0.0, 1.0, 0.0]] * 3)[None, :, :, None]
    >>> Zoom(2, 2)(jax.random.key(0), image)[0, :, :, 0]
    Array([[0.5, 1. , 0.5],
           [0.5, 1. , 0.5],
           [0.5, 1. , 0.5]], dtype=float32)
    """

    low: float
    high: float
    _: dataclasses.KW_ONLY
    fill: Fill = 0.0

    @property
    def affine(self) -> Affine:
        return Affine(zoom=(self.low, self.high), fill=self.fill)


@dataclasses.dataclass(frozen=True)
class Shear(SingleMotion):
    """Slants every image by an angle from U(−degrees, degrees): a positive angle moves the upper rows to the right.

    0 does nothing; ``degrees`` must be below 90. Map, shapes and errors are those of ``Affine``.

    >>> image = jnp.array([[0.0, 1.0, 0.0]] * 3)[None, :, :, None]
    >>> Shear(45)(jax.random.key(0), image)[0, :, :, 0].round(1)
    Array([[0. , 0.8, 0.2],
           [0. , 1. , 0. ],
           [0.2, 0.8, 0. ]], dtype=float32)
    """

    degrees: float
    _: dataclasses.KW_ONLY
    fill: Fill = 0.0

    @property
    def affine(self) -> Affine:
        return Affine(shear=self.degrees, fill=self.fill)
