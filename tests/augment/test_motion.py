"""Motions against pictures worked by hand, and against SciPy's resampling."""

import functools

import jax
import numpy as np
import pytest
from scipy import ndimage

from fnn.augment import Affine, Rotate, Shear, Translate, Zoom
from fnn.augment.affine import Motion
from fnn.augment.resample import resample
from tests.drawing import drawn

KEY = jax.random.key(0)
PICTURE = np.arange(1.0, 10.0).reshape(3, 3)
MODES = {0.0: "grid-constant", 2.5: "grid-constant", "edge": "nearest"}


@functools.partial(jax.jit, static_argnames="fill")
def resampled(image, *motion, fill):
    motion = Motion(*motion)
    return resample(image, motion.inverse(), motion.offset, fill)


def moved(picture, *, degrees=0.0, zoom=1.0, shear=0.0, offset=(0.0, 0.0), fill: float | str = 0.0):
    """A picture (H, W) or (H, W, C) moved by just this, in float64."""
    picture = np.asarray(picture, np.float64)
    image = picture if picture.ndim == 3 else picture[..., None]
    out = np.asarray(resampled(image, degrees, zoom, shear, np.array(offset), fill=fill))
    return out if picture.ndim == 3 else out[..., 0]


def by_scipy(image, inverse, offset, fill):
    """scipy.ndimage looks back from o to A o + b: b is what moves the centre where it belongs."""
    centre = (np.array(image.shape[:2]) - 1) / 2
    shift = centre - inverse @ (centre + offset)
    constant = {} if fill == "edge" else {"cval": fill}
    channels = [
        ndimage.affine_transform(channel, inverse, shift, order=1, mode=MODES[fill], **constant)
        for channel in np.moveaxis(np.asarray(image, np.float64), -1, 0)
    ]
    return np.stack(channels, -1)


@pytest.fixture(autouse=True)
def _strict(strict_numerics):
    return


@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
def test_quarter_turns_go_counterclockwise(quarters):
    np.testing.assert_allclose(moved(PICTURE, degrees=90.0 * quarters), np.rot90(PICTURE, quarters), atol=1e-12)
    even = np.arange(16.0).reshape(4, 4)
    np.testing.assert_allclose(moved(even, degrees=90.0 * quarters), np.rot90(even, quarters), atol=1e-12)


@pytest.mark.parametrize(("fill", "border"), [(0.0, [0, 0]), (7.0, [7, 7]), ("edge", [4, 7])])
def test_whole_pixels_are_shifted_down_and_to_the_right(fill, border):
    out = moved(PICTURE, offset=(-1.0, 1.0), fill=fill)
    last = {0.0: [0, 0, 0], 7.0: [7, 7, 7], "edge": [7, 7, 8]}[fill]
    np.testing.assert_array_equal(out, [[border[0], 4, 5], [border[1], 7, 8], last])


def test_half_a_pixel_is_the_mean_of_two():
    np.testing.assert_array_equal(moved([[2.0, 4.0, 8.0]], offset=(0.0, 0.5)), [[1, 3, 6]])


def test_a_zoom_of_two_doubles_about_the_centre():
    np.testing.assert_array_equal(moved(PICTURE, zoom=2.0), [[3, 3.5, 4], [4.5, 5, 5.5], [6, 6.5, 7]])


def test_a_zoom_of_a_half_takes_every_second_pixel_and_fills():
    five = np.arange(25.0).reshape(5, 5)
    expected = np.full((5, 5), -1.0)
    expected[1:4, 1:4] = five[::2, ::2]
    np.testing.assert_array_equal(moved(five, zoom=0.5, fill=-1.0), expected)


def test_a_shear_leans_to_the_right_as_italics_do():
    bar = np.array([[0.0, 1, 0]] * 3)
    np.testing.assert_allclose(moved(bar, shear=45.0), [[0, 0, 1], [0, 1, 0], [1, 0, 0]], atol=1e-12)


def test_far_outside_is_nothing_but_fill():
    assert (moved(PICTURE, offset=(90.0, 0.0), fill=3.0) == 3).all()
    np.testing.assert_array_equal(moved(PICTURE, offset=(90.0, 0.0), fill="edge"), [[1, 2, 3]] * 3)


@pytest.mark.parametrize("fill", MODES)
@pytest.mark.parametrize(
    "motion",
    [
        {"degrees": 33.0},
        {"shear": 21.0},
        {"zoom": 1.7},
        {"zoom": 0.6},
        {"offset": (1.3, -2.6)},
        {"degrees": -71.0, "zoom": 0.8, "shear": 15.0, "offset": (-0.4, 0.7)},
    ],
    ids=str,
)
def test_scipy_resamples_alike(motion, fill):
    image = drawn("an image", 6, 9, 2)
    angle, lean = np.deg2rad(motion.get("degrees", 0.0)), np.tan(np.deg2rad(motion.get("shear", 0.0)))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = turn @ np.array([[1, 0], [-lean, 1]]) * motion.get("zoom", 1.0)
    offset = np.array(motion.get("offset", (0.0, 0.0)))
    expected = by_scipy(image, np.linalg.inv(forward), offset, fill)
    np.testing.assert_allclose(moved(image, **motion, fill=fill), expected, atol=1e-12)


@functools.partial(jax.jit, static_argnums=0)
def draws(affine, key):
    """How an image (6, 5, 1) is moved."""
    motion = affine.draw(key, (6, 5, 1), np.float64)
    return motion.inverse(), motion.offset


@pytest.mark.parametrize(
    "fill", [0.0, pytest.param(2.5, marks=pytest.mark.full), pytest.param("edge", marks=pytest.mark.full)]
)
def test_an_augmentation_is_what_it_draws(fill):
    affine = Affine(degrees=50, translate=0.3, zoom=(0.7, 1.5), shear=20, fill=fill)
    images = drawn("three images", 3, 6, 5, 1)
    out = jax.jit(affine)(KEY, images)
    for place, image in enumerate(images):
        inverse, offset = draws(affine, jax.random.fold_in(KEY, place))
        expected = by_scipy(image, np.asarray(inverse), np.asarray(offset), fill)
        np.testing.assert_allclose(out[place], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("single", "affine"),
    [
        (Rotate(50), Affine(degrees=50)),
        pytest.param(Translate(0.3, fill=1.0), Affine(translate=0.3, fill=1.0), marks=pytest.mark.full),
        pytest.param(Zoom(0.5, 2), Affine(zoom=(0.5, 2)), marks=pytest.mark.full),
        pytest.param(Shear(40, fill="edge"), Affine(shear=40, fill="edge"), marks=pytest.mark.full),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_single_motion_is_the_general_one_with_one_strength(single, affine):
    images = drawn("two images", 2, 5, 5, 1)
    np.testing.assert_array_equal(*jax.jit(lambda *batch: (single(*batch), affine(*batch)))(KEY, images))


def test_draws_fill_their_ranges():
    affine = Affine(degrees=30, translate=0.25, zoom=(0.5, 2.0), shear=10)
    keys = jax.random.split(KEY, 2000)
    motions = jax.jit(jax.vmap(lambda key: affine.draw(key, (8, 4, 1), np.float64)))(keys)
    down, right = np.asarray(motions.offset).T
    for values, low, high in (
        (motions.degrees, -30, 30),
        (motions.zoom, 0.5, 2),
        (motions.shear, -10, 10),
        (down, -2, 2),
        (right, -1, 1),
    ):
        values, width = np.asarray(values), high - low
        assert low <= values.min() < low + 0.01 * width
        assert high - 0.01 * width < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 4 * width / np.sqrt(12 * 2000)
    assert abs(np.corrcoef([motions.degrees, motions.zoom, motions.shear, down, right]) - np.eye(5)).max() < 0.1
