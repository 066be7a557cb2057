"""The data sets of the experiments and their splits; no downloads."""

import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

TEST, VALIDATION = 360, 144
"""How many of the 1797 digits are held out; 1293 remain to train on."""


class Part(NamedTuple):
    """Some digits: ``images`` (N, 8, 8, 1) float32 from 0 to 1, ``labels`` (N,) int32, ``indices`` in the data set."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


class Digits(NamedTuple):
    """The handwritten digits, in three disjoint parts."""

    train: Part
    validation: Part
    test: Part

    @property
    def checksum(self) -> str:
        """A fingerprint of the split: SHA-256 of the indices of the three parts, in order."""
        return hashlib.sha256(b"".join(part.indices.astype("<i4").tobytes() for part in self)).hexdigest()[:16]


def load_digits() -> Digits:
    """The 1797 digits that come with scikit-learn: 8 × 8 pixels, 17 levels of grey, ten classes.

    The split is fixed and stratified by class. The data do not say which of 13 writers wrote a digit, so all of them
    appear in every part: accuracy on the test part says nothing about a new writer.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test set).
    """
    # Imported here so that listing the experiments does not import scikit-learn.
    from sklearn.datasets import load_digits as load
    from sklearn.model_selection import train_test_split

    images, labels = load(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    labels = labels.astype(np.int32)
    rest, test = train_test_split(np.arange(len(labels)), test_size=TEST, stratify=labels, random_state=0)
    train, validation = train_test_split(rest, test_size=VALIDATION, stratify=labels[rest], random_state=0)
    parts = (np.asarray(indices) for indices in (train, validation, test))
    return Digits(*(Part(images[indices], labels[indices], indices) for indices in parts))


def shift(key: jax.Array, images: jax.Array) -> jax.Array:
    """Shifts every image by −1, 0 or 1 pixels in each direction; pixels from outside are black."""
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 3)
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def window(image: jax.Array, offset: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], jnp.zeros_like(offset[0])), images.shape[1:])

    return jax.vmap(window)(padded, offsets)
