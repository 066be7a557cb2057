"""A quick run of denoising: what it learns, and that each rule can say no."""

import numpy as np
import pytest

from experiments.unsupervised.denoising import SPIKY, span
from experiments.unsupervised.denoising_rivals import LEVELS, drawn, error, filters, linear

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_noise_in_training_helps_where_there_is_noise(run):
    errors, noisy = np.array(run.figures["errors"]), np.array(run.figures["noisy"])
    assert errors.shape == (len(LEVELS), run.study.seeds, 2, len(LEVELS))
    np.testing.assert_allclose(noisy[:, 0], np.square([LEVELS] * run.study.seeds), rtol=0.03)
    # With strong noise, one trained with it is better than the image, the plain one, and those of less noise.
    assert (errors[-1, :, 0, -1] < noisy[:, 0, -1]).all()
    assert (np.diff(errors[:, :, 0, -1].mean(1)) < 0).all()
    # On clean images the plain one is better.
    assert (errors[0, :, 0, 0] < errors[-1, :, 0, 0]).all()
    assert run.verdict("Whatever noise") != "holds"


def test_every_rule_can_say_the_opposite(run):
    size = len(LEVELS)
    ones = np.ones((size, run.study.seeds, 2, size))
    rival = np.full(ones.shape[1:], 2.0)
    others = {"noisy": rival.tolist(), "linear": rival.tolist(), "filters": {"one": rival.tolist()}}

    def verdict(claim: str, errors: np.ndarray, **changed: object) -> str:
        return run.verdict(claim, **others | {"errors": errors.tolist()} | changed)

    good = ones.copy()
    good[0] = 2.0  # the plain one
    good[np.arange(size), ..., np.arange(size)] = 0.5
    for name, key in (("the noisy image", "noisy"), ("the best linear map", "linear")):
        weak, all_levels = rival.copy(), np.full(rival.shape, 0.1).tolist()
        weak[..., :2] = 0.1
        assert verdict(f"than {name}", good) == "holds"
        at_strong = "holds only when the standard deviation of the noise is 0.2 or more"
        assert verdict(f"than {name}", good, **{key: weak.tolist()}) == at_strong
        assert verdict(f"than {name}", good, **{key: all_levels}) == "does not hold"
    best = {"one": rival.tolist(), "another": np.full(rival.shape, 0.1).tolist()}
    assert verdict("best of the filters", good) == "holds"
    assert verdict("best of the filters", good, filters=best) == "does not hold"
    assert verdict("than a plain autoencoder", good) == "holds"
    assert verdict("than a plain autoencoder", np.concatenate([0.1 * good[:1], good[1:]])) == "does not hold"
    everywhere = good.copy()
    everywhere[0] = 2.0
    assert verdict("Whatever noise", everywhere) == "holds"
    everywhere[2:, :, 0, :2] = 3.0  # worse where there is less noise than in training
    assert verdict("Whatever noise", everywhere) == "holds only when the noise is at least as strong as in its training"
    everywhere[1, :, 0, -1] = 3.0
    assert verdict("Whatever noise", everywhere) == "does not hold"
    assert verdict("as much noise as there will be", good) == "holds"
    assert verdict("as much noise as there will be", np.flip(good, 0)) == "does not hold"
    assert verdict("of another kind", good) == "holds"
    spiky = good.copy()
    spiky[:, 0, 1, SPIKY] = 3.0
    assert verdict("of another kind", spiky) == "does not hold"


def test_noise_has_the_mean_square_of_its_level():
    images = np.full((4000, 4), 0.5)
    noisy = drawn(images, images, 0)
    assert noisy.shape == (2, len(LEVELS), 4000, 4)
    np.testing.assert_array_equal(noisy[:, 0], np.stack([images] * 2))
    # The change of a replaced pixel is ½ here, so 0.04 / 0.25 of them are replaced at the level 0.2.
    assert set(np.unique(noisy[1])) == {0, 0.5, 1}
    np.testing.assert_allclose((noisy[1, 2] != 0.5).mean(), 0.16, atol=0.01)
    np.testing.assert_allclose(np.square(noisy - 0.5).mean((2, 3))[0], np.square(LEVELS), rtol=0.03, atol=1e-12)
    np.testing.assert_allclose(np.square(noisy - 0.5).mean((2, 3))[1, :5], np.square(LEVELS[:5]), rtol=0.05)


def test_errors_filters_and_linear_maps_worked_by_hand():
    assert error(np.array([[[1.0, 3.0]], [[0.0, 0.0]]]), np.zeros((1, 2))).tolist() == [5, 0]
    assert span(np.array([0.25, 1.0, 0.5])) == "0.25 to 1.00"
    dot = np.zeros((8, 8))
    dot[4, 4] = 1.0
    made = filters(dot.reshape(1, 64))
    assert made["median of 3 × 3"].max() == 0  # one bright pixel of nine is no median
    for name, image in made.items():
        if name.startswith("Gaussian"):
            np.testing.assert_allclose(image.sum(), 1, rtol=1e-6)
    # Two pixels of variances 1 and 0 around (0, 2): the first shrinks by 1 / (1 + σ²), the other is put at its mean.
    x = np.array([[-1.0, 2.0], [1.0, 2.0]])
    mapped = linear(np.tile(np.array([3.0, 5.0]), (len(LEVELS), 1, 1)), x)
    np.testing.assert_allclose(mapped[:, 0], [(3 / (1 + level**2), 2) for level in LEVELS])
