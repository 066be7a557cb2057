"""The contract of every augmentation. Read this file first.

An augmentation is a frozen dataclass that holds configuration only: hashable, comparable, printable. It is called on a
batch of images inside the compiled training step, and keeps their shape and dtype:

    images = augmentation(key, images)        images (N, H, W, C), floating; rows count downwards, columns to the right

Every image draws its own random numbers, from the key folded with its index in the batch: how an image is changed does
not depend on the batch size. Random numbers are drawn in float32, so that they are the same in every precision.

A strength (an angle, a fraction, a probability) is a number or an array of shape (), which may be traced, so that a run
can be mapped over it. A strength that does nothing, such as an angle of 0, costs nothing if it is a Python number, and
leaves the images unchanged bit for bit; a traced one leaves them equal.

An augmentation with ``mixes = True`` changes targets too and takes a whole batch: see ``fnn/augment/mixing.py``.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.errors import describe, floating_array
from fnn.guards.signatures import check_methods
from fnn.guards.spelling import check_spelling
from fnn.layer import named_key


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """The base of augmentations: a subclass defines ``one``, for a single image.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Darken(Augmentation):
    ...     def one(self, key, image):
    ...         return image * jax.random.uniform(key, (), image.dtype)
    >>> Darken()(jax.random.key(0), jnp.ones((2, 1, 1, 1))).ravel()
    Array([0.8423141 , 0.00729382], dtype=float32)
    """

    mixes: ClassVar[bool] = False
    """Whether it maps a batch to a batch, ``(inputs, targets)`` or ``(inputs, targets, weights)``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "an augmentation")
        check_methods(cls, one=("key", "image"), __call__=("key", "images"))

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        """One image (H, W, C), changed at random with its own key."""
        raise NotImplementedError(f"{type(self).__name__} does not define one")

    @property
    def does_nothing(self) -> bool:
        """Whether it is known to leave every image unchanged."""
        return False

    def __call__(self, key: jax.Array, images: Any) -> Any:
        images = image_batch(images)
        if self.does_nothing:
            return images
        return jax.vmap(self.one)(image_keys(key, len(images)), images)


def image_keys(key: jax.Array, count: int) -> jax.Array:
    """A key for each index in a batch, independent of the batch size."""
    named_key(key, "image")  # raises if a number is passed for a key
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(jnp.arange(count))


def image_batch(images: Any) -> jax.Array:
    """Returns images (N, H, W, C) of floating dtype, or raises."""
    images = floating_array(images)
    if images.ndim != 4:
        raise ValueError(
            f"expected images (N, H, W, C), got {describe(images)}; for one image write image[None], for images"
            f" without channels images[..., None]"
        )
    return images
