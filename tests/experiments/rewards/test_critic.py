"""A quick run with a critic: it learns from the fraction of correct bits, and each rule can say no."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.rewards.critic import LEVEL, WAYS, checks_until, chosen, listed
from experiments.rewards.critic_plots import STYLES
from experiments.rewards.critic_training import BITS, Reinforce, fraction, total_variance

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_it_learns_from_the_fraction_and_later_than_from_the_targets(run):
    needed = np.array(run.figures["needed"])
    assert needed.shape == (len(BITS), len(WAYS), run.study.seeds)
    targets, critic, alone = needed.transpose(1, 0, 2)
    assert max(targets.max(), critic.max()) <= run.figures["possible"]
    assert (critic[-1] > 2 * targets[-1]).all()
    assert (alone[-1] > critic[-1]).all()
    accuracies = np.array(run.figures["accuracies"])
    assert accuracies.shape == (*needed.shape, len(run.figures["samples"]))
    assert accuracies[:, 0, :, -1].min() > LEVEL
    assert list(STYLES) == list(WAYS)


def test_the_baseline_lowers_the_variance_more_the_more_bits_there_are(run):
    variances = np.array(run.figures["variances"])
    ratios = np.median(variances[..., 1] / variances[..., 0], 1)
    assert ratios.min() > 1.5
    assert (np.diff(ratios) > 0).all()


def test_every_rule_can_say_the_opposite(run):
    needed, most = np.ones((len(BITS), len(WAYS), 3)), run.figures["possible"]
    needed[:, 1] = 2 * np.array(BITS)[:, None]
    needed[:, 2] = 2 * needed[:, 1]
    good = needed.tolist()
    assert run.verdict("It learns", needed=good) == "holds"
    assert run.verdict("It needs more", needed=good) == "holds"
    assert run.verdict("The more output bits", needed=good) == "holds"
    assert run.verdict("lowers the samples", needed=good) == "holds"
    late, equal, alike = needed.copy(), needed.copy(), needed.copy()
    late[3, 1, 0], equal[0, 1, 0], alike[:, 1] = most + 1, 1, 2
    assert run.verdict("It learns", needed=late.tolist()) == "does not hold"
    assert run.verdict("It needs more", needed=equal.tolist()) == "holds only when there are 2 or 4 or 8 bits"
    assert run.verdict("The more output bits", needed=alike.tolist()) == "does not hold"
    first = needed.copy()
    first[0, 1] = 4
    assert run.verdict("The more output bits", needed=first.tolist()) == "holds only when there are 2 bits or more"
    useless, sometimes = needed.copy(), needed.copy()
    useless[:, 2], sometimes[:2, 2] = needed[:, 1], needed[:2, 1]
    assert run.verdict("lowers the samples", needed=useless.tolist()) == "does not hold"
    assert run.verdict("lowers the samples", needed=sometimes.tolist()) == "holds only when there are 4 or 8 bits"
    assert run.verdict("lowers the variance") == "holds"
    higher = np.array(run.figures["variances"])[..., ::-1]
    assert run.verdict("lowers the variance", variances=higher.tolist()) == "does not hold"


def test_the_loss_and_its_gradient_worked_by_hand():
    told = {"bits": jnp.array([[1.0, 0.0], [1.0, 1.0]]), "advantages": jnp.array([[2.0, 2.0], [-1.0, 0.0]])}
    value, cache = Reinforce().forward(jnp.log(jnp.array([[1.0, 1.0], [3.0, 1.0]])), told)
    # log p is 2 log ½ and log ¾; A (σ(z) − a) / 2 is ±2 · ½ / 2, and −1 · (¾ − 1) / 2.
    np.testing.assert_allclose(value, (4 * np.log(2) + np.log(0.75)) / 2)
    np.testing.assert_allclose(Reinforce().backward(cache), [[-0.5, 0.5], [0.125, 0]], atol=1e-15)


@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_the_mean_of_the_estimate_is_the_gradient_of_the_expected_fraction_whatever_the_baseline(baseline):
    logits, target, used = jnp.array([[0.3, -0.8, 0.0]]), jnp.array([True, True, False]), jnp.array([True, True, False])
    probabilities, total = fnn.Sigmoid()(logits[0]), np.zeros(3)
    for bits in itertools.product((0.0, 1.0), repeat=3):
        guess = jnp.array(bits)
        chance = jnp.where(guess == 1, probabilities, 1 - probabilities).prod()
        advantage = (fraction(guess == target, used) - baseline) * used
        _, cache = Reinforce().forward(logits, {"bits": guess[None], "advantages": advantage[None]})
        total += float(chance) * np.asarray(Reinforce().backward(cache))[0]
    # The expected fraction is (p₁ + p₂) / 2, with the slopes p (1 − p) / 2; the loss is its negative.
    slopes = np.asarray(probabilities * (1 - probabilities) / 2) * [1, 1, 0]
    np.testing.assert_allclose(total, -slopes, atol=1e-15)


def test_numbers_worked_by_hand():
    correct, used = jnp.array([[True, False, True], [False, False, True]]), jnp.array([True, True, False])
    np.testing.assert_allclose(fraction(correct, used), [0.5, 0])
    assert float(total_variance({"a": jnp.array([0.0, 2.0]), "b": jnp.array([[1.0, 1.0], [1.0, 5.0]])})) == 5
    assert checks_until(np.array([[False, True, False], [False, False, False]])).tolist() == [2, 4]
    assert chosen(np.arange(6).reshape(1, 2, 3), np.array([[2, 0]])).tolist() == [[2, 3]]
    assert listed([1, 2, 3, 4], "{:.1f} times") == "1.0 times, 2.0 times, 3.0 times, 4.0 times for 1, 2, 4, 8 bits"


def test_a_weight_cannot_be_an_advantage():
    weights = jnp.array([-1.0])
    with pytest.raises(ValueError, match="weights"):
        fnn.BinaryCrossEntropy()(jnp.zeros((1, 2)), jnp.ones((1, 2)), weights)
    assert jnp.isnan(jax.jit(fnn.BinaryCrossEntropy())(jnp.zeros((1, 2)), jnp.ones((1, 2)), weights))
