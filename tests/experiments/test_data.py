"""The split of the digits is fixed."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments import data

DIGITS = data.load_digits()


def test_the_parts_have_no_image_in_common_and_cover_all():
    indices = np.concatenate([part.indices for part in DIGITS])
    assert sorted(indices) == list(range(1797))
    assert [len(part.labels) for part in DIGITS] == [1293, 144, 360]


def test_the_parts_are_stratified():
    shares = [np.bincount(part.labels, minlength=10) / len(part.labels) for part in DIGITS]
    assert max(np.abs(share - shares[0]).max() for share in shares) < 0.01


def test_the_split_is_the_one_that_the_figures_were_measured_on():
    assert DIGITS.checksum == "bac98ac32cf258c6"


def test_pixels_lie_between_0_and_1():
    images = DIGITS.train.images
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)


def test_shifts_move_by_one_pixel_at_most_and_keep_most_images_whole():
    image = jnp.zeros((8, 8, 1)).at[3, 4].set(1)
    moved = data.shift(jax.random.key(0), jnp.broadcast_to(image, (200, 8, 8, 1)))
    places = {tuple(map(int, place[1:3])) for place in np.argwhere(np.asarray(moved))}
    assert places == {(3 + i, 4 + j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
