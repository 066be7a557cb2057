"""Cut-out."""

import dataclasses

import jax
import jax.numpy as jnp

from fnn.augment.augmentation import Augmentation
from fnn.augment.rectangle import rectangle
from fnn.augment.strength import NOT_NEGATIVE, is_known, keep_strengths
from fnn.guards.ranges import nan_where_any


@dataclasses.dataclass(frozen=True)
class CutOut(Augmentation):
    """Covers a square of ``size`` × ``size`` pixels, in all channels, with ``fill``.

    The centre of the square is a uniformly random pixel, and the square is clipped at the edges: at a corner a quarter
    of it is left. A size of 0 does nothing; a fractional size is rounded down.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for a size below 0, ``TypeError`` for a fill that is not a number.

    >>> CutOut(2)(jax.random.key(0), jnp.ones((1, 4, 4, 1)))[0, :, :, 0]
    Array([[1., 1., 1., 1.],
           [1., 1., 1., 1.],
           [0., 1., 1., 1.],
           [0., 1., 1., 1.]], dtype=float32)

    Source: DeVries and Taylor 2017.
    """

    size: float
    _: dataclasses.KW_ONLY
    fill: float = 0.0

    def __post_init__(self) -> None:
        keep_strengths(self, size=NOT_NEGATIVE)
        if isinstance(self.fill, str):
            raise TypeError(f"fill is a number, got {self.fill!r}")

    @property
    def does_nothing(self) -> bool:
        return is_known(self.size, 0)

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        covered = rectangle(key, image.shape, self.size, self.size)
        cut = jnp.where(covered[..., None], jnp.asarray(self.fill, image.dtype), image)
        return nan_where_any([self.size], cut)
