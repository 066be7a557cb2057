"""Mixup and CutMix: what is mixed with what, in which share, with which targets and weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

import fnn
from fnn.augment import CutMix, Mixup
from fnn.layer import named_key
from tests.drawing import drawn

KEY = jax.random.key(5)
N = 8
IMAGES = drawn("eight images", N, 6, 5, 2).astype(np.float32)
LABELS = np.arange(N, dtype=np.int32) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
BOTH = pytest.mark.parametrize("kind", [Mixup, CutMix])
MIXUP_FIRST = pytest.mark.parametrize("kind", [Mixup, pytest.param(CutMix, marks=pytest.mark.full)])
"""What one class does for both; a program of each takes a second to compile."""


@functools.partial(jax.jit, static_argnums=0)
def program(augmentation, key, batch):
    return augmentation(key, batch)


def mixed(augmentation, *batch):
    return jax.tree.map(np.asarray, program(augmentation, KEY, batch))


@functools.partial(jax.jit, static_argnums=(0, 1))
def own_and_partner(kind, count, alpha, probability):
    images = jnp.broadcast_to(IMAGES[:1], (count, *IMAGES.shape[1:]))
    _, rows = kind(alpha, probability=probability)(KEY, (images, jnp.eye(count)))
    return jnp.diagonal(rows), jax.random.permutation(named_key(KEY, "partner"), count)


def shares(kind, count=N, alpha=1.0, probability=1.0):
    """λ (N,) and the partner (N,), read off targets that name the sample."""
    own, partner = map(np.asarray, own_and_partner(kind, count, alpha, probability))
    return np.where(partner == np.arange(count), 1, own), partner


@pytest.mark.full
def test_mixup_adds_up_pairs_and_their_targets():
    inputs, targets = mixed(Mixup(1.0, classes=3), IMAGES, LABELS)
    own, partner = shares(Mixup)
    assert ((own > 0.02) & (own < 0.98)).sum() > N / 2
    share = own[:, None, None, None]
    np.testing.assert_allclose(inputs, share * IMAGES + (1 - share) * IMAGES[partner], atol=1e-6)
    np.testing.assert_allclose(targets, own[:, None] * ONE_HOT + (1 - own)[:, None] * ONE_HOT[partner], atol=1e-6)


@pytest.mark.full
def test_cut_mix_pastes_a_rectangle_and_counts_its_pixels():
    inputs, targets = mixed(CutMix(1.0, classes=3), IMAGES, LABELS)
    _, partner = shares(CutMix)
    for place in np.flatnonzero(partner != np.arange(N)):
        pasted = (inputs[place] != IMAGES[place]).all(-1)
        np.testing.assert_array_equal(inputs[place][pasted], IMAGES[partner[place]][pasted])
        np.testing.assert_array_equal(inputs[place][~pasted], IMAGES[place][~pasted])
        assert pasted.sum() == pasted.any(0).sum() * pasted.any(1).sum()
        left = 1 - pasted.mean()
        np.testing.assert_allclose(targets[place], left * ONE_HOT[place] + (1 - left) * ONE_HOT[partner[place]], 1e-6)


@pytest.mark.full
def test_a_cut_mix_rectangle_has_about_the_drawn_area():
    # Of a rectangle of H√(1 − μ) by W√(1 − μ) with μ uniform, at a uniform centre, edges leave 0.36 of the image
    # on average (a side s keeps s − s²/4), and whole pixels take some more.
    own, _ = shares(CutMix, count=3000)
    assert 0.24 < 1 - own.mean() < 0.37


@pytest.mark.full
@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_are_beta_distributed(alpha):
    own, partner = shares(Mixup, count=3000, alpha=alpha)
    own = own[partner != np.arange(3000)]
    assert abs(own.mean() - 0.5) < 0.03
    assert abs(own.var() - 1 / (4 * (2 * alpha + 1))) < 0.012


@pytest.mark.full
def test_probability_is_how_many_are_mixed():
    own, _ = shares(Mixup, count=3000, probability=0.3)
    assert abs((own < 1).mean() - 0.3) < 0.04


@MIXUP_FIRST
def test_nothing_mixed_is_bit_for_bit_the_same_with_soft_labels(kind):
    for options in ({"alpha": 0}, {"alpha": 1.0, "probability": 0}):
        inputs, targets = mixed(kind(**options, classes=3), IMAGES, LABELS)
        assert np.array_equal(inputs, IMAGES)
        assert np.array_equal(targets, ONE_HOT)


@pytest.mark.full
@BOTH
def test_floating_targets_are_mixed_as_they_are(kind, random):
    values = random(N, 2).astype(jnp.bfloat16)
    _, targets = mixed(kind(1.0), IMAGES, values)
    own, partner = shares(kind)
    wide = np.asarray(values, np.float32)
    assert targets.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.asarray(targets, np.float32), own[:, None] * wide + (1 - own)[:, None] * wide[partner], atol=0.02
    )


@pytest.mark.full
def test_tables_can_be_mixed_up_too():
    table = np.arange(4, dtype=np.float32)
    inputs, targets = mixed(Mixup(1.0), table[:, None], 2 * table)
    np.testing.assert_allclose(2 * inputs[:, 0], targets, atol=1e-6)


@pytest.mark.full
@MIXUP_FIRST
def test_cross_entropy_of_the_mix_is_that_of_both_labels_with_their_weights(kind, random, draw):
    w, logits = draw.uniform(0.2, 3, N).astype(np.float32), random(N, 3).astype(np.float32)
    _, targets, weights = mixed(kind(1.0, classes=3), IMAGES, LABELS, w)
    own, partner = shares(kind)
    each, places = -log_softmax(logits, -1), np.arange(N)
    first, second = own * w, (1 - own) * w[partner]
    expected = (first * each[places, LABELS] + second * each[places, LABELS[partner]]).sum() / (first + second).sum()
    np.testing.assert_allclose(weights, first + second, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(fnn.CrossEntropy())(logits, targets, weights), expected, rtol=1e-5)


@pytest.mark.full
@BOTH
def test_equal_weights_change_nothing(kind):
    inputs, targets = mixed(kind(1.0, classes=3), IMAGES, LABELS)
    others = mixed(kind(1.0, classes=3), IMAGES, LABELS, np.full(N, 2, np.int32))
    np.testing.assert_array_equal(inputs, others[0])
    np.testing.assert_allclose(targets, others[1], atol=1e-6)
    np.testing.assert_allclose(others[2], 2.0, rtol=1e-6)


@MIXUP_FIRST
def test_a_sample_of_weight_0_is_in_no_other(kind):
    weights, images = np.ones(N, np.float32), IMAGES.copy()
    weights[2], images[2] = 0, np.nan
    inputs, targets, left = mixed(kind(1.0, classes=3), images, LABELS, weights)
    assert np.isnan(inputs[2]).all()
    assert np.isfinite(np.delete(inputs, 2, axis=0)).all()
    assert left[2] == 0
    assert np.isfinite(targets).all()
    np.testing.assert_array_equal(targets[2], ONE_HOT[2])


def test_a_label_that_does_not_exist_raises_or_shows():
    with pytest.raises(ValueError, match=r"labels lie in \[0, 2\), got \[2\]"):
        Mixup(1.0, classes=2)(KEY, (IMAGES, LABELS))
    _, targets = mixed(Mixup(0.0, classes=2), IMAGES, LABELS)
    assert (np.isnan(targets).all(-1) == (LABELS == 2)).all()


@pytest.mark.full
@BOTH
@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (IMAGES, TypeError, r"a batch is \(inputs, targets\) or \(inputs, targets, weights\), got"),
        ((IMAGES, LABELS), ValueError, r"integer targets cannot be mixed, got int32\[8\]; .*\(1.0, classes=10\)"),
        ((IMAGES, LABELS == 0), TypeError, r"labels or floating numbers, got bool\[8\]"),
        ((LABELS, ONE_HOT), TypeError, r"expected an array of floating dtype"),
        ((IMAGES, ONE_HOT, ONE_HOT[:, :2]), ValueError, r"one weight per sample, \(8,\), got float32\[8,2\]"),
        ((IMAGES, ONE_HOT, -np.ones(N, np.float32)), ValueError, r"weights are at least 0"),
    ],
    ids=range(6),
)  # fmt: skip
def test_a_batch_that_cannot_be_mixed_says_why(kind, batch, error, message):
    with pytest.raises(error, match=message):
        kind(1.0)(KEY, batch)


@pytest.mark.full
def test_cut_mix_needs_images():
    with pytest.raises(ValueError, match=r"CutMix expects images \(N, H, W, C\), got a sample float32\[4\]"):
        CutMix(1.0)(KEY, (np.ones((N, 4), np.float32), np.ones(N, np.float32)))


@pytest.mark.full
@BOTH
def test_a_batch_of_one_stays(kind):
    inputs, targets = mixed(kind(1.0, classes=3), IMAGES[:1], LABELS[:1])
    np.testing.assert_allclose(inputs, IMAGES[:1], rtol=1e-6)
    np.testing.assert_allclose(targets, ONE_HOT[:1], rtol=1e-6)
