"""The data sets of the experiments and their splits; no downloads."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import files

TEST, VALIDATION = 360, 144
"""How many of the 1797 digits are held out; 1293 remain to train on."""


class Part(NamedTuple):
    """Some digits: ``images`` (N, 8, 8, 1) float32 from 0 to 1, ``labels`` (N,) int32, ``indices`` in the data set."""

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


class Samples(NamedTuple):
    """A table: ``x`` (N, D) float32, ``y`` (N,) class indices int32 or values float32, and the names of the columns."""

    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]


class Series(NamedTuple):
    """Values (T,) float64 at equal distances in time, their unit, and the distance."""

    values: np.ndarray
    unit: str
    step: str


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


def from_files(folder: Path) -> Digits:
    """The ten classes of MNIST, Fashion-MNIST or CIFAR-10 from their files; a tenth of the training part validates.

    Errors: those of ``files.read_images``, and ``ValueError`` for other than ten classes or a set without a test part.
    """
    from sklearn.model_selection import train_test_split

    found = files.read_images(folder)
    train, test = found["train"], found.get("test")
    if test is None or len(train.classes) != 10:
        raise ValueError(
            f"{folder} has {len(train.classes)} classes and {'no' if test is None else 'a'} test part;"
            " this needs ten classes and a test part (examples/images.py takes any folder of images)"
        )
    kept, held_out = train_test_split(np.arange(len(train.y)), test_size=0.1, stratify=train.y, random_state=0)
    training, validation = (Part(train.x[each], train.y[each], np.asarray(each)) for each in (kept, held_out))
    return Digits(training, validation, Part(test.x, test.y, np.arange(len(test.y))))


def load_iris() -> Samples:
    """150 irises, 50 of each of three species (0 setosa, 1 versicolor, 2 virginica); four lengths in centimetres.

    Licence: CC BY 4.0 (UCI). Source: Fisher, The use of multiple measurements in taxonomic problems, 1936.
    """
    from sklearn.datasets import load_iris as load

    return _table(load(), np.int32)


def load_breast_cancer() -> Samples:
    """569 tumours, 0 malignant (212) or 1 benign (357); 30 measurements of cell nuclei in an image.

    Licence: CC BY 4.0 (UCI). Source: Street, Wolberg and Mangasarian, Breast Cancer Wisconsin (Diagnostic), 1993.
    """
    from sklearn.datasets import load_breast_cancer as load

    return _table(load(), np.int32)


def load_diabetes() -> Samples:
    """442 patients: age, sex, body mass index, blood pressure and six serum values, and the progression after a year.

    Source: Efron, Hastie, Johnstone and Tibshirani, Least angle regression, 2004, who published it with the paper.
    """
    from sklearn.datasets import load_diabetes as load

    return _table(load(scaled=False), np.float32)


def load_membrane() -> Series:
    """12,000 membrane potentials of a nerve cell in mV, 0.5 ms apart; from sample 1000 to 11,000 it is depolarised.

    Ships with Matplotlib, whose first logo showed it: the unit and the distance are those of its logo page. Matplotlib
    does not say who recorded it, nor under which licence.
    """
    from matplotlib.cbook import get_sample_data

    values = np.fromfile(get_sample_data("membrane.dat", asfileobj=False), np.float32)
    return Series(100.0 * values, "mV", "0.5 ms")


def load_google(column: str = "adj_close") -> Series:
    """1047 trading days of Google's stock, 19 August 2004 to 14 October 2008: the price in dollars, or ``"volume"``.

    Ships with Matplotlib. Source: Yahoo Finance; no licence is stated.
    """
    from matplotlib.cbook import get_sample_data

    with np.load(get_sample_data("goog.npz", asfileobj=False)) as table:
        values = table["price_data"][column]
    return Series(values.astype(np.float64), "shares" if column == "volume" else "dollars", "trading day")


def standardized(x: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """Every column with mean 0 and standard deviation 1 over ``like``, the training part; over x itself by default."""
    like = x if like is None else like
    return ((x - like.mean(0)) / like.std(0)).astype(np.float32)


def _table(bunch: Any, target: Any) -> Samples:
    return Samples(bunch.data.astype(np.float32), bunch.target.astype(target), tuple(map(str, bunch.feature_names)))


def shift(key: jax.Array, images: jax.Array) -> jax.Array:
    """Shifts every image by −1, 0 or 1 pixels in each direction; pixels from outside are black."""
    offsets = jax.random.randint(key, (images.shape[0], 2), 0, 3)
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))

    def window(image: jax.Array, offset: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], jnp.zeros_like(offset[0])), images.shape[1:])

    return jax.vmap(window)(padded, offsets)
