"""Activations: against ``jax.nn``, SciPy and numbers worked by hand; at the ends of the number line; their errors."""

# Options are wrong on purpose in the table of faults.
# pyright: reportArgumentType=false

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

import fnn
from fnn.gradients.kinks import KINKED
from fnn.layers import Elementwise

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN, INF = math.nan, math.inf

ALL = [
    *(fnn.Relu(), fnn.LeakyRelu(0.1), fnn.Relu6(), fnn.SquaredRelu(), fnn.Elu(), fnn.Elu(0.3), fnn.Celu(2.0)),
    *(fnn.Selu(), fnn.Sigmoid(), fnn.LogSigmoid(), fnn.HardSigmoid(), fnn.Tanh(), fnn.HardTanh(), fnn.Softplus()),
    *(fnn.Softsign(), fnn.Step(), fnn.Step(straight_through=True), fnn.Gelu(), fnn.Gelu(approximate=True)),
    *(fnn.Swish(2.5), fnn.Swish(-1.0), fnn.Silu(), fnn.HardSwish(), fnn.Mish()),
]
each_activation = pytest.mark.parametrize("layer", ALL, ids=repr)
each_narrow_dtype = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def slopes(layer: Elementwise, x: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """By the hand rule and by ``jax.grad``."""
    y, _, cache = layer.forward({}, {}, x)
    by_hand = layer.backward(cache, jnp.ones_like(y))[1]
    automatic = jax.grad(lambda x: layer.apply({}, {}, x)[0].astype(jnp.float64).sum())(x)
    return np.asarray(by_hand, np.float64), np.asarray(automatic, np.float64)


def off(got: Any, expected: Any) -> np.ndarray:
    return abs(np.asarray(got).astype(np.float64) - np.asarray(expected).astype(np.float64))


# ---- the function

GRID = np.concatenate([np.linspace(-30, 30, 121), [0.0, -0.0, 1e-8, -1e-8]])
REFERENCES: dict[str, tuple[Elementwise, Callable[[np.ndarray], Any]]] = {
    "relu6": (fnn.Relu6(), jax.nn.relu6),
    "squared relu": (fnn.SquaredRelu(), lambda x: np.maximum(x, 0) ** 2),
    "elu": (fnn.Elu(), jax.nn.elu),
    "elu, alpha": (fnn.Elu(0.3), lambda x: jax.nn.elu(x, 0.3)),
    "celu": (fnn.Celu(), jax.nn.celu),
    "celu, alpha": (fnn.Celu(2.5), lambda x: jax.nn.celu(x, 2.5)),
    "selu": (fnn.Selu(), jax.nn.selu),
    "log sigmoid": (fnn.LogSigmoid(), scipy.special.log_expit),
    "hard sigmoid": (fnn.HardSigmoid(), jax.nn.hard_sigmoid),
    "hard tanh": (fnn.HardTanh(), jax.nn.hard_tanh),
    "softplus": (fnn.Softplus(), lambda x: np.logaddexp(x, 0)),
    "softsign": (fnn.Softsign(), jax.nn.soft_sign),
    "step": (fnn.Step(), lambda x: np.heaviside(x, 0)),
    "step, straight-through": (fnn.Step(straight_through=True), lambda x: np.heaviside(x, 0)),
    "gelu": (fnn.Gelu(), lambda x: x * scipy.special.ndtr(x)),
    "gelu, approximate": (fnn.Gelu(approximate=True), lambda x: jax.nn.gelu(x, approximate=True)),
    "hard swish": (fnn.HardSwish(), jax.nn.hard_silu),
    "mish": (fnn.Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_the_function_is_that_of_jax_or_scipy(name: str):
    layer, reference = REFERENCES[name]
    np.testing.assert_allclose(layer(jnp.asarray(GRID)), reference(GRID), rtol=1e-12, atol=1e-14)


E = math.e
BY_HAND: list[tuple[Elementwise, list[float], list[float], list[float]]] = [
    # inputs, outputs, slopes
    (fnn.LeakyRelu(0.5), [-2, 3], [-1, 3], [0.5, 1]),
    (fnn.Relu6(), [-2, 3, 8], [0, 3, 6], [0, 1, 0]),
    (fnn.SquaredRelu(), [-2, 3], [0, 9], [0, 6]),
    (fnn.Elu(), [-1, 2], [1 / E - 1, 2], [1 / E, 1]),
    (fnn.Elu(3), [-1, 2], [3 / E - 3, 2], [3 / E, 1]),
    (fnn.Celu(2), [-2, 2], [2 / E - 2, 2], [1 / E, 1]),
    (fnn.Celu(-2), [-2, 2], [2 - 2 * E, 2], [E, 1]),
    (fnn.Selu(), [-1, 2], [1.7580993408473766 * (1 / E - 1), 2.1014019747109609], [1.7580993408473766 / E, 1.05070098]),
    (fnn.LogSigmoid(), [0, math.log(3)], [-math.log(2), -math.log(4 / 3)], [1 / 2, 1 / 4]),
    (fnn.HardSigmoid(), [-6, -1, 2, 4], [0, 1 / 3, 5 / 6, 1], [0, 1 / 6, 1 / 6, 0]),
    (fnn.HardTanh(), [-3, 0.5, 2], [-1, 0.5, 1], [0, 1, 0]),
    (fnn.Softplus(), [0, math.log(3)], [math.log(2), math.log(4)], [1 / 2, 3 / 4]),
    (fnn.Softsign(), [-1, 3], [-1 / 2, 3 / 4], [1 / 4, 1 / 16]),
    (fnn.Step(), [-1, -0.0, 0, 1e-300], [0, 0, 0, 1], [0, 0, 0, 0]),
    (fnn.Step(straight_through=True), [-1, 0, 1e-300], [0, 0, 1], [1, 1, 1]),
    (fnn.Gelu(), [0, 1], [0, 0.8413447460685429], [0.5, 1.0833154705876864]),
    (fnn.Gelu(approximate=True), [0, 1], [0, 0.8411919906082768], [0.5, 1.0829640838457826]),
    (fnn.Swish(2), [0, math.log(3) / 2], [0, math.log(3) * 3 / 8], [1 / 2, 3 / 4 + math.log(3) * 3 / 16]),
    (fnn.Silu(), [0, math.log(3)], [0, math.log(3) * 3 / 4], [1 / 2, 3 / 4 + math.log(3) * 3 / 16]),
    (fnn.HardSwish(), [-4, -1, 2, 4], [0, -1 / 3, 5 / 3, 4], [0, 1 / 6, 7 / 6, 1]),
    (fnn.Mish(), [0, math.log(3)], [0, math.log(3) * 15 / 17], [3 / 5, 15 / 17 + math.log(3) * 64 / 289 * 3 / 4]),
]


@pytest.mark.parametrize(("layer", "x", "y", "slope"), BY_HAND, ids=[repr(row[0]) for row in BY_HAND])
def test_outputs_and_slopes_worked_by_hand(layer: Elementwise, x: list, y: list, slope: list):
    inputs = jnp.array(x, jnp.float64)
    np.testing.assert_allclose(layer(inputs), y, rtol=1e-8, atol=1e-15)
    for got in slopes(layer, inputs):
        np.testing.assert_allclose(got, slope, rtol=1e-8, atol=1e-15)


def test_the_fixed_point_of_selu_is_mean_0_and_variance_1():
    x, weights = np.polynomial.hermite_e.hermegauss(200)
    x = np.concatenate([x, -x])  # even in weight; the kink at 0 limits the quadrature
    y, weights = np.asarray(fnn.Selu()(jnp.asarray(x))), np.concatenate([weights, weights]) / (2 * weights.sum())
    assert abs((weights * y).sum()) < 2e-3
    assert abs((weights * y * y).sum() - 1) < 2e-3


@each_activation
def test_an_activation_is_callable_and_is_its_forward(layer: Elementwise):
    x = jnp.linspace(-4, 4, 12).reshape(2, 3, 2)
    assert (layer(x) == layer.forward({}, {}, x)[0]).all()
    assert layer(jnp.array(0.5)).shape == ()
    with pytest.raises(TypeError, match="expected an array of floating dtype, got int"):
        layer(jnp.arange(3))


@each_activation
def test_an_activation_caches_one_array_of_its_size_or_nothing(layer: Elementwise):
    x = jnp.linspace(-4, 4, 12)
    y, _, cache = layer.forward({}, {}, x)
    expected = {} if isinstance(layer, fnn.Step) else {layer.cached: {"x": x, "y": y}[layer.cached]}
    assert cache.keys() == expected.keys()
    for name, leaf in cache.items():
        assert (leaf == expected[name]).all()


# ---- the ends of the number line

# The outputs at −∞, −10⁴, 10⁴ and ∞, and the slopes.
LIMITS = [
    (fnn.Relu(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.LeakyRelu(0.125), [-INF, -1250, 1e4, INF], [0.125, 0.125, 1, 1]),
    (fnn.Relu6(), [0, 0, 6, 6], [0, 0, 0, 0]),
    (fnn.SquaredRelu(), [0, 0, 1e8, INF], [0, 0, 2e4, INF]),
    (fnn.Elu(), [-1, -1, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Elu(0.5), [-0.5, -0.5, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Celu(2.0), [-2, -2, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Selu(), [-1.7580993, -1.7580993, 1.0507010e4, INF], [0, 0, 1.0507010, 1.0507010]),
    (fnn.Sigmoid(), [0, 0, 1, 1], [0, 0, 0, 0]),
    (fnn.LogSigmoid(), [-INF, -1e4, 0, 0], [1, 1, 0, 0]),
    (fnn.HardSigmoid(), [0, 0, 1, 1], [0, 0, 0, 0]),
    (fnn.Tanh(), [-1, -1, 1, 1], [0, 0, 0, 0]),
    (fnn.HardTanh(), [-1, -1, 1, 1], [0, 0, 0, 0]),
    (fnn.Softplus(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Softsign(), [-1, -1 / 1.0001, 1 / 1.0001, 1], [0, 1e-8, 1e-8, 0]),
    (fnn.Step(), [0, 0, 1, 1], [0, 0, 0, 0]),
    (fnn.Gelu(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Gelu(approximate=True), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Swish(2.5), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Swish(-1.0), [-INF, -1e4, 0, 0], [1, 1, 0, 0]),
    (fnn.Silu(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.HardSwish(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
    (fnn.Mish(), [0, 0, 1e4, INF], [0, 0, 1, 1]),
]


@each_narrow_dtype
@pytest.mark.parametrize(("layer", "y", "slope"), LIMITS, ids=[repr(row[0]) for row in LIMITS])
def test_the_limits_and_their_slopes(layer: Elementwise, y: list, slope: list, dtype: str):
    x = jnp.array([-INF, -1e4, 1e4, INF], dtype)
    eps = float(jnp.finfo(dtype).eps)
    got = layer(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(np.asarray(got, np.float64), y, rtol=2 * eps)
    for each in slopes(layer, x):
        np.testing.assert_allclose(each, slope, rtol=2 * eps, atol=5e-10 if dtype == "float32" else eps / 4)


def test_at_infinity_a_gate_is_open_or_shut():
    for layer, _, slope in LIMITS:
        if isinstance(layer, fnn.Gelu | fnn.Swish | fnn.Silu | fnn.HardSwish | fnn.Mish):
            assert slopes(layer, jnp.array([-INF, INF]))[0].tolist() == [slope[0], slope[-1]], layer


@each_narrow_dtype
@each_activation
def test_nan_passes_through_and_nothing_else_makes_one(layer: Elementwise, dtype: str):
    x = jnp.array([NAN, -INF, -1e4, -90, -1, -1e-40, -0.0, 0.0, 1e-40, 1, 90, 1e4, INF], dtype)
    assert jnp.isnan(layer(x)).tolist() == [True] + 12 * [False]
    for each in slopes(layer, x):
        assert np.isfinite(each[2:-1]).all()
        assert not np.isnan(each[1:]).any()


@each_activation
def test_zero_has_the_output_of_minus_zero(layer: Elementwise):
    ours = layer(jnp.array([0.0, -0.0]))
    assert ours[0] == ours[1]
    for each in slopes(layer, jnp.array([0.0, -0.0])):
        assert each[0] == each[1]


CLOSED = [fnn.Relu(), fnn.Relu6(), fnn.SquaredRelu(), fnn.HardTanh(), fnn.HardSigmoid()]


@pytest.mark.parametrize("layer", CLOSED, ids=repr)
def test_a_flat_side_lets_no_infinite_gradient_through(layer: Elementwise):
    x, dy = jnp.array([-7.0, 0.5]), jnp.array([INF, 1.0])
    _, _, cache = layer.forward({}, {}, x)
    assert layer.backward(cache, dy)[1][0] == 0
    assert jax.vjp(layer, x)[1](dy)[0][0] == 0


def test_an_infinite_gradient_above_the_kink_is_none_of_the_slope():
    params, x = {"slope": jnp.array([0.25])}, jnp.array([[0.5], [2.0], [-1.0]])
    cache = fnn.PRelu().forward(params, {}, x)[2]
    assert fnn.PRelu().backward(cache, jnp.array([[INF], [INF], [3.0]]))[0]["slope"] == -3


# ---- digits

# Errors of the output and the slope in units of the dtype's ε: of the larger of 1 and the number, and of the number.
SPREAD = np.concatenate([np.linspace(-30, 30, 2001), -np.logspace(-4, 2, 100)])
KEEPS_EVERY_DIGIT = (fnn.LogSigmoid, fnn.Softplus, fnn.Softsign, fnn.Relu, fnn.LeakyRelu, fnn.SquaredRelu, fnn.HardTanh)


@each_narrow_dtype
@each_activation
def test_outputs_and_slopes_keep_their_digits(layer: Elementwise, dtype: str):
    eps = float(jnp.finfo(dtype).eps)
    x = jnp.asarray(SPREAD, dtype)
    exact_x = x.astype(jnp.float64)
    y, exact = layer(x), np.asarray(layer(exact_x))
    slope, exact_slope = slopes(layer, x)[0], slopes(layer, exact_x)[0]
    allowed = 40 if dtype == "float32" else 1
    assert (off(y, exact) <= allowed * eps * np.maximum(1, abs(exact))).all()
    assert (off(slope, exact_slope) <= allowed * eps * np.maximum(1, abs(exact_slope))).all()
    if isinstance(layer, KEEPS_EVERY_DIGIT):
        # Numbers below the smallest normal one are flushed to 0.
        assert (off(y, exact) <= 4 * eps * abs(exact) + 2e-38).all()
        assert (off(slope, exact_slope) <= 4 * eps * abs(exact_slope) + 2e-38).all()


@pytest.mark.parametrize(
    "layer", [fnn.Gelu(), fnn.Gelu(approximate=True), fnn.Silu(), fnn.Mish(), fnn.LogSigmoid()], ids=repr
)
def test_the_tails_of_float32_are_small_but_right(layer: Elementwise):
    x = np.linspace(-9, -3, 200).astype(np.float32)
    x = -x if isinstance(layer, fnn.LogSigmoid) else x
    exact = np.asarray(layer(jnp.asarray(x, jnp.float64)))
    assert abs(exact).min() < 2e-3
    np.testing.assert_allclose(layer(jnp.asarray(x)), exact, rtol=3e-5)


def test_the_exact_gelu_is_that_of_scipy_where_1_plus_erf_has_no_digits():
    x = np.linspace(-12, -6, 50)
    np.testing.assert_allclose(fnn.Gelu()(jnp.asarray(x)), x * scipy.stats.norm.cdf(x), rtol=1e-10)


def test_the_slopes_of_softplus_and_log_sigmoid_are_sigmoids_to_the_last_digits_of_the_tail():
    x = jnp.linspace(-80, 80, 321, dtype=jnp.float32)
    sigmoid = scipy.special.expit
    np.testing.assert_allclose(slopes(fnn.Softplus(), x)[0], sigmoid(np.asarray(x, np.float64)), rtol=5e-7)
    np.testing.assert_allclose(slopes(fnn.LogSigmoid(), x)[0], sigmoid(-np.asarray(x, np.float64)), rtol=5e-7)


# ---- the step


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_the_straight_through_step_is_exactly_0_or_1(jit: bool):
    layer = fnn.Step(straight_through=True)
    x = jnp.asarray(np.concatenate([np.random.default_rng(0).standard_normal(1000), [1e30, -1e30, 1e-40, 0.1]]))
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
    by_hand, automatic = slopes(fnn.Step(straight_through=True), jnp.array([-INF, INF]))
    assert by_hand.tolist() == [1, 1]
    assert automatic.tolist() == [0, 0]


def test_a_perceptron_learns_through_the_straight_through_step():
    model = fnn.Serial(fnn.Dense(1), fnn.Step(straight_through=True))
    x = jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    target = jnp.array([[0.0], [1.0], [1.0], [1.0]])
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = objective.init(jax.random.key(0), x)
    for _ in range(50):
        _, gradient = objective.value_and_grad(params, state, (x, target))
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient)
    assert (model.apply(params, state, x)[0] == target).all()


# ---- softmax and its logarithm


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_log_softmax_is_that_of_scipy_and_the_logarithm_of_softmax(axis: int):
    x = 5 * np.random.default_rng(1).standard_normal((3, 4, 5))
    y = fnn.LogSoftmax(axis)(jnp.asarray(x))
    np.testing.assert_allclose(y, scipy.special.log_softmax(x, axis), rtol=1e-12)
    np.testing.assert_allclose(y, np.log(fnn.Softmax(axis)(jnp.asarray(x))), rtol=1e-12, atol=1e-15)


def test_the_gradient_of_log_softmax_worked_by_hand():
    x = jnp.log(jnp.array([[1.0, 2.0, 1.0]]))
    y, _, cache = fnn.LogSoftmax().forward({}, {}, x)
    np.testing.assert_allclose(y, np.log([[0.25, 0.5, 0.25]]), rtol=1e-14)
    # dx = dy − p Σ dy, with Σ dy = 4.
    np.testing.assert_allclose(layer_dx(fnn.LogSoftmax(), cache, [[3.0, 1.0, 0.0]]), [[2, -1, -1]], atol=1e-14)


def layer_dx(layer: Any, cache: Any, dy: Any) -> np.ndarray:
    return np.asarray(layer.backward(cache, jnp.asarray(dy))[1])


@each_narrow_dtype
@pytest.mark.parametrize("layer", [fnn.Softmax(), fnn.LogSoftmax()], ids=repr)
def test_softmax_of_far_logits_is_finite_and_masks_are_exact(layer: Any, dtype: str):
    x = jnp.array([[1e4, -1e4, 0], [0, -INF, 0], [3e38, -3e38, 0]], dtype)
    y, _, cache = layer.forward({}, {}, x)
    half = 0.5 if isinstance(layer, fnn.Softmax) else -math.log(2)
    tops = np.asarray(y, np.float64)[[0, 1, 1, 2], [0, 0, 2, 0]]
    one = 1 if isinstance(layer, fnn.Softmax) else 0
    np.testing.assert_allclose(tops, [one, half, half, one], rtol=1e-2)
    assert y[1, 1] == (0 if isinstance(layer, fnn.Softmax) else -INF)
    dy = jnp.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], dtype)
    automatic = jax.vjp(layer, x)[1](dy)[0]
    for dx in (layer.backward(cache, dy)[1], automatic):
        assert dx.dtype == dtype
        assert jnp.isfinite(dx).all()


def test_softmax_of_bfloat16_sums_in_float32():
    x = jnp.zeros((1, 4096), jnp.bfloat16)
    y, _, cache = fnn.Softmax().forward({}, {}, x)
    assert (y == 1 / 4096).all()
    dx = fnn.Softmax().backward(cache, jnp.ones_like(y))[1]
    assert (dx == 0).all()
    np.testing.assert_allclose(np.asarray(fnn.LogSoftmax()(x), np.float32), -math.log(4096), rtol=4e-3)


# ---- errors

FAULTS = [
    (lambda: fnn.LeakyRelu("0.1"), TypeError, "slope is a number, got '0.1'"),
    (lambda: fnn.LeakyRelu(INF), ValueError, "slope is a finite number, got inf"),
    (lambda: fnn.Elu(-1.0), ValueError, r"alpha is at least 0, got -1\.0"),
    (lambda: fnn.Elu(NAN), ValueError, "alpha is a finite number, got nan"),
    (lambda: fnn.Elu(None), TypeError, "alpha is a number, got None"),
    (lambda: fnn.Celu(0), ValueError, r"alpha divides and is not 0; the limit at 0 is Relu\(\)"),
    (lambda: fnn.Celu(True), TypeError, "alpha is a number, got True"),
    (lambda: fnn.Swish(np.float32(NAN)), ValueError, "beta is a finite number, got nan"),
    (lambda: fnn.Swish(fnn.Relu()), TypeError, r"beta is a number, got Relu\(\)"),
    (lambda: fnn.Step(0.5), TypeError, r"straight_through is True or False, got 0\.5"),
]


@pytest.mark.parametrize(("make", "error", "message"), FAULTS, ids=[row[2] for row in FAULTS])
def test_options_that_cannot_be(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=message):
        make()


def test_a_traced_option_passes():
    x = jnp.array([-1.0, 2.0])
    sweep = jnp.array([0.5, 1.5])
    for make in (fnn.LeakyRelu, fnn.Elu, fnn.Celu, fnn.Swish):
        swept = jax.vmap(lambda option, make=make: make(option)(x))(sweep)
        for got, option in zip(swept, (0.5, 1.5), strict=True):
            np.testing.assert_allclose(got, make(option)(x), rtol=1e-14)


# ---- the kinks that comparisons stand aside from

CORNERS: list[tuple[Elementwise, list[float]]] = [
    (fnn.Relu(), [0]),
    (fnn.LeakyRelu(), [0]),
    (fnn.Elu(0.5), [0]),
    (fnn.Elu(), []),
    (fnn.Selu(), [0]),
    (fnn.Relu6(), [0, 6]),
    (fnn.HardTanh(), [-1, 1]),
    (fnn.HardSigmoid(), [-3, 3]),
    (fnn.HardSwish(), [-3, 3]),
    (fnn.Step(), [0]),
]


@pytest.mark.parametrize(("layer", "corners"), CORNERS, ids=[repr(row[0]) for row in CORNERS])
def test_the_kink_detector_knows_the_corners_of_the_slope(layer: Elementwise, corners: list):
    places = np.array([-6.0, -3, -1, 0, 1, 3, 6])
    left, right = (slopes(layer, jnp.asarray(places + side))[0] for side in (-1e-9, 1e-9))
    jumps = abs(right - left) > 1e-6
    if not isinstance(layer, fnn.Step):  # its value jumps, not its slope
        assert places[jumps].tolist() == corners
    assert KINKED[layer.snake_name](layer, places)[0] == len(corners)
