"""A quick run of XOR: what the widths reach, that each rule can say no, and the worked networks."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.networks import xor_worked
from experiments.networks.xor import firsts, points_reached, probabilities
from experiments.networks.xor_claims import with_interval
from experiments.networks.xor_worked import NETWORKS, Network, deltas, formula_error, gradient, outputs

pytestmark = pytest.mark.full


def test_wider_networks_reach_more_and_one_without_a_hidden_layer_does_not(run):
    few, many = run.figures["solved"]["tanh"]
    assert 0 < few < many <= run.study.seeds
    assert max(run.figures["without"]) < 4
    assert run.verdict("without a hidden layer") == run.verdict("some seeds solve it") == "holds"
    assert run.verdict("gives the gradient") == "holds"
    assert run.verdict("swapped indices") == "does not hold"
    one, several = run.figures["falls"]["1"], run.figures["falls"]["16"]
    # Of one sample the swapped update is −η (x·δ)² to first order, so it never raises the loss; of several it may.
    assert min(one["right"]) > 0
    assert min(one["swapped"]) > 0
    assert min(several["right"]) > 0 > min(several["swapped"])
    assert np.all(np.array(several["swapped"]) <= np.array(several["right"]))


def test_every_rule_can_say_the_opposite(run):
    seeds, worked, falls = run.study.seeds, run.figures["worked"], run.figures["falls"]
    assert run.verdict("without a hidden layer", without=[4] + [2] * (seeds - 1)) == "does not hold"
    assert run.verdict("some seeds solve it", solved={"tanh": [seeds, seeds]}) == "does not hold"
    assert run.verdict("some seeds solve it", solved={"tanh": [0, seeds]}) == "does not hold"
    assert run.verdict("nearly all", solved={"tanh": [9, seeds - 3]}) == "does not hold"
    of_many = {"without": [0] * 200, "solved": {"tanh": [90, 200], "ReLU": [40, 170]}}
    assert run.verdict("nearly all", **of_many) == "holds only when the activation is tanh"
    assert run.verdict("nearly all", **of_many | {"solved": {"tanh": [90, 200]}}) == "holds"
    wrong = {name: each | {"error": 1e-9} for name, each in worked.items()}
    assert run.verdict("gives the gradient", worked=wrong) == "does not hold"
    as_good = {n: each | {"swapped": each["right"]} for n, each in falls.items()}
    assert run.verdict("swapped indices", falls=as_good) == "holds"


def test_the_hidden_layer_of_the_worked_network_by_hand():
    # z¹ = (0, 0), h = (½, ½), z² = ½·2 − ½·2 = 0, o = ½; y = 1: δ² = −½·¼ = −⅛, and δ¹ = W²ᵀ δ² / 4 = (−1/16, 1/16).
    small = Network(
        np.zeros((2, 2)), np.zeros(2), np.array([[2.0, -2]]), np.zeros(1), np.ones(2), np.ones(1), softmax=False
    )
    hidden, output = deltas(small)
    np.testing.assert_allclose(outputs(small)[1], [0.5])
    np.testing.assert_allclose(output, [-1 / 8])
    np.testing.assert_allclose(hidden, [-1 / 16, 1 / 16])
    # By the softmax of (0, ln 3), p = (¼, ¾); of class 0: δ² = (−¾, ¾), δ¹ = W²ᵀ δ² / 4 = (0, ¾ · 2 ln 3) / 4.
    log = np.log(3)
    output = np.array([[0, 0], [0, 2 * log]])
    wide = Network(np.zeros((2, 1)), np.zeros(2), output, np.zeros(2), np.ones(1), np.array([1.0, 0]), softmax=True)
    np.testing.assert_allclose(outputs(wide)[1], [0.25, 0.75])
    np.testing.assert_allclose(deltas(wide)[1], [-0.75, 0.75])
    np.testing.assert_allclose(deltas(wide)[0], [0, 3 / 8 * log])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wrong_formula_is_noticed(name, monkeypatch):
    assert formula_error(NETWORKS[name]) < 1e-12
    right = deltas(NETWORKS[name])
    monkeypatch.setattr(xor_worked, "deltas", lambda network: (right[0] * 1.001, right[1]))
    assert formula_error(NETWORKS[name]) > 1e-4


def test_the_gradient_is_that_of_half_the_squared_distance():
    network = NETWORKS["2-3-2, sigmoid"]
    _, o = outputs(network)
    moved = network._replace(output_bias=network.output_bias + np.array([1e-6, 0]))
    slope = (np.sum((outputs(moved)[1] - network.target) ** 2) - np.sum((o - network.target) ** 2)) / 2e-6
    np.testing.assert_allclose(gradient(network)["dense_1"]["bias"][0], slope, rtol=1e-4)


def test_points_reached_of_networks_worked_by_hand():
    # 2-2-1 with tanh: x₁ OR x₂, NAND, and their AND is XOR; the second seed answers ½ everywhere and reaches none.
    solves = {
        "dense_0": {"kernel": [[20.0, -20], [20, -20]], "bias": [-10.0, 30]},
        "dense_1": {"kernel": [[10.0], [10]], "bias": [-10.0]},
    }
    both = {
        layer: {name: jnp.stack([jnp.array(leaf), jnp.zeros_like(jnp.array(leaf))]) for name, leaf in parts.items()}
        for layer, parts in solves.items()
    }
    model = fnn.Serial(fnn.Dense(2), fnn.Tanh(), fnn.Dense(1))
    assert points_reached(model, both).tolist() == [4, 0]
    one = {"kernel": jnp.array([[0.0], [0.0]]), "bias": jnp.array([np.log(3.0)], jnp.float32)}
    np.testing.assert_allclose(probabilities(fnn.Dense(1), one, np.zeros((2, 2), np.float32)), [0.75, 0.75], rtol=1e-6)


def test_firsts():
    assert firsts(np.array([False, False, True])) == {"solves it": 2, "gets stuck": 0}
    assert firsts(np.array([True, True])) == {"solves it": 0}


def test_wilson_intervals_against_published_ones():
    # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I: 81/263, 15/148, 0/20, 1/29.
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        share, *interval = with_interval(hits, count)
        assert share == hits / count
        np.testing.assert_allclose(interval, [low, high], atol=5e-5)
