"""Flips, crops, cut-out, noise, brightness, contrast: exact pictures, and how often each comes."""

from collections import Counter

import jax
import numpy as np
import pytest

from fnn.augment import Brightness, Contrast, CutOut, FlipHorizontal, FlipVertical, Noise, RandomCrop, Sometimes

KEY = jax.random.key(3)
PICTURE = np.arange(1.0, 10.0, dtype=np.float32).reshape(3, 3)
MANY = 4000


def many(picture=PICTURE, count=MANY):
    return np.broadcast_to(picture[None, :, :, None], (count, *picture.shape, 1))


def pictures(augmentation, picture=PICTURE, count=MANY):
    return np.asarray(jax.jit(augmentation)(KEY, many(picture, count)))[..., 0]


@pytest.mark.parametrize(
    ("flip", "mirrored"), [(FlipHorizontal, PICTURE[:, ::-1]), (FlipVertical, PICTURE[::-1])], ids=["left", "up"]
)
def test_flips_mirror_as_often_as_they_say(flip, mirrored):
    np.testing.assert_array_equal(pictures(flip(1), count=3), [mirrored] * 3)
    out = pictures(flip(0.3))
    turned, kept = (out == mirrored).all((1, 2)), (out == PICTURE).all((1, 2))
    assert (turned ^ kept).all()
    assert abs(turned.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / MANY)
    assert 0.45 < (pictures(flip()) == mirrored).all((1, 2)).mean() < 0.55


@pytest.mark.parametrize(
    ("fill", "options"),
    [(0.0, {}), pytest.param(5.0, {"constant_values": 5}, marks=pytest.mark.full), ("edge", {"mode": "edge"})],
)
def test_a_crop_is_each_window_of_the_padded_image_equally_often(fill, options):
    padded = np.pad(PICTURE, 1, **options)
    windows = {padded[i : i + 3, j : j + 3].tobytes() for i in range(3) for j in range(3)}
    counts = Counter(each.tobytes() for each in pictures(RandomCrop(1, fill=fill)))
    assert set(counts) == windows
    assert all(abs(count / MANY - 1 / 9) < 0.025 for count in counts.values())


def test_a_cut_out_is_a_square_that_edges_cut():
    out = pictures(CutOut(2, fill=-1.0), np.ones((4, 4), np.float32))
    counts = Counter((each == -1).sum() for each in out)
    # The square of centre (i, j) begins one before it: row 0 leaves one row of it, rows 1 to 3 leave two.
    assert set(counts) == {1, 2, 4}
    for pixels, share in ((1, 1 / 16), (2, 6 / 16), (4, 9 / 16)):
        assert abs(counts[pixels] / MANY - share) < 0.035
    for each in out[:50]:
        rows, columns = ((each == -1).any(axis) for axis in (1, 0))
        assert (each == -1).sum() == rows.sum() * columns.sum()


def test_a_cut_out_of_odd_size_lies_about_its_centre():
    corners = [each for each in pictures(CutOut(3), np.ones((5, 5), np.float32)) if (each == 0).sum() == 4]
    expected = np.ones((5, 5))
    expected[:2, :2] = 0
    assert any((each == expected).all() for each in corners)
    assert (pictures(CutOut(9), np.ones((5, 5), np.float32), 50) == 0).all()


def test_all_channels_of_a_cut_out_go_together():
    out = np.asarray(jax.jit(CutOut(2))(KEY, np.ones((9, 5, 5, 3), np.float32)))
    assert (out == out[..., :1]).all()


def test_noise_is_normal_and_its_own_in_every_pixel():
    noise = pictures(Noise(0.5)) - PICTURE
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 0.5) < 0.01
    assert abs((np.abs(noise) < 0.5).mean() - 0.6827) < 0.01
    assert abs(np.corrcoef(noise.reshape(MANY, 9).T) - np.eye(9)).max() < 0.07


def test_brightness_adds_one_number_to_an_image():
    added = pictures(Brightness(0.4)) - PICTURE
    assert np.ptp(added, axis=(1, 2)).max() < 2e-6
    first = added[:, 0, 0]
    assert -0.4001 <= first.min() < -0.39
    assert 0.39 < first.max() <= 0.4001
    assert abs(first.mean()) < 0.015


def test_contrast_stretches_each_channel_about_its_mean(draw):
    image = draw.normal(3, 1, (1, 4, 5, 2))
    mean = image.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(Contrast(2, 2)(KEY, image), mean + 2 * (image - mean), atol=1e-5)
    np.testing.assert_allclose(Contrast(0, 0)(KEY, image), np.broadcast_to(mean, image.shape), atol=1e-5)
    factors = (pictures(Contrast(0.5, 2)) - 5)[:, 0, 0] / (PICTURE[0, 0] - 5)
    assert 0.499 < factors.min() < 0.51
    assert 1.99 < factors.max() < 2.001
    assert abs(factors.mean() - 1.25) < 0.03


def test_sometimes_is_as_often_as_it_says():
    out = pictures(Sometimes(FlipHorizontal(1), 0.2))
    turned = (out == PICTURE[:, ::-1]).all((1, 2))
    assert abs(turned.mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / MANY)
    assert (out[~turned] == PICTURE).all()
    assert (pictures(Sometimes(FlipHorizontal(1), 1), count=9) == PICTURE[:, ::-1]).all()
