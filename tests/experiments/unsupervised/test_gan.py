"""A quick run of the generative adversarial network: what it learns, and that each rule can say no."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.study import GRADIENTS
from experiments.unsupervised.gan import COVERED, GUESSED, Gan
from experiments.unsupervised.gan_measures import frechet, rank_correlations
from experiments.unsupervised.gan_training import (
    CODE,
    PIXELS,
    generator,
    gradients,
    judged_batch,
    losses,
    lowered,
    players,
)

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_samples_come_closer_and_steps_lower_the_losses(run):
    distance = np.array(run.figures["distance"])
    assert distance.shape == (run.study.seeds, run.study.moments + 1)
    assert (distance[:, -1] < distance[:, 0]).all()
    assert run.figures["between real"] < distance.min()
    assert run.figures["classifier"] > 0.9
    assert max(run.figures["accuracy"][0]) > 0.6  # the discriminator has learned something
    assert run.verdict("no error functions") == run.verdict("clusters") == "does not hold"
    assert run.figures[GRADIENTS].count("manual = reverse") == 2


def test_every_rule_can_say_the_opposite(run):
    seeds, moments = run.study.seeds, run.study.moments + 1
    ones = np.ones((seeds, moments))
    risen = (-np.ones((seeds, moments, 2))).tolist()
    risen[0][1][0] = 0.1
    assert run.verdict("no error functions", lowered=risen) == "holds"
    rand = run.figures["rand"]
    assert run.verdict("clusters", rand=rand | {"discriminator": [rand["pixels"]] * seeds}) == "holds"
    falling = np.linspace(40, 1, moments) * ones
    assert run.verdict("come closer", distance=falling.tolist()) == "holds"
    to_a_quarter = [*falling[1:].tolist(), np.linspace(40, 10, moments).tolist()]
    assert run.verdict("come closer", distance=to_a_quarter) == "does not hold"
    guessing = {"accuracy": (0.52 * ones).tolist(), "discriminator": (GUESSED * ones).tolist()}
    assert run.verdict("ends up guessing", **guessing) == "holds"
    assert run.verdict("ends up guessing", **guessing | {"accuracy": (0.6 * ones).tolist()}) == "does not hold"
    assert run.verdict("ends up guessing", **guessing | {"discriminator": ones.tolist()}) == "does not hold"
    told = {"distance": falling.tolist(), "generator": falling.tolist()}
    assert run.verdict("loss tells", **told) == "holds"
    assert run.verdict("loss tells", **told | {"generator": (-falling).tolist()}) == "does not hold"
    first_low = np.concatenate([0 * falling[:, :1], falling[:, 1:]], 1)
    assert (
        run.verdict("loss tells", **told | {"generator": first_low.tolist()}) == "holds only when the start is left out"
    )
    assert run.verdict("All ten digits", shares=[[0.1] * 10] * seeds) == "holds"
    missing = [0.2 - COVERED / 2, COVERED / 2, *[0.1] * 8]
    assert run.verdict("All ten digits", shares=[missing] * seeds) == "does not hold"


def test_moments_must_divide_the_steps():
    with pytest.raises(ValueError, match="3 moments are equally spaced"):
        Gan(steps=100, moments=3)


def test_the_losses_and_gradients_are_those_of_the_two_error_functions():
    real, codes = jax.random.uniform(jax.random.key(0), (4, PIXELS)), jax.random.normal(jax.random.key(1), (4, CODE))
    (discriminating, generating) = players()
    params, _ = generating.init(jax.random.key(2), codes)

    def judge(discriminator, made) -> tuple:
        logits, _ = discriminating.model.apply(discriminator, {}, jnp.concatenate([real, made]))
        return logits[:4, 0], logits[4:, 0]

    def judging(discriminator) -> jax.Array:
        of_real, of_made = judge(discriminator, generator().apply(params["generator"], {}, codes)[0])
        # −log D and −log(1 − D) of a logit z are log(1 + e^−z) and log(1 + e^z).
        return (jax.nn.softplus(-of_real) + jax.nn.softplus(of_made)).mean()

    def fooling(generator_params) -> jax.Array:
        _, of_made = judge(params["discriminator"], generator().apply(generator_params, {}, codes)[0])
        return jax.nn.softplus(-of_made).mean()

    values, found = gradients(params, real, codes)
    np.testing.assert_allclose(values["discriminator"], judging(params["discriminator"]), rtol=1e-6)
    np.testing.assert_allclose(values["generator"], fooling(params["generator"]), rtol=1e-6)
    # The gradient is that of the mean over the two halves, half of the sum.
    expected = {
        "generator": jax.grad(fooling)(params["generator"]),
        "discriminator": jax.tree.map(lambda leaf: leaf / 2, jax.grad(judging)(params["discriminator"])),
    }
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7), found, expected)
    same, changes = lowered(params, real, codes, 0.01)
    assert same == values == losses(params, real, codes)
    assert (changes < 0).all()
    assert judged_batch(real[:1], real[:2])[1].tolist() == [[1], [0], [0]]


def test_distances_and_rank_correlations_worked_by_hand():
    # In one dimension the distance is (μ − μ')² + (σ − σ')²: here 3² + (√2 − √8)² = 9 + 2.
    one, other = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 0.0], [5.0, 0.0]])
    np.testing.assert_allclose(frechet(one, other), 11)
    assert frechet(one, one) == pytest.approx(0, abs=1e-12)
    assert rank_correlations([0, 3, 2, 1], [9, 3, 2, 1]) == pytest.approx((-0.2, 1))
