"""Augmentations of augmentations: one after another, or with a probability."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.augment.augmentation import Augmentation, image_batch, image_keys
from fnn.augment.coin import coin
from fnn.augment.mixing import augmented, mixes
from fnn.augment.strength import SHARE, is_known, keep_strengths
from fnn.errors import describe, instance_hint
from fnn.guards.ranges import nan_where_any
from fnn.guards.signatures import check_takes
from fnn.layer import named_key


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Compose(Augmentation):
    """Applies augmentations one after another; without any, it does nothing.

    Each is an augmentation or any function ``(key, images) -> images``. Keys are folded by name as for layers, the
    class and a count of that class from 0, ``FlipHorizontal_0``: so inserting another class does not change the random
    draws of the rest, and two of a class draw differently. If one mixes samples (``Mixup``), so does the whole.

    Errors: ``TypeError`` if not an augmentation.

    >>> from fnn.augment import Brightness, FlipHorizontal
    >>> Compose(FlipHorizontal(1), Brightness(0.5))
    Compose(FlipHorizontal(probability=1), Brightness(delta=0.5))
    >>> Compose(FlipHorizontal(1), FlipHorizontal(1))(jax.random.key(0), jnp.arange(2.0).reshape(1, 1, 2, 1)).ravel()
    Array([0., 1.], dtype=float32)
    """

    augmentations: tuple[Callable[[jax.Array, Any], Any], ...]

    def __init__(self, *augmentations: Callable[[jax.Array, Any], Any]) -> None:
        for each in augmentations:
            check_augmentation(each)
        object.__setattr__(self, "augmentations", augmentations)

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.augmentations))})"

    @property
    def mixes(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return any(mixes(each) for each in self.augmentations)

    def __call__(self, key: jax.Array, images: Any) -> Any:
        counts: Counter[str] = Counter()
        for each in self.augmentations:
            name = getattr(each, "__name__", type(each).__name__)
            each_key = named_key(key, f"{name}_{counts[name]}")
            images = augmented(each, each_key, images) if self.mixes else each(each_key, images)
            counts[name] += 1
        return images


@dataclasses.dataclass(frozen=True)
class Sometimes(Augmentation):
    """Applies an augmentation to each image with ``probability``, independently, and else leaves it unchanged.

    Both are computed, and one is selected. A probability of 0 does nothing, 1 is the augmentation.

    Errors: ``ValueError`` for a probability outside [0, 1], or a function that changes the shape or dtype of images;
    ``TypeError`` if not an augmentation, and for one that mixes samples, which has its own ``probability``.

    >>> from fnn.augment import Brightness
    >>> Sometimes(Brightness(0.5), 0.3)(jax.random.key(0), jnp.ones((4, 1, 1, 1))).ravel().round(2)
    Array([1.  , 1.  , 1.05, 1.  ], dtype=float32)
    """

    augmentation: Callable[[jax.Array, Any], Any]
    probability: float

    def __post_init__(self) -> None:
        check_augmentation(self.augmentation)
        if mixes(self.augmentation):
            raise TypeError(
                f"Sometimes changes images but not targets, and {self.augmentation!r} changes both;"
                f" set its own probability instead, as in Mixup(0.2, probability=0.5)"
            )
        keep_strengths(self, probability=SHARE)

    @property
    def does_nothing(self) -> bool:
        return is_known(self.probability, 0)

    def __call__(self, key: jax.Array, images: Any) -> Any:
        images = image_batch(images)
        if self.does_nothing:
            return images
        changed = self.augmentation(named_key(key, "augmentation"), images)
        if (changed.shape, changed.dtype) != (images.shape, images.dtype):
            raise ValueError(
                f"{self.augmentation!r} made {describe(changed)} of {describe(images)}; it must keep shape and dtype"
            )
        keys = image_keys(named_key(key, "whether"), len(images))
        chosen = jax.vmap(lambda key: coin(key, self.probability))(keys)
        return nan_where_any([self.probability], jnp.where(chosen[:, None, None, None], changed, images))


def check_augmentation(augmentation: Any) -> None:
    """Raises if ``augmentation`` cannot be called with a key and images."""
    if isinstance(augmentation, type) or not callable(augmentation):
        raise TypeError(
            f"expected an augmentation or a function (key, images) -> images, got {augmentation!r}"
            f"{instance_hint(augmentation)}"
        )
    check_takes("an augmentation", augmentation, "key", "images")
