"""A quick run of the spirals: only the network with an activation learns them, and each rule can say no."""

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.networks.spirals import DEEP, ONE, span
from experiments.networks.spirals_measures import (
    accuracies,
    least_linear_loss,
    probabilities,
    product,
    product_error,
    spirals,
    summary,
)
from tests.experiments.studying import Finished

pytestmark = pytest.mark.full


def changed(run: Finished, name: str, **values) -> dict:
    """The networks' figures with those of one network changed."""
    return run.figures["networks"] | {name: run.figures["networks"][name] | values}


def test_only_the_network_with_an_activation_learns_the_spirals(run):
    networks = run.figures["networks"]
    assert min(networks["deep, ReLU"]["accuracy"]) > 0.9 > 0.8 > max(networks[DEEP]["accuracy"])
    assert max(networks["deep, ReLU"]["end"]) < 0.2 * run.figures["least"]
    for name in (ONE, DEEP):
        np.testing.assert_allclose(networks[name]["end"], run.figures["least"], atol=0.01)
    assert run.verdict("product of its matrices") == run.verdict("no better than one linear layer") == "holds"


def test_every_rule_can_say_the_opposite(run):
    least = run.figures["least"]
    assert run.verdict("product of its matrices", product_error=1e-6) == "does not hold"
    better = changed(run, DEEP, accuracy=[0.6, 0.9, 0.6])
    assert run.verdict("no better than one linear layer", networks=better) == "does not hold"
    below = changed(run, DEEP, end=[least, least - 0.01, least])
    assert run.verdict("Only non-linearity", networks=below) == "does not hold"
    high = changed(run, "deep, ReLU", end=[0.01, 0.01, 0.4])
    assert run.verdict("Only non-linearity", networks=high) == "does not hold"
    low = changed(run, "deep, ReLU", end=[0.01, 0.01, 0.01])
    assert run.verdict("Only non-linearity", networks=low) == "holds"
    fails = changed(run, "deep, ReLU", accuracy=[1.0, 0.7, 1.0])
    assert run.verdict("With an activation", networks=fails) == "does not hold"
    one_of_two = fails | {"deep, tanh": run.figures["networks"]["deep, ReLU"] | {"accuracy": [1.0, 1.0, 0.99]}}
    assert run.verdict("With an activation", networks=one_of_two) == "holds only when the network is deep, tanh"


def test_the_product_of_two_layers_by_hand():
    # (x W + b) V + c = x (W V) + (b V + c)
    first = {"kernel": np.array([[1.0, 2], [3, 4]]), "bias": np.array([5.0, 6])}
    second = {"kernel": np.array([[1.0], [-1]]), "bias": np.array([10.0])}
    kernel, bias = product([first, second])
    assert kernel.tolist() == [[-1], [-1]]
    assert bias.tolist() == [9]
    seeds = {
        f"dense_{i}": {name: leaf[None] for name, leaf in layer.items()} for i, layer in enumerate((first, second))
    }
    x = np.array([[1.0, 2], [-9, 0]], np.float32)
    assert product_error(fnn.Serial(fnn.Dense(2), fnn.Dense(1)), seeds, x) < 1e-15
    # A network that is not linear differs from the product.
    assert product_error(fnn.Serial(fnn.Dense(2), fnn.Relu(), fnn.Dense(1)), seeds, x) > 0.1


def test_the_second_spiral_is_the_first_one_turned():
    x, y = spirals(2000, 1.5, [0])
    assert x.shape == (2000, 2)
    assert y.mean() == 0.5
    radius, angle = np.linalg.norm(x, axis=1), np.arctan2(x[:, 1], x[:, 0])
    # Where the noise is small against the radius, the angle is 3π r for class 0, and half a turn more for class 1.
    far = radius > 0.5
    turned = np.angle(np.exp(1j * (angle - 3 * np.pi * radius - np.pi * y[:, 0])))
    assert np.abs(np.median(turned[far])) < 0.05
    assert np.std(turned[far]) < 0.5
    assert radius.max() < 1.15


def test_probabilities_and_accuracies_by_hand():
    params = {"kernel": jnp.array([[[1.0], [0]], [[0], [-1.0]]]), "bias": jnp.zeros((2, 1))}
    found = probabilities(fnn.Dense(1), params, np.array([[np.log(3), 0], [-1, -np.log(3)]], np.float32))
    np.testing.assert_allclose(found, [[0.75, 1 / (1 + np.e)], [0.5, 0.75]], rtol=1e-6)
    assert accuracies(found, np.array([[1], [1]])).tolist() == [0.5, 0.5]
    assert accuracies(found, np.array([[1], [0]])).tolist() == [1, 0]


def test_the_least_loss_of_points_that_no_line_helps():
    # All four corners of XOR: the best line answers ½ everywhere.
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([[0], [1], [1], [0]], np.float32)
    assert least_linear_loss(x, y) == pytest.approx(np.log(2), abs=1e-9)
    # One feature of ±1 that tells the class in three of four cases: p = ¾ of the time, −¾ log ¾ − ¼ log ¼.
    x = np.repeat(np.array([[1.0], [-1.0]], np.float32), 4, 0)
    y = np.array([1, 1, 1, 0, 0, 0, 0, 1], np.float32)[:, None]
    assert least_linear_loss(x, y) == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25), abs=1e-9)


def test_summary_and_span():
    assert summary(np.array([[1.0, 5], [3, 4], [2, 9]])) == [[1, 4], [2, 5], [3, 9]]
    assert span(np.array([0.25, 0.5]), ".0%") == "25% to 50%"
    assert span(np.array([0.571, 0.572]), ".2g") == "0.57"
