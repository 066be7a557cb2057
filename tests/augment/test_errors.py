"""What is wrong is told when an augmentation is made, or when it meets something that is no images."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.augment import (
    Affine,
    Augmentation,
    Brightness,
    Contrast,
    CutMix,
    CutOut,
    FlipHorizontal,
    FlipVertical,
    Mixup,
    Noise,
    RandomCrop,
    Rotate,
    Shear,
    Sometimes,
    Translate,
    Zoom,
)

KEY = jax.random.key(0)

CONFIGURATIONS = [
    (lambda: Rotate(-1), ValueError, "degrees is a finite number of at least 0, got -1"),
    (lambda: Rotate(float("nan")), ValueError, "degrees is a finite number of at least 0, got nan"),
    (lambda: Rotate(float("inf")), ValueError, "degrees is a finite number of at least 0, got inf"),
    (lambda: Rotate(np.float32(-2)), ValueError, "degrees is a finite number of at least 0, got -2"),
    (lambda: Rotate("30"), TypeError, "degrees is a finite number of at least 0, got '30'"),
    (lambda: Rotate(True), TypeError, "degrees is a finite number of at least 0, got True"),
    (lambda: Rotate(np.ones(2)), TypeError, "degrees is a finite number of at least 0, got array"),
    (lambda: Rotate(10, fill="wrap"), ValueError, "fill is a number or 'edge', got 'wrap'"),
    (lambda: Rotate(10, fill=None), TypeError, "fill is a number or 'edge', got None"),
    (lambda: Translate(1.5), ValueError, r"translate is a number in \[0, 1\], got 1.5"),
    (lambda: Zoom(0, 1), ValueError, "the low end of zoom is a finite number above 0, got 0"),
    (lambda: Zoom(1, float("inf")), ValueError, "the high end of zoom is a finite number above 0, got inf"),
    (lambda: Zoom(2, 1), ValueError, r"zoom is an interval \(low, high\), got 2 above 1"),
    (lambda: Affine(zoom=1.5), TypeError, r"zoom is an interval \(low, high\), got 1.5"),
    (lambda: Shear(90), ValueError, r"shear is an angle in \[0, 90\), got 90"),
    (lambda: FlipHorizontal(1.1), ValueError, r"probability is a number in \[0, 1\], got 1.1"),
    (lambda: FlipVertical(-0.1), ValueError, r"probability is a number in \[0, 1\], got -0.1"),
    (lambda: RandomCrop(-1), ValueError, "padding is at least 0, got -1"),
    (lambda: RandomCrop(1.0), TypeError, "padding is an integer, got 1.0"),
    (lambda: CutOut(-1), ValueError, "size is a finite number of at least 0, got -1"),
    (lambda: Noise(-0.1), ValueError, "stddev is a finite number of at least 0, got -0.1"),
    (lambda: Brightness(-0.1), ValueError, "delta is a finite number of at least 0, got -0.1"),
    (lambda: Contrast(-1, 1), ValueError, "the low end of contrast is a finite number of at least 0, got -1"),
    (lambda: Contrast(2, 1), ValueError, r"contrast is an interval \(low, high\), got 2 above 1"),
    (lambda: Sometimes(Noise, 0.5), TypeError, r"got <class .*did you mean Noise\(…\)\?"),
    (lambda: Sometimes(Noise(1), 2), ValueError, r"probability is a number in \[0, 1\], got 2"),
    (lambda: Sometimes(Mixup(1), 0.5), TypeError, r"set its own probability instead, as in Mixup\(0.2, prob"),
    (lambda: Mixup(-1), ValueError, "alpha is a finite number of at least 0, got -1"),
    (lambda: CutMix(1, classes=0), ValueError, "classes is at least 1, got 0"),
    (lambda: CutMix(1, probability=3), ValueError, r"probability is a number in \[0, 1\], got 3"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
def test_a_wrong_strength_is_told_when_it_is_given(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("augmentation", [Noise(1), Noise(0), Sometimes(Noise(1), 0.5)], ids=repr)
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.ones((3, 4, 1), np.float32), ValueError, r"images \(N, H, W, C\), got float32\[3,4,1\]; for one image"),
        (np.ones((2, 3, 4, 1), np.uint8), TypeError, r"floating dtype, got uint8\[2,3,4,1\]; convert it"),
        (np.ones((0, 3, 4, 1), np.float32), ValueError, r"the batch is empty"),
        ((np.ones((2, 3, 4, 1)),), TypeError, r"expected one array, got \(float64\[2,3,4,1\]\)"),
    ],
    ids=["one image", "bytes", "empty", "tuple"],
)  # fmt: skip
def test_what_is_no_images_is_refused(augmentation, images, error, message):
    with pytest.raises(error, match=message):
        augmentation(KEY, images)


def test_a_number_is_no_key():
    with pytest.raises(TypeError, match=r"expected a random key, got a number; write jax.random.key\(0\)"):
        Noise(1)(0, jnp.ones((1, 2, 2, 1)))


def test_a_function_under_sometimes_keeps_the_shape():
    with pytest.raises(ValueError, match=r"made float32\[2,2,3,1\] of float32\[2,3,3,1\]; it must keep"):
        Sometimes(lambda key, images: images[:, :2], 0.5)(KEY, jnp.ones((2, 3, 3, 1)))


def test_a_base_without_one_says_so():
    with pytest.raises(NotImplementedError, match="Augmentation does not define one"):
        Augmentation()(KEY, jnp.ones((1, 2, 2, 1)))
