"""CutMix."""

import dataclasses

import jax
import jax.numpy as jnp

from fnn.augment.mixing import Mixing
from fnn.augment.rectangle import rectangle
from fnn.errors import describe


@dataclasses.dataclass(frozen=True)
class CutMix(Mixing):
    """Pastes a rectangle of another image:  x' = x_p inside, x outside,  y' = λ y + (1 − λ) y_p.

    The rectangle has ⌊H √(1 − μ)⌋ × ⌊W √(1 − μ)⌋ pixels, μ ~ Beta(alpha, alpha); its centre is a uniformly random
    pixel, and it is clipped at the edges. λ is the share of pixels that are still x. An ``alpha`` of 0 mixes nothing.

    It maps ``(inputs, targets)``, or ``(inputs, targets, weights)``, to the same, like ``Mixup``, with the same pairs,
    weights, metrics and errors; the inputs must be images.

    Shapes:  inputs (N, H, W, C) of any floating dtype, kept; integer labels (N, …) become (N, …, classes), floating
             targets keep shape and dtype; weights (N,)

    >>> images = jnp.stack([jnp.zeros((3, 4, 1)), jnp.ones((3, 4, 1))])
    >>> images, targets = CutMix(1.0, classes=2)(jax.random.key(6), (images, jnp.array([0, 1])))
    >>> images[0, :, :, 0], targets[0].round(1)
    (Array([[0., 0., 0., 0.],
           [0., 0., 1., 1.],
           [0., 0., 1., 1.]], dtype=float32), Array([0.7, 0.3], dtype=float32))

    Source: Yun et al. 2019.
    """

    def mixed(self, key: jax.Array, own: jax.Array, other: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
        if own.ndim != 3:
            raise ValueError(f"CutMix expects images (N, H, W, C), got a sample {describe(own)}")
        side = jnp.sqrt(1 - share)
        pasted = rectangle(key, own.shape, own.shape[0] * side, own.shape[1] * side)
        left = 1 - pasted.mean(dtype=share.dtype)
        return jnp.where(pasted[..., None], other, own), left
