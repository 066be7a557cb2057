"""A quick run on pre-training: what is stuck and what learns, and that each rule can say no."""

import copy

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.depth.pretraining import Pretraining, best
from experiments.depth.pretraining_networks import (
    BATCH,
    DIGITS,
    PIXELS,
    SMALL,
    classifier,
    draws,
    given,
    he,
    hidden_gradients,
    learn,
)
from experiments.depth.pretraining_ways import ADAM, NORMED, PLAIN, PRETRAINED, RECTIFIED

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_the_network_is_stuck_as_it_is_and_learns_in_the_other_ways(run):
    ways = run.figures["ways"]
    assert np.max(ways[PLAIN]["tested"]) < 0.3
    for name in (PRETRAINED, NORMED):
        assert min(ways[name]["tested"][ways[name]["best"]]) > 0.7
    # Pre-training spends half of the epochs, and its autoencoders restore more than the mean would.
    assert ways[PRETRAINED]["spent"] == run.study.epochs // 2
    assert {len(each) for each in ways[PRETRAINED]["validated"]} == {run.study.epochs // 2}
    assert {len(each) for each in ways[NORMED]["validated"]} == {run.study.epochs}
    assert 0 < np.max(run.figures["errors"]) < 1
    norms = np.array(run.figures["first"])
    assert norms.shape == (run.study.seeds, run.study.depth)
    assert (norms[:, 0] < norms[:, -1] / 100).all()


def test_every_rule_can_say_the_opposite(run):
    # A quick run leaves out Adam and ReLU.
    ways = run.figures["ways"] | {RECTIFIED: run.figures["ways"][NORMED]}
    right, wrong = ([[each] * run.study.seeds] * len(run.study.rates) for each in (0.9, 0.1))
    stuck = changed(ways, PLAIN, tested=wrong) | {ADAM: ways[PLAIN] | {"tested": wrong}}
    assert run.verdict("is stuck", ways=stuck) == "holds"
    with_adam = changed(stuck, ADAM, tested=[*wrong[:-1], [0.1, 0.21]])
    assert run.verdict("is stuck", ways=with_adam) == "holds only when it is trained by gradient descent with momentum"
    assert run.verdict("is stuck", ways=changed(with_adam, PLAIN, tested=right)) == "does not hold"
    assert run.verdict("gradient of its first layer", first=[[1e-5, 0.1, 1.0], [1e-5, 0.1, 1.0]]) == "holds"
    assert run.verdict("gradient of its first layer", first=[[1e-5, 0.1, 1.0], [1e-3, 0.1, 1.0]]) == "does not hold"
    for name in (PRETRAINED, NORMED, RECTIFIED):
        assert run.verdict(f"learns with {name}", ways=changed(ways, name, tested=right)) == "holds"
        one = changed(ways, name, tested=[[0.9, 0.79]] * len(run.study.rates))
        assert run.verdict(f"learns with {name}", ways=one) == "does not hold"
    level = changed(changed(changed(ways, PRETRAINED, tested=right), NORMED, tested=right), RECTIFIED, tested=right)
    assert run.verdict("gets as far", ways=level) == "holds"
    assert run.verdict("gets as far", ways=changed(level, PRETRAINED, tested=wrong)) == "does not hold"


def changed(ways: dict, name: str, **values: object) -> dict:
    """A copy with other figures of one way."""
    ways = copy.deepcopy(ways)
    ways[name] |= values
    return ways


def test_epochs_that_cannot_be_shared_are_an_error():
    with pytest.raises(ValueError, match="half of the epochs are shared among 4 layers; 60 leaves a rest"):
        Pretraining(depth=4)


def test_the_weights_at_the_start():
    network, coders, orders = draws(0, depth=2, epochs=3)
    assert {name: each["kernel"].shape for name, each in network.items()} == {"hidden": (2, 64, 64), "head": (64, 10)}
    assert {each["bias"].shape for each in coders.values()} == {(2, 64)}
    values = np.concatenate([leaf.ravel() for part in network.values() for leaf in part.values()])
    np.testing.assert_allclose([values.mean(), values.std()], [0, SMALL], atol=4e-4)
    # Every epoch has each digit once, in an order of its own.
    assert orders.shape == (3, DIGITS // BATCH, BATCH)
    assert all(sorted(order.ravel()) == list(range(DIGITS)) for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    rectified = he(network)
    np.testing.assert_allclose(rectified["hidden"]["kernel"].std(), np.sqrt(2 / PIXELS), rtol=0.05)
    assert not rectified["head"]["bias"].any()


def test_weights_are_given_to_the_dense_layers_alone():
    network, _, _ = draws(0, depth=2, epochs=1)
    params, state = given(classifier(2, fnn.BatchNorm(), fnn.Sigmoid()), network)
    np.testing.assert_array_equal(params["hidden"]["dense_0"]["kernel"], network["hidden"]["kernel"])
    np.testing.assert_array_equal(params["head"]["bias"], network["head"]["bias"])
    np.testing.assert_array_equal(params["hidden"]["batch_norm_0"]["scale"], np.ones((2, PIXELS)))
    np.testing.assert_array_equal(state["hidden"]["batch_norm_0"]["var"], np.ones((2, PIXELS)))
    # Of one hidden layer, δ = (p − y)/N Wᵀ ⊙ a(1 − a): with a head of zeros nothing comes back.
    silent = {"hidden": network["hidden"], "head": {name: 0 * leaf for name, leaf in network["head"].items()}}
    stacked = {part: {name: leaf[None] for name, leaf in each.items()} for part, each in silent.items()}
    batch = np.ones((2, PIXELS), np.float32), np.array([0, 1], np.int32)
    assert hidden_gradients(classifier(2, fnn.Sigmoid()), stacked, batch) == [[0.0, 0.0]]


def test_training_from_given_parameters_worked_by_hand():
    # ŷ = w x with the loss (ŷ − y)²: for x = 1, y = 0 each step of rate ¼ halves w.
    objective = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())
    samples, orders = (jnp.ones((2, 1)), jnp.zeros((2, 1))), jnp.array([[[0], [1]], [[1], [0]]])

    def run(spent: int) -> tuple[float, list[float]]:
        start = {"kernel": jnp.full((1, 1), 16.0)}, {}
        watch = lambda params, state: params["kernel"][0, 0]  # noqa: E731
        (params, _), watched = learn(objective, fnn.optim.sgd(0.25), start, orders, samples, watch, spent)
        return float(params["kernel"][0, 0]), watched.tolist()

    assert run(0) == (1.0, [4.0, 1.0])
    assert run(1) == (4.0, [0.0, 4.0])


def test_the_best_rate_is_that_of_the_validation_digits():
    validated = np.array([[[0.0, 0.5], [0.0, 0.7]], [[0.9, 0.1], [0.9, 0.2]]])
    found = best(np.array([[0.4, 0.5], [0.9, 0.9]]), validated, spent=1)
    assert found == {"best": 0, "tested": [[0.4, 0.5], [0.9, 0.9]], "validated": [[0.5], [0.7]], "spent": 1}
