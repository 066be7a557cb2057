"""Mixup and CutMix: what is mixed with what, in which share, with which targets and weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.augment import CutMix, Mixup
from fnn.layer import named_key

KEY = jax.random.key(5)
N = 8
IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(N, 6, 5, 2)), jnp.float32)
LABELS = jnp.arange(N) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
BOTH = pytest.mark.parametrize("kind", [Mixup, CutMix])


def shares(kind, key=KEY, count=N, **options):
    """λ (N,) and the partner (N,), read off targets that name the sample."""
    images = jnp.broadcast_to(IMAGES[:1], (count, *IMAGES.shape[1:]))
    _, rows = kind(**{"alpha": 1.0} | options)(key, (images, jnp.eye(count)))
    partner = np.asarray(jax.random.permutation(named_key(key, "partner"), count))
    own = np.where(partner == np.arange(count), 1, np.asarray(rows)[np.arange(count), np.arange(count)])
    return own, partner


def test_mixup_adds_up_pairs_and_their_targets():
    inputs, targets = Mixup(1.0, classes=3)(KEY, (IMAGES, LABELS))
    own, partner = shares(Mixup)
    assert ((own > 0.02) & (own < 0.98)).sum() > N / 2
    images, share = np.asarray(IMAGES), own[:, None, None, None]
    np.testing.assert_allclose(inputs, share * images + (1 - share) * images[partner], atol=1e-6)
    np.testing.assert_allclose(targets, own[:, None] * ONE_HOT + (1 - own)[:, None] * ONE_HOT[partner], atol=1e-6)


def test_cut_mix_pastes_a_rectangle_and_counts_its_pixels():
    inputs, targets = CutMix(1.0, classes=3)(KEY, (IMAGES, LABELS))
    _, partner = shares(CutMix)
    for place in range(N):
        if partner[place] == place:
            continue
        pasted = (np.asarray(inputs[place]) != np.asarray(IMAGES[place])).all(-1)
        np.testing.assert_array_equal(inputs[place][pasted], IMAGES[partner[place]][pasted])
        np.testing.assert_array_equal(inputs[place][~pasted], IMAGES[place][~pasted])
        assert pasted.sum() == pasted.any(0).sum() * pasted.any(1).sum()
        left = 1 - pasted.mean()
        np.testing.assert_allclose(targets[place], left * ONE_HOT[place] + (1 - left) * ONE_HOT[partner[place]], 1e-6)


def test_a_cut_mix_rectangle_has_about_the_drawn_area():
    # Of a rectangle of H√(1 − μ) by W√(1 − μ) with μ uniform, at a uniform centre, edges leave 0.36 of the image
    # on average (a side s keeps s − s²/4), and whole pixels take some more.
    own, _ = shares(CutMix, count=3000)
    assert 0.24 < 1 - own.mean() < 0.37


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_of_mixup_are_beta_distributed(alpha):
    own, partner = shares(Mixup, count=3000, alpha=alpha)
    own = own[partner != np.arange(3000)]
    assert abs(own.mean() - 0.5) < 0.03
    assert abs(own.var() - 1 / (4 * (2 * alpha + 1))) < 0.012


def test_probability_is_how_many_are_mixed():
    own, _ = shares(Mixup, count=2000, probability=0.3)
    assert abs((own < 1).mean() - 0.3) < 0.04


@BOTH
def test_nothing_mixed_is_bit_for_bit_the_same_with_soft_labels(kind):
    for options in ({"alpha": 0}, {"alpha": 1.0, "probability": 0}):
        inputs, targets = kind(**options, classes=3)(KEY, (IMAGES, LABELS))
        assert np.array_equal(inputs, IMAGES)
        assert np.array_equal(targets, ONE_HOT)


@BOTH
def test_floating_targets_are_mixed_as_they_are(kind):
    values = jnp.asarray(np.random.default_rng(1).normal(size=(N, 2)), jnp.bfloat16)
    _, targets = kind(1.0)(KEY, (IMAGES, values))
    own, partner = shares(kind)
    wide = np.asarray(values, np.float32)
    assert targets.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.asarray(targets, np.float32), own[:, None] * wide + (1 - own)[:, None] * wide[partner], atol=0.02
    )


def test_tables_can_be_mixed_up_too():
    inputs, targets = Mixup(1.0)(KEY, (jnp.arange(4.0)[:, None], 2 * jnp.arange(4.0)))
    np.testing.assert_allclose(2 * inputs[:, 0], targets, atol=1e-6)


@BOTH
def test_cross_entropy_of_the_mix_is_that_of_both_labels_with_their_weights(kind):
    weights = jnp.asarray(np.random.default_rng(2).uniform(0.2, 3, N), jnp.float32)
    logits = jnp.asarray(np.random.default_rng(3).normal(size=(N, 3)), jnp.float32)
    _, targets, mixed = kind(1.0, classes=3)(KEY, (IMAGES, LABELS, weights))
    own, partner = shares(kind)
    each = -np.asarray(jax.nn.log_softmax(logits))
    places, labels, w = np.arange(N), np.asarray(LABELS), np.asarray(weights)
    first, second = own * w, (1 - own) * w[partner]
    expected = (first * each[places, labels] + second * each[places, labels[partner]]).sum() / (first + second).sum()
    np.testing.assert_allclose(mixed, first + second, rtol=1e-5)
    np.testing.assert_allclose(fnn.CrossEntropy()(logits, targets, mixed), expected, rtol=1e-5)


@BOTH
def test_equal_weights_change_nothing(kind):
    inputs, targets = kind(1.0, classes=3)(KEY, (IMAGES, LABELS))
    others = kind(1.0, classes=3)(KEY, (IMAGES, LABELS, jnp.full(N, 2, jnp.int32)))
    np.testing.assert_array_equal(inputs, others[0])
    np.testing.assert_allclose(targets, others[1], atol=1e-6)
    np.testing.assert_allclose(others[2], 2.0, rtol=1e-6)


@BOTH
def test_a_sample_of_weight_0_is_in_no_other(kind):
    weights = jnp.ones(N).at[2].set(0)
    images = IMAGES.at[2].set(jnp.nan)
    inputs, targets, mixed = kind(1.0, classes=3)(KEY, (images, LABELS, weights))
    assert jnp.isnan(inputs[2]).all()
    assert jnp.isfinite(jnp.delete(inputs, 2, axis=0)).all()
    assert mixed[2] == 0
    assert jnp.isfinite(targets).all()
    np.testing.assert_array_equal(targets[2], ONE_HOT[2])


def test_a_label_that_does_not_exist_raises_or_shows():
    with pytest.raises(ValueError, match=r"labels lie in \[0, 2\), got \[2\]"):
        Mixup(1.0, classes=2)(KEY, (IMAGES, LABELS))
    _, targets = jax.jit(Mixup(0.0, classes=2))(KEY, (IMAGES, LABELS))
    assert (jnp.isnan(targets).all(-1) == (LABELS == 2)).all()


@BOTH
@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (IMAGES, TypeError, r"a batch is \(inputs, targets\) or \(inputs, targets, weights\), got"),
        ((IMAGES, LABELS), ValueError, r"the targets are integers, int32\[8\], .*\(1.0, classes=10\) makes"),
        ((IMAGES, LABELS == 0), TypeError, r"labels or floating numbers, got bool\[8\]"),
        ((LABELS, ONE_HOT), TypeError, r"expected an array of floating dtype"),
        ((IMAGES, ONE_HOT, jnp.ones((N, 2))), ValueError, r"one weight for each, \(8,\), got float32\[8,2\]"),
        ((IMAGES, ONE_HOT, -jnp.ones(N)), ValueError, r"weights are at least 0"),
    ],
    ids=range(6),
)  # fmt: skip
def test_a_batch_that_cannot_be_mixed_says_why(kind, batch, error, message):
    with pytest.raises(error, match=message):
        kind(1.0)(KEY, batch)


def test_cut_mix_needs_images():
    with pytest.raises(ValueError, match=r"CutMix pastes parts of images \(N, H, W, C\), got a sample float32\[4\]"):
        CutMix(1.0)(KEY, (jnp.ones((N, 4)), jnp.ones(N)))


@BOTH
def test_a_batch_of_one_stays(kind):
    inputs, targets = jax.jit(functools.partial(kind(1.0, classes=3), KEY))((IMAGES[:1], LABELS[:1]))
    np.testing.assert_allclose(inputs, IMAGES[:1], rtol=1e-6)
    np.testing.assert_allclose(targets, ONE_HOT[:1], rtol=1e-6)
