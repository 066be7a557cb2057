"""Five-point differences: their order, their step, and when they refuse to answer."""

import math

import numpy as np
import pytest

from fnn.gradients.directions import Directions
from fnn.gradients.finite import five_point, rounding_noise

EPS = float(np.finfo(np.float64).eps)


def differences(function, *, scale=1.0, noise: float = EPS, tolerance=1e-8):
    return five_point(
        lambda k, step: function(step), function(0.0), count=1, scale=scale, noise=noise, tolerance=tolerance
    )


@pytest.mark.parametrize(
    ("function", "slope"),
    [(math.exp, 1.0), (lambda t: math.sin(3 * t + 1), 3 * math.cos(1)), (lambda t: t**4 - 2 * t, -2.0)],
)
def test_smooth_functions_are_differentiated_to_eleven_digits(function, slope):
    found = differences(function)
    assert found.smooth.all()
    assert found.along[0] == pytest.approx(slope, rel=1e-11)


def test_polynomials_of_degree_four_have_no_truncation_error():
    # 8·(f(h) − f(−h)) − (f(2h) − f(−2h)) with f = t³: 8·2h³ − 16h³ = 0.
    assert abs(differences(lambda t: t**3, noise=0.0).along[0]) < 1e-20


@pytest.mark.parametrize("place", [0.0, 1e-9, 1e-7, -1e-8])
def test_a_kink_within_the_smallest_step_is_refused(place):
    assert not differences(lambda t: abs(t - place) + t).smooth.any()


@pytest.mark.parametrize("place", [1e-5, 1e-4, -5e-4, 1.5e-3])
def test_a_kink_nearby_makes_the_step_smaller_and_the_answer_right(place):
    found = differences(lambda t: max(t - place, 0.0) * 5 + math.sin(t))
    assert found.smooth.all()
    assert found.along[0] == pytest.approx(1 + 5 * (place < 0), rel=1e-8)


def test_a_jump_is_refused():
    assert not differences(lambda t: float(t > 0) + t).smooth.any()


def test_a_wrong_gradient_cannot_pass_for_a_kink_as_only_values_are_looked_at():
    assert differences(lambda t: 1.01 * math.exp(t)).smooth.all()


def test_a_function_of_high_frequency_gets_a_smaller_step():
    found = differences(lambda t: math.sin(100 * t))
    assert found.smooth.all()
    assert found.along[0] == pytest.approx(100, rel=1e-8)


def test_the_noise_is_measured(draw):
    sigma = rounding_noise(lambda k, step: 1.0 + step + 1e-12 * draw.normal(), 1.0)
    assert 0.4e-12 < sigma < 2.5e-12


def test_the_noise_of_an_exact_function_is_half_a_unit_in_its_last_place():
    assert rounding_noise(lambda k, step: 4.0, 4.0) == 2 * EPS


def test_random_directions_estimate_the_norm_of_a_fault():
    error = np.zeros((30, 40))
    error[3, 4] = 1.0  # one wrong entry of 1200
    estimates = []
    for seed in range(200):
        directions = Directions("kernel", error.shape, entrywise=64, count=8, seed=seed)
        estimates.append(directions.norm(directions.along(error)))
    assert np.mean(np.square(estimates)) == pytest.approx(1, abs=0.15)
    assert min(estimates) > 0.2


def test_directions_are_entries_for_small_leaves_and_depend_on_seed_and_path_alone():
    small = Directions("bias", (2, 2), entrywise=4, count=8, seed=0)
    assert len(small) == 4
    assert small[3].tolist() == [[0, 0], [0, 1]]
    large = [Directions(path, (9,), entrywise=4, count=3, seed=seed) for path, seed in (("a", 0), ("a", 0), ("b", 0))]
    assert len(large[0]) == 3
    assert np.array_equal(large[0][1], large[1][1])
    assert not np.array_equal(large[0][1], large[2][1])
    assert np.linalg.norm(large[0][2]) == pytest.approx(1)
