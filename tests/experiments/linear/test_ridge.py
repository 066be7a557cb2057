"""A quick run of ridge regression: what it learns, and that each rule can say no."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.linear.ridge import apart, rounded
from experiments.linear.ridge_claims import SAME
from experiments.linear.ridge_regression import (
    DEGREES,
    NOISE,
    SAMPLES,
    basis,
    closed_forms,
    drawn,
    likelihood,
    ridge,
    squares,
    truth,
)

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_the_closed_form_is_found_and_the_last_degree_over_fits(run):
    assert max(*run.figures["apart"], *run.figures["likelihood apart"]) <= SAME < run.figures["apart with λ/N"]
    training, (plain, penalised) = np.array(run.figures["training"]), np.array(run.figures["test"])
    assert training.shape == plain.shape == penalised.shape == (run.study.seeds, DEGREES + 1)
    assert np.diff(training, axis=1).max() <= 1e-4
    assert 0 < np.median(plain, axis=0).argmin() < DEGREES
    assert (plain[:, -1] > plain[:, 3]).all()
    assert (penalised[:, -1] < plain[:, -1]).all()
    assert run.verdict("closed form") == "holds only when the strength is 2λ/N"
    assert run.verdict("Ridge lowers") == "holds only when the neuron over-fits, at the highest degree"


def test_gradient_descent_from_zero_ends_nearer_to_the_least_norm_than_the_others(run):
    many = run.figures["many"]
    assert max(many["zero"]["apart"]) < 0.01 < min(*many["random"]["apart"], *many["Adam"]["apart"])
    assert max(max(each["missed"]) for each in many.values()) < 0.01
    assert run.verdict("Adam from zero") == "does not hold"


def test_every_rule_can_say_the_opposite(run):
    many, training, (plain, penalised) = run.figures["many"], run.figures["training"], run.figures["test"]
    none = [0.0] * len(many["zero"]["apart"])
    assert run.verdict("closed form", **{"apart with λ/N": 0.0}) == "holds"
    assert run.verdict("closed form", apart=[0.0, 1e-3]) == "does not hold"
    assert run.verdict("test error rises again") == "holds"
    assert run.verdict("test error rises again", training=np.flip(training, 1).tolist()) == "does not hold"
    fallen = [[*errors[:-1], 0.0] for errors in plain]
    assert run.verdict("test error rises again", test=[fallen, penalised]) == "does not hold"
    seldom = [*plain[:-1], fallen[-1]]  # in one seed of ten the error is lower at the last degree
    assert run.verdict("test error rises again", test=[seldom, penalised]) == "does not hold"
    assert run.verdict("Ridge lowers", test=[plain, (np.array(plain) / 2).tolist()]) == "holds"
    assert run.verdict("Ridge lowers", test=[plain, plain]) == "does not hold"
    assert run.verdict("Gaussian likelihood") == "holds"
    assert run.verdict("Gaussian likelihood", **{"likelihood apart": [0.0, 1e-3]}) == "does not hold"
    met = {way: {"apart": [1.0] * len(none), "missed": none} for way in many} | {
        "zero": {"apart": none, "missed": none}
    }
    assert run.verdict("picks the least-norm", many=met) == "holds"
    assert run.verdict("picks the least-norm", many=met | {"random": met["zero"]}) == "does not hold"
    assert run.verdict("picks the least-norm", many=met | {"zero": met["random"]}) == "does not hold"
    missed = {way: each | {"missed": [1.0] * len(none)} for way, each in met.items()}
    assert run.verdict("picks the least-norm", many=missed) == "does not hold"
    assert run.verdict("Adam from zero", many=met | {"Adam": met["zero"]}) == "holds"


def test_the_basis_worked_by_hand():
    np.testing.assert_allclose(basis(np.array([1.0, 0.0]), 3), [[1, 3**0.5, 5**0.5], [1, 0, -(5**0.5) / 2]], atol=1e-15)
    grid = np.linspace(-1, 1, 200_001)
    np.testing.assert_allclose(np.square(basis(grid, 4)).mean(0), 1, atol=1e-4)


def test_the_closed_form_worked_by_hand():
    phi, y = np.ones((2, 1)), np.array([1.0, 3.0])
    # The sum over the count and λ: 4 / (2 + λ).
    np.testing.assert_allclose(ridge(phi, y, 0.0), [2])
    np.testing.assert_allclose(ridge(phi, y, 2.0), [1])
    # Of all (a, b) with a + b = 2, (1, 1) is the shortest.
    np.testing.assert_allclose(ridge(np.ones((1, 2)), np.array([2.0]), 0.0), [1, 1])
    found = closed_forms(0.0, np.array([[1, 0], [1, 1]]), np.eye(2)[None], np.array([[5.0, 7.0]]))
    np.testing.assert_allclose(found, [[[5, 0], [5, 7]]])


def test_distances_and_digits_worked_by_hand():
    np.testing.assert_allclose(apart(np.array([[3.0, 5.0], [0.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])), [0.2, 1])
    assert rounded(np.array([[1.23456, 0.0], [-98765.0, 2e-9]])) == [[1.235, 0.0], [-98760.0, 2e-9]]


def test_samples_lie_in_the_middle_of_their_cells():
    x, y = drawn(3)
    assert (np.abs((x + 1) * SAMPLES / 2 - np.arange(SAMPLES) - 0.5) <= 0.25).all()
    noise = np.concatenate([each[1] - truth(each[0]) for each in map(drawn, range(200))])
    assert noise.std() == pytest.approx(NOISE, rel=0.05)
    np.testing.assert_array_equal(drawn(3)[1], y)
    np.testing.assert_allclose(truth(np.array([0.5, 1.0])), [1, 0], atol=1e-15)


def test_objectives_worked_by_hand():
    batch = jnp.array([[2.0], [1.0]]), jnp.array([[1.0], [5.0]])
    params = {"kernel": jnp.array([[3.0]])}
    # The mean of (6 − 1)² and (3 − 5)², and half the strength times 9; the slope is the mean of 2·5·2 and −2·2·1, and
    # the strength times 3.
    (value, _), grads = squares(0.5).value_and_grad(params, {}, batch)
    assert value == pytest.approx(14.5 + 2.25)
    assert grads["kernel"].item() == pytest.approx(8 + 1.5)
    objective = likelihood(0.5)
    both, state = objective.init(jax.random.key(0), batch[0])
    (value, _), grads = objective.value_and_grad(both | {"mean": params}, state, batch)
    variance = NOISE**2
    assert value == pytest.approx(0.5 * (np.log(variance) + 14.5 / variance) + 2.25, rel=1e-5)
    assert grads["mean"]["kernel"].item() == pytest.approx(4 / variance + 1.5, rel=1e-5)
    assert grads["log_variance"]["bias"].item() == 0
