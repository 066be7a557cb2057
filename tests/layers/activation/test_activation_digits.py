"""Activations in float32 and bfloat16, and the step: how many digits are right, in the tails too."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import fnn
from tests import compiled
from tests.cases.activation import ACTIVATIONS, Activation
from tests.layers.activation.slopes import answers, slopes

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN, INF = math.nan, math.inf

each_activation = pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row.name)
each_narrow_dtype = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def off(got: Any, expected: Any) -> np.ndarray:
    return abs(np.asarray(got).astype(np.float64) - np.asarray(expected).astype(np.float64))


# Errors of the output and the slope in units of the dtype's ε: of the larger of 1 and the number, and of the number.
SPREAD = np.concatenate([np.linspace(-30, 30, 2001), -np.logspace(-4, 2, 100)])


@pytest.mark.full
@each_narrow_dtype
@each_activation
def test_outputs_and_slopes_keep_their_digits(row: Activation, dtype: str, request: pytest.FixtureRequest):
    if isinstance(
        row.layer, fnn.Mish
    ):  # the float32 tanh of cheap compilation is off by 2 ε near 1, and x multiplies that
        request.getfixturevalue("users_compilation")
    eps = float(jnp.finfo(dtype).eps)
    got = answers(row.layer, SPREAD, dtype)
    true = answers(row.layer, SPREAD.astype(dtype), np.float64)
    y, exact, slope, exact_slope = got.y, true.y, got.by_hand, true.by_hand
    allowed = 40 if dtype == "float32" else 1
    assert (off(y, exact) <= allowed * eps * np.maximum(1, abs(exact))).all()
    assert (off(slope, exact_slope) <= allowed * eps * np.maximum(1, abs(exact_slope))).all()
    if row.every_digit:
        # Numbers below the smallest normal one are flushed to 0.
        assert (off(y, exact) <= 4 * eps * abs(exact) + 2e-38).all()
        assert (off(slope, exact_slope) <= 4 * eps * abs(exact_slope) + 2e-38).all()


@pytest.mark.full
@pytest.mark.parametrize("row", [row for row in ACTIVATIONS if row.small], ids=lambda row: row.name)
def test_the_tails_of_float32_are_small_but_right(row: Activation):
    x = (row.small * np.linspace(3, 9, 200)).astype(np.float32)
    exact = answers(row.layer, x, np.float64).y
    assert abs(exact).min() < 2e-3
    np.testing.assert_allclose(answers(row.layer, x).y, exact, rtol=3e-5)


def test_the_exact_gelu_is_that_of_scipy_where_1_plus_erf_has_no_digits():
    x = np.linspace(-12, -6, 50)
    np.testing.assert_allclose(answers(fnn.Gelu(), x).y, x * scipy.stats.norm.cdf(x), rtol=1e-10)


def test_the_slopes_of_softplus_and_log_sigmoid_are_sigmoids_to_the_last_digits_of_the_tail():
    x = np.linspace(-80, 80, 321, dtype=np.float32)
    sigmoid = scipy.special.expit
    np.testing.assert_allclose(slopes(fnn.Softplus(), x)[0], sigmoid(np.asarray(x, np.float64)), rtol=5e-7)
    np.testing.assert_allclose(slopes(fnn.LogSigmoid(), x)[0], sigmoid(-np.asarray(x, np.float64)), rtol=5e-7)


# ---- the step


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_the_straight_through_step_is_exactly_0_or_1(jit: bool, random: Any):
    layer = fnn.Step(straight_through=True)
    x = jnp.asarray(np.concatenate([random(1000), [1e30, -1e30, 1e-40, 0.1]]))
    for dtype in ("float64", "float32", "bfloat16"):
        y = (jax.jit(layer) if jit else layer)(x.astype(dtype))
        assert (y == (x.astype(dtype) > 0).astype(dtype)).all()


def test_the_straight_through_step_passes_any_gradient_on():
    layer = fnn.Step(straight_through=True)
    x, dy = jnp.array([-2.0, -0.0, 0.0, 1e300, NAN]), jnp.array([1.5, -2.0, 3.0, 4.0, 5.0])
    _, _, cache = layer.forward({}, {}, x)
    assert cache == {}
    assert (layer.backward(cache, dy)[1] == dy).all()
    assert (jax.vjp(layer, x)[1](dy)[0] == dy).all()


def test_at_infinity_the_automatic_gradient_of_the_straight_through_step_is_0():
    by_hand, automatic = slopes(fnn.Step(straight_through=True), [-INF, INF])
    assert by_hand.tolist() == [1, 1]
    assert automatic.tolist() == [0, 0]


def test_a_perceptron_learns_through_the_straight_through_step():
    model = fnn.Serial(fnn.Dense(1), fnn.Step(straight_through=True))
    x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = jnp.array([[0.0], [1.0], [1.0], [1.0]])
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = compiled.init(model, jax.random.key(0), x)

    @jax.jit
    def step(params: Any) -> Any:
        _, gradient = objective.value_and_grad(params, state, (x, target))
        return jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient)

    for _ in range(50):
        params = step(params)
    assert (compiled.apply(model, params, state, x)[0] == target).all()
