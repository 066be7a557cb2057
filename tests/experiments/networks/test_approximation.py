"""A quick run of the approximation: errors fall with the width, each rule can say no, and the helpers by hand."""

import jax
import numpy as np
import pytest

import fnn
from experiments.networks.approximation_claims import CONSTRUCTED, first_no, least_known, slope_interval, slope_weights
from experiments.networks.approximation_networks import (
    TEST,
    constructed_errors,
    hidden,
    interpolant,
    network,
    outputs,
    random_features_errors,
    relative_errors,
    target,
)

pytestmark = pytest.mark.full


def test_errors_fall_with_the_width(run):
    for found in run.figures["errors"].values():
        medians = np.median(found["ReLU"], 1)
        assert medians[-1] < 0.5 * medians[0] < 0.6
    assert np.all(np.diff(run.figures["constructed"][2:]) < 0)
    assert run.verdict("slope of log error") == run.verdict("interpolate linearly") == "holds"


def test_every_rule_can_say_the_opposite(run):
    errors, built = run.figures["errors"], run.figures["constructed"]

    def trained(*values: float) -> dict:
        return errors | {"trained": {"ReLU": [[value, value] for value in values]}}

    random = {"random": {"ReLU": [[0.5, 0.5], [0.2, 0.2], [0.1, 0.1]]}}
    assert run.verdict("falls with the width", errors=trained(0.5, 0.2, 0.1)) == "holds"
    assert run.verdict("falls with the width", errors=trained(0.5, 0.2, 0.3)).endswith("at most 8 hidden units")
    assert run.verdict("falls with the width", errors=trained(0.5, 0.6, 0.3)) == "does not hold"
    assert run.verdict("slope of log error", errors=trained(0.1, 0.2, 0.3)) == "does not hold"
    assert run.verdict("beats drawing", errors=trained(0.4, 0.1, 0.05) | random) == "holds"
    assert run.verdict("beats drawing", errors=trained(0.4, 0.1, 0.2) | random).endswith("at most 8 hidden units")
    assert run.verdict("beats drawing", errors=trained(0.6, 0.1, 0.2) | random) == "does not hold"
    assert run.verdict("interpolate linearly", apart=1e-3) == "does not hold"
    assert run.verdict("interpolate linearly", constructed=[error**0.9 for error in built]) == "does not hold"
    assert run.verdict("optimisation fails", errors=trained(0.5, 0.2, 1e-9)) == "does not hold"
    assert run.verdict("optimisation fails", errors=trained(0.5, 0.2, 0.9)) == "holds"


def test_the_interpolant_by_hand():
    # Through (−1, 1), (0, 3) and (1, 2): slopes 2 and −1, so y = 1 + 2 max(x + 1, 0) − 3 max(x, 0).
    params = interpolant(np.array([-1.0, 0, 1]), np.array([1.0, 3, 2]))
    assert params["dense_0"]["kernel"].tolist() == [[1, 1]]
    assert params["dense_0"]["bias"].tolist() == [1, 0]
    assert params["dense_1"]["kernel"].tolist() == [[2], [-3]]
    assert params["dense_1"]["bias"].tolist() == [1]
    seeds = jax.tree.map(lambda leaf: leaf[None], params)
    found = outputs(network("ReLU", 2), seeds, np.array([-1, -0.5, 0, 0.5, 1]))
    assert found[0, :, 0].tolist() == [1, 2, 3, 2.5, 2]


def test_the_constructed_error_is_that_of_linear_interpolation():
    # Between points h apart the error is f'' h²/8 at most, and √(8/15) of that in the root mean square over a piece.
    error, apart = constructed_errors(512)
    curvature = np.exp(TEST) * (12 * np.cos(6 * TEST) - 35 * np.sin(6 * TEST))
    expected = (2 / 512) ** 2 / 8 * np.sqrt(8 / 15) * np.sqrt(np.mean(curvature**2) / np.mean(target(TEST) ** 2))
    assert error == pytest.approx(expected, rel=0.01)
    assert apart < 1e-12


def test_random_features_that_contain_the_solution_find_it():
    # With the hidden layer of the interpolant the least squares cannot be worse than it on the points they fit.
    params = interpolant(np.linspace(-1, 1, 65), target(np.linspace(-1, 1, 65)))
    seeds = {"dense_0": jax.tree.map(lambda leaf: leaf[None], params["dense_0"])}
    (found,) = random_features_errors(fnn.Serial(*hidden("ReLU", 64)), seeds)
    assert 0 < found < constructed_errors(64)[0]


def test_relative_errors_by_hand():
    assert relative_errors(target(TEST)) == 0
    np.testing.assert_allclose(relative_errors(np.stack([np.zeros_like(TEST), 3 * target(TEST)])), [1, 2])


def test_slopes_by_hand():
    # Errors w⁻²: slope −2 and no spread. With a factor of 2 between seeds the interval is wide, and the middle stays.
    widths = [1, 2, 4, 8]
    assert float(np.log([1, 0.25, 1 / 16, 1 / 64]) @ slope_weights(widths)) == pytest.approx(-2)
    np.testing.assert_allclose(slope_interval(widths, [[w**-2.0] * 3 for w in widths]), [-2] * 3)
    middle, low, high = slope_interval(widths, [[w**-2.0, 2 * w**-2.0] for w in widths])
    assert middle == pytest.approx(-2)
    assert -2.5 < low < -2.1 < -1.9 < high < -1.5


def test_the_least_known_error_and_the_first_no():
    figures = {"widths": [2, 8], "errors": {"random": {"ReLU": [[0.5], [0.3]], "tanh": [[0.5], [0.1]]}}}
    figures["constructed"] = [1 / n for n in CONSTRUCTED]
    assert least_known(figures, "tanh") == 0.1
    assert least_known(figures, "ReLU") == 1 / 8
    assert first_no(np.array([True, True, False, True])) == 2
    assert first_no(np.array([True, True])) == 2
    assert first_no(np.array([False, True])) == 0
