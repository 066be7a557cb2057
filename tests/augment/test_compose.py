"""Compositions: the order, and which key each gets."""

import jax
import numpy as np
import pytest

from fnn.augment import Brightness, Compose, FlipHorizontal, FlipVertical, Mixup, Noise, Rotate
from fnn.layer import named_key
from tests.drawing import drawn

KEY = jax.random.key(0)
IMAGES = drawn("three images", 3, 4, 4, 1).astype(np.float32)


def test_each_is_applied_in_order_with_the_key_of_its_name():
    out = Compose(Noise(0.5), FlipHorizontal())(KEY, IMAGES)
    noisy = Noise(0.5)(named_key(KEY, "Noise_0"), IMAGES)
    np.testing.assert_array_equal(out, FlipHorizontal()(named_key(KEY, "FlipHorizontal_0"), noisy))
    assert not np.array_equal(out, noisy)


def test_another_class_between_leaves_the_draws_of_the_rest():
    alone = Compose(Brightness(0.5), Brightness(0.25))(KEY, IMAGES)
    between = Compose(Brightness(0.5), FlipVertical(1), FlipVertical(1), Brightness(0.25))(KEY, IMAGES)
    np.testing.assert_array_equal(alone, between)


def test_two_of_a_class_draw_differently():
    once, twice = Brightness(0.5)(named_key(KEY, "Brightness_0"), IMAGES), Compose(Brightness(0.5), Brightness(0.5))
    assert not np.allclose(twice(KEY, IMAGES) - IMAGES, 2 * (once - IMAGES), atol=1e-3)


def test_any_function_can_stand_in_it():
    def negative(key, images):
        return -images

    np.testing.assert_array_equal(Compose(negative, FlipHorizontal(1))(KEY, IMAGES), -IMAGES[:, :, ::-1])


def test_compositions_nest():
    out = Compose(Compose(FlipHorizontal(1)), Compose(FlipHorizontal(1), FlipVertical(1)))(KEY, IMAGES)
    np.testing.assert_array_equal(out, IMAGES[:, ::-1])


@pytest.mark.full
def test_one_that_mixes_makes_the_whole_mix():
    assert not Compose(Noise(0.5)).mixes
    composed = Compose(FlipHorizontal(1), Mixup(1.0, classes=3))
    assert composed.mixes
    assert Compose(composed).mixes
    labels = np.arange(3)
    inputs, targets = composed(KEY, (IMAGES, labels))
    expected = Mixup(1.0, classes=3)(named_key(KEY, "Mixup_0"), (IMAGES[:, :, ::-1], labels))
    np.testing.assert_array_equal(inputs, expected[0])
    np.testing.assert_array_equal(targets, expected[1])


def test_what_is_composed_is_compared_and_printed():
    one, other = Compose(Noise(0.5), Rotate(30)), Compose(Noise(0.5), Rotate(30))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Compose(Rotate(30), Noise(0.5))
    assert repr(one) == "Compose(Noise(stddev=0.5), Rotate(degrees=30, fill=0.0))"


@pytest.mark.parametrize("wrong", [FlipHorizontal, 3])
def test_what_is_no_augmentation_is_refused(wrong):
    with pytest.raises(TypeError, match=r"expected an augmentation or a function \(key, images\) -> images, got"):
        Compose(wrong)
