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
from fnn.layers import Elementwise
from tests import compiled
from tests.comparing import close, same
from tests.compiled import shape_of
from tests.layers.activation.slopes import answers, slopes

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
    close(answers(layer, GRID).y, np.asarray(reference(GRID)))


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
    got = answers(layer, np.array(x, float))
    for one, other in ((got.y, y), (got.by_hand, slope), (got.automatic, slope)):
        close(one, np.array(other, float), rtol=1e-8, atol=1e-15)


def test_the_fixed_point_of_selu_is_mean_0_and_variance_1():
    x, weights = np.polynomial.hermite_e.hermegauss(200)
    x = np.concatenate([x, -x])  # even in weight; the kink at 0 limits the quadrature
    y, weights = answers(fnn.Selu(), x).y, np.concatenate([weights, weights]) / (2 * weights.sum())
    assert abs((weights * y).sum()) < 2e-3
    assert abs((weights * y * y).sum() - 1) < 2e-3


@each_activation
def test_an_activation_is_callable_and_is_its_forward(layer: Elementwise):
    got = answers(layer, GRID)
    same(got.called, got.y)
    for shape in ((), (2, 3, 2)):
        assert jax.eval_shape(layer, shape_of(*shape)).shape == shape
    with pytest.raises(TypeError, match="expected an array of floating dtype, got int"):
        layer(np.arange(3))


@each_activation
def test_an_activation_caches_one_array_of_its_size_or_nothing(layer: Elementwise):
    got = answers(layer, GRID)
    same(got.cache, {} if isinstance(layer, fnn.Step) else {layer.cached: {"x": GRID, "y": got.y}[layer.cached]})


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
    eps = float(jnp.finfo(dtype).eps)
    got = answers(layer, [-INF, -1e4, 1e4, INF], dtype)
    assert got.y.dtype == dtype
    np.testing.assert_allclose(got.y.astype(np.float64), y, rtol=2 * eps)
    for each in (got.by_hand, got.automatic):
        np.testing.assert_allclose(each, slope, rtol=2 * eps, atol=5e-10 if dtype == "float32" else eps / 4)


def test_at_infinity_a_gate_is_open_or_shut():
    for layer, _, slope in LIMITS:
        if isinstance(layer, fnn.Gelu | fnn.Swish | fnn.Silu | fnn.HardSwish | fnn.Mish):
            run = jax.jit(lambda x, layer=layer: layer.backward(layer.forward({}, {}, x)[2], jnp.ones_like(x))[1])
            assert run(jnp.array([-INF, INF])).tolist() == [slope[0], slope[-1]], layer


@each_narrow_dtype
@each_activation
def test_nan_passes_through_and_nothing_else_makes_one(layer: Elementwise, dtype: str):
    got = answers(layer, [NAN, -INF, -1e4, -90, -1, -1e-40, -0.0, 0.0, 1e-40, 1, 90, 1e4, INF], dtype)
    assert np.isnan(got.y).tolist() == [True] + 12 * [False]
    for each in (got.by_hand, got.automatic):
        assert np.isfinite(each[2:-1]).all()
        assert not np.isnan(each[1:]).any()


@each_activation
def test_zero_has_the_output_of_minus_zero(layer: Elementwise):
    got = answers(layer, [0.0, -0.0])
    for each in (got.y, got.by_hand, got.automatic):
        assert each[0] == each[1]


CLOSED = [fnn.Relu(), fnn.Relu6(), fnn.SquaredRelu(), fnn.HardTanh(), fnn.HardSigmoid()]


@pytest.mark.parametrize("layer", CLOSED, ids=repr)
def test_a_flat_side_lets_no_infinite_gradient_through(layer: Elementwise):
    _, *gradients = compiled.gradients(layer, {}, {}, np.array([-7.0, 0.5]), np.array([INF, 1.0]))
    for _, dx in gradients:
        assert dx[0] == 0


def test_an_infinite_gradient_above_the_kink_is_none_of_the_slope():
    params, x = {"slope": jnp.array([0.25])}, jnp.array([[0.5], [2.0], [-1.0]])
    cache = fnn.PRelu().forward(params, {}, x)[2]
    assert fnn.PRelu().backward(cache, jnp.array([[INF], [INF], [3.0]]))[0]["slope"] == -3


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
        swept = jax.jit(jax.vmap(lambda option, make=make: make(option)(x)))(sweep)
        for got, option in zip(swept, (0.5, 1.5), strict=True):
            np.testing.assert_allclose(got, answers(make(option), x).y, rtol=1e-14)


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
    left, right = (slopes(layer, places + side)[0] for side in (-1e-9, 1e-9))
    jumps = abs(right - left) > 1e-6
    if not isinstance(layer, fnn.Step):  # its value jumps, not its slope
        assert places[jumps].tolist() == corners
    found = layer.kinks_at(places)
    assert (found.count if found else 0) == len(corners)
