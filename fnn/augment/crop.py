"""Random crops."""

import dataclasses

import jax
import jax.numpy as jnp

from fnn.augment.augmentation import Augmentation
from fnn.augment.border import Fill, bordered, check_fill


@dataclasses.dataclass(frozen=True)
class RandomCrop(Augmentation):
    """Pads every image and crops a window of its original size: it moves by up to ``padding`` whole pixels.

        y[i, j] = x̃[i + a, j + b]        a, b ~ U{0, …, 2 padding},  x̃ the image with ``fill`` around it

    A padding of 0 does nothing. Padding determines a shape, so it cannot be traced.

    Shapes:  (N, H, W, C) → the same, any floating dtype, kept
    Errors: ``ValueError`` for a padding below 0, ``TypeError`` if not an integer.

    >>> RandomCrop(1)(jax.random.key(0), jnp.arange(1.0, 10).reshape(1, 3, 3, 1))[0, :, :, 0]
    Array([[2., 3., 0.],
           [5., 6., 0.],
           [8., 9., 0.]], dtype=float32)

    Source: He et al. 2016, §4.2.
    """

    padding: int
    _: dataclasses.KW_ONLY
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.padding, bool) or not isinstance(self.padding, int):
            raise TypeError(f"padding is an integer, got {self.padding!r}")
        if self.padding < 0:
            raise ValueError(f"padding is at least 0, got {self.padding}")
        check_fill(self.fill)

    @property
    def does_nothing(self) -> bool:
        return self.padding == 0

    def one(self, key: jax.Array, image: jax.Array) -> jax.Array:
        down, right = jax.random.randint(key, (2,), 0, 2 * self.padding + 1, jnp.int32)
        around = bordered(image, self.padding, self.fill)
        return jax.lax.dynamic_slice(around, (down, right, jnp.zeros_like(down)), image.shape)
