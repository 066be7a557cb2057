"""What every augmentation keeps to, over one table of all: a row has one, one that does nothing, and strengths."""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import augment
from fnn.augment import (
    Affine,
    Brightness,
    Compose,
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
IMAGES = np.random.default_rng(0).normal(size=(6, 5, 4, 2)).astype(np.float32)
"""Those that the numbers at the end of this file were made of."""

# the augmentation, the same with strengths that do nothing, and with given strengths (traced, in a test)
ROWS = [
    (Rotate(40), Rotate(0), lambda s: Rotate(40 * s)),
    (Translate(0.3), Translate(0), lambda s: Translate(0.3 * s)),
    (Zoom(0.7, 1.4), Zoom(1, 1), lambda s: Zoom(1 - 0.3 * s, 1 + 0.4 * s)),
    (Shear(30, fill="edge"), Shear(0), lambda s: Shear(30 * s, fill="edge")),
    (Affine(degrees=30, translate=0.2, zoom=(0.8, 1.2), shear=10), Affine(), lambda s: Affine(
        degrees=30 * s, translate=0.2 * s, zoom=(1 - 0.2 * s, 1 + 0.2 * s), shear=10 * s)),
    (FlipHorizontal(), FlipHorizontal(0), lambda s: FlipHorizontal(0.5 * s)),
    (FlipVertical(), FlipVertical(0), lambda s: FlipVertical(0.5 * s)),
    (RandomCrop(2), RandomCrop(0), None),
    (CutOut(2), CutOut(0), lambda s: CutOut(2 * s)),
    (Noise(0.5), Noise(0), lambda s: Noise(0.5 * s)),
    (Brightness(0.5), Brightness(0), lambda s: Brightness(0.5 * s)),
    (Contrast(0.5, 2), Contrast(1, 1), lambda s: Contrast(1 - 0.5 * s, 1 + s)),
    (Compose(Rotate(40), Noise(0.5)), Compose(), lambda s: Compose(Rotate(40 * s), Noise(0.5 * s))),
    (Sometimes(Noise(0.5), 0.7), Sometimes(Noise(0.5), 0), lambda s: Sometimes(Noise(0.5), 0.7 * s)),
    (Mixup(0.7), Mixup(0), lambda s: Mixup(0.7 * s)),
    (CutMix(0.7), CutMix(0), lambda s: CutMix(0.7 * s)),
]  # fmt: skip
each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row[0]).__name__)


def batch(augmentation, images):
    """The images, with targets that name their places if the augmentation mixes."""
    return (images, np.eye(len(images)).astype(images.dtype)) if augmentation.mixes else images


def outcome(augmentation, key, images):
    return augmentation(key, batch(augmentation, images))


def changed(augmentation, key, images, outcome=outcome):
    """The images as the augmentation leaves them."""
    out = outcome(augmentation, key, images)
    return out[0] if augmentation.mixes else out


compiled = jax.jit(outcome, static_argnums=0)
program = functools.partial(changed, outcome=compiled)


def test_the_table_is_complete():
    public = {each for each in vars(augment).values() if inspect.isclass(each)} - {augment.Augmentation, augment.Mixing}
    assert public == {type(augmentation) for augmentation, _, _ in ROWS}


@each_row
def test_shape_and_dtype_stay(row):
    with jax.enable_x64(True):
        for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
            images = IMAGES.astype(dtype)
            out = jax.eval_shape(functools.partial(changed, row[0]), KEY, images)
            assert (out.shape, out.dtype) == (images.shape, images.dtype)


@pytest.mark.full
@each_row
def test_every_precision_draws_alike(row):
    with jax.enable_x64(True):
        one, other, third = (
            np.asarray(changed(row[0], KEY, jnp.asarray(IMAGES, dtype)), np.float64)
            for dtype in (np.float64, np.float32, jnp.bfloat16)
        )
    np.testing.assert_allclose(other, one, atol=2e-6)
    np.testing.assert_allclose(third, one, atol=0.06)


@each_row
@pytest.mark.usefixtures("strict_numerics")
def test_nothing_is_promoted(row):
    jax.eval_shape(functools.partial(changed, row[0]), KEY, IMAGES)


@pytest.mark.full
@each_row
def test_a_key_gives_the_same_bits_and_another_key_others(row):
    once, again = program(row[0], KEY, IMAGES), program(row[0], KEY, IMAGES)
    assert np.array_equal(once, again)
    assert not np.array_equal(once, IMAGES)
    assert not np.array_equal(once, program(row[0], jax.random.key(1), IMAGES))


@pytest.mark.full
@each_row
def test_jit_changes_nothing(row):
    np.testing.assert_allclose(program(row[0], KEY, IMAGES), changed(row[0], KEY, jnp.asarray(IMAGES)), atol=2e-6)


@pytest.mark.full
@each_row
def test_every_image_draws_its_own(row):
    if row[0].mixes:
        # Of equal images a mix shows nothing: here they differ, and the shares are read off the targets.
        _, places = compiled(row[0], KEY, IMAGES)
        assert len(np.unique(np.asarray(places).max(1))) > 3
    else:
        images = np.broadcast_to(IMAGES[:1], IMAGES.shape)
        assert len(np.unique(np.asarray(program(row[0], KEY, images)), axis=0)) > 1


ALONE = [row for row in ROWS if not row[0].mixes]


# One class gives all of them a key an image, so the first stands for the others in the quick proof.
@pytest.mark.parametrize(
    "row",
    [ALONE[0], *(pytest.param(row, marks=pytest.mark.full) for row in ALONE[1:])],
    ids=[type(row[0]).__name__ for row in ALONE],
)
def test_what_happens_to_an_image_does_not_depend_on_those_beside_it(row):
    whole, part = (program(row[0], KEY, IMAGES[:count]) for count in (6, 2))
    np.testing.assert_allclose(whole[:2], part, atol=2e-6)


@each_row
def test_what_does_nothing_leaves_the_images_bit_for_bit(row):
    images = IMAGES.copy()
    images[0, 0, 0], images[1, 0, 0] = -0.0, np.nan
    left = np.asarray(program(row[1], KEY, images))
    assert np.array_equal(left.view(np.uint32), images.view(np.uint32))


@pytest.mark.parametrize("row", [row for row in ROWS if row[2]], ids=lambda row: type(row[0]).__name__)
def test_strengths_can_be_traced(row):
    out = jax.eval_shape(lambda strength: changed(row[2](strength), KEY, IMAGES), 0.5)
    assert out.shape == IMAGES.shape


@pytest.mark.full
@each_row
def test_strengths_and_keys_can_be_mapped_over(row):
    keys, strengths = jax.random.split(KEY, 2), np.array([0.0, 1.0], np.float32)
    make = row[2] or (lambda _: row[0])
    outs = jax.jit(jax.vmap(lambda strength, key: changed(make(strength), key, IMAGES)))(strengths, keys)
    np.testing.assert_allclose(outs[1], program(row[0], keys[1], IMAGES), atol=1e-5)
    if row[2]:
        np.testing.assert_array_equal(outs[0], IMAGES)


@each_row
def test_it_is_a_value(row):
    augmentation = row[0]
    again = eval(repr(augmentation), dict(vars(augment)))
    assert again == augmentation
    assert hash(again) == hash(augmentation)
    assert row[1] != augmentation
    field = dataclasses.fields(augmentation)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(augmentation, field, 1)


# The second row of the first two images, in the first channel, as drawn when this was written.
GOLDEN = {
    "Rotate": [[-0.44855, -0.46367, -1.47249, -0.70228], [0.66329, 0.21579, -0.14372, 0.99882]],
    "Translate": [[0.0, -0.46433, 0.31839, -0.10775], [0.0, 0.43259, 0.77095, 0.15382]],
    "Zoom": [[-0.21196, -0.23787, -1.50239, -0.19502], [0.31846, 0.71117, 0.02252, -0.13545]],
    "Shear": [[-0.70374, -0.6335, -2.10873, -1.38307], [1.30736, 0.23355, -0.44385, -1.28836]],
    "Affine": [[0.0, -0.48537, -0.01619, -1.36059], [-0.57398, 1.25707, 0.14768, -0.94276]],
    "FlipHorizontal": [[-0.70374, -0.62327, -2.32503, -1.24591], [-1.28836, -0.00445, 0.35738, 1.80163]],
    "FlipVertical": [[-0.70374, -0.62327, -2.32503, -1.24591], [0.32897, 1.58347, 0.63335, 0.05203]],
    "RandomCrop": [[0.0, 0.12573, 0.64042, -0.53567], [1.80163, 0.35738, -0.00445, -1.28836]],
    "CutOut": [[0.0, -0.62327, -2.32503, -1.24591], [0.0, 0.35738, -0.00445, -1.28836]],
    "Noise": [[0.12708, -1.26774, -2.90155, -0.37351], [1.14637, 0.26259, -0.655, -1.47486]],
    "Brightness": [[-0.36142, -0.28096, -1.98272, -0.9036], [1.30893, -0.13533, -0.49716, -1.78107]],
    "Contrast": [[-1.03444, -0.89255, -3.89354, -1.99055], [1.11702, 0.37909, 0.19422, -0.46178]],
    "Compose": [[-0.49053, -0.46117, -1.57928, -0.45469], [1.22614, 1.45142, 0.82087, -0.70577]],
    "Sometimes": [[-0.70374, -0.62327, -2.32503, -1.24591], [2.03413, -0.81755, -0.34818, -0.51858]],
    "Mixup": [[-0.69919, -0.60839, -2.29487, -1.22531], [-0.46662, -0.21475, -0.38453, 0.0765]],
    "CutMix": [[-0.70374, -0.62327, -2.32503, -1.24591], [-0.75461, -0.28739, -0.00445, -1.28836]],
}


@pytest.mark.full
@each_row
def test_the_draws_are_those_of_before(row):
    name = type(row[0]).__name__
    np.testing.assert_allclose(program(row[0], KEY, IMAGES)[:2, 1, :, 0], GOLDEN[name], atol=1e-5)
