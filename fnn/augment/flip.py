"""Mirror images."""

import dataclasses

import jax
import jax.numpy as jnp

from fnn.augment.augmentation import Augmentation
from fnn.augment.coin import coin
from fnn.augment.strength import SHARE, is_known, keep_strengths
from fnn.guards.ranges import nan_where_any


@dataclasses.dataclass(frozen=True)
class FlipHorizontal(Augmentation):
    """Mirrors an image left to right with ``probability``:  y[i, j] = x[i, W − 1 − j].

    A probability of 0 does nothing, 1 mirrors every image.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for a probability outside [0, 1].

    >>> FlipHorizontal()(jax.random.key(1), jnp.array([[[[1.0], [2.0]]]] * 4)).squeeze()
    Array([[1., 2.],
           [2., 1.],
           [1., 2.],
           [2., 1.]], dtype=float32)
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        keep_strengths(self, probability=SHARE)

    @property
    def does_nothing(self) -> bool:
        return is_known(self.probability, 0)

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        flipped = jnp.where(coin(key, self.probability), image[:, ::-1], image)
        return nan_where_any([self.probability], flipped)


@dataclasses.dataclass(frozen=True)
class FlipVertical(Augmentation):
    """Mirrors an image top to bottom with ``probability``:  y[i, j] = x[H − 1 − i, j].

    A probability of 0 does nothing, 1 mirrors every image.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for a probability outside [0, 1].

    >>> FlipVertical(1)(jax.random.key(0), jnp.array([[[[1.0]], [[2.0]]]])).ravel()
    Array([2., 1.], dtype=float32)
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        keep_strengths(self, probability=SHARE)

    @property
    def does_nothing(self) -> bool:
        return is_known(self.probability, 0)

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        flipped = jnp.where(coin(key, self.probability), image[::-1], image)
        return nan_where_any([self.probability], flipped)
