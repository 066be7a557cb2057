"""The contact sheet of all augmentations: what is drawn for each."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import data
from fnn import augment

SHOWN: dict[str, augment.Augmentation] = {
    "Rotate(30)": augment.Rotate(30),
    "Translate(0.2)": augment.Translate(0.2),
    "Zoom(0.6, 1.4)": augment.Zoom(0.6, 1.4),
    "Shear(30)": augment.Shear(30),
    "Affine(…)": augment.Affine(degrees=20, translate=0.1, zoom=(0.8, 1.2), shear=15),
    "FlipHorizontal()": augment.FlipHorizontal(),
    "FlipVertical()": augment.FlipVertical(),
    "RandomCrop(2)": augment.RandomCrop(2),
    "CutOut(4)": augment.CutOut(4),
    "Noise(0.15)": augment.Noise(0.15),
    "Brightness(0.4)": augment.Brightness(0.4),
    "Contrast(0.2, 1.8)": augment.Contrast(0.2, 1.8),
    "Compose(Rotate, Noise)": augment.Compose(augment.Rotate(30), augment.Noise(0.1)),
    "Sometimes(CutOut(4), 0.5)": augment.Sometimes(augment.CutOut(4), 0.5),
    "Mixup(1)": augment.Mixup(1, classes=10),
    "CutMix(1)": augment.CutMix(1, classes=10),
}
"""The rows of the contact sheet by their labels, strong enough to be visible."""


def sheet(digits: data.Digits, *, columns: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The original (8, 8) and, by augmentation, its version for each key (columns, 8, 8)."""
    images, labels = (jnp.asarray(part[:10]) for part in digits.train[:2])
    keys = jax.random.split(jax.random.key(seed), columns)

    @jax.jit
    def drawn() -> dict[str, Any]:
        def one(augmentation: augment.Augmentation, key: jax.Array) -> jax.Array:
            # The digit is the first of a batch of ten: some rows mix it with the others.
            if augmentation.mixes:
                return augmentation(key, (images, labels))[0][0, ..., 0]
            return augmentation(key, images)[0, ..., 0]

        return {name: jax.vmap(lambda key, each=each: one(each, key))(keys) for name, each in SHOWN.items()}

    made = drawn()
    return np.asarray(images[0, ..., 0]), {name: np.asarray(made[name]) for name in SHOWN}
