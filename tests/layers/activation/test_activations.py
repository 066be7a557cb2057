"""Every row of the table of activations: the function, its slopes, its limits, its corners, its errors."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests import compiled
from tests.cases.activation import ACTIVATIONS, Activation, gates
from tests.comparing import close, same
from tests.compiled import shape_of
from tests.layers.activation.slopes import answers

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN, INF = math.nan, math.inf

each_activation = pytest.mark.parametrize("row", ACTIVATIONS, ids=lambda row: row.name)
each_narrow_dtype = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def rows_with(name: str) -> Any:
    """The rows in which a field is given."""
    return pytest.mark.parametrize("row", [row for row in ACTIVATIONS if getattr(row, name)], ids=lambda row: row.name)


# ---- the function

GRID = np.concatenate([np.linspace(-30, 30, 121), [0.0, -0.0, 1e-8, -1e-8]])


@each_activation
def test_the_function_is_that_of_jax_or_scipy(row: Activation):
    close(answers(row.layer, GRID).y, np.asarray(row.oracle(GRID)))


@each_activation
def test_outputs_and_slopes_worked_by_hand(row: Activation):
    x, y, slope = (np.array(each, float) for each in row.by_hand)
    got = answers(row.layer, x)
    for one, other in ((got.y, y), (got.by_hand, slope), (got.automatic, slope)):
        close(one, other, rtol=1e-13, atol=1e-15)


def test_the_fixed_point_of_selu_is_mean_0_and_variance_1():
    x, weights = np.polynomial.hermite_e.hermegauss(200)
    x = np.concatenate([x, -x])  # even in weight; the kink at 0 limits the quadrature
    y, weights = answers(fnn.Selu(), x).y, np.concatenate([weights, weights]) / (2 * weights.sum())
    assert abs((weights * y).sum()) < 2e-3
    assert abs((weights * y * y).sum() - 1) < 2e-3


@each_activation
def test_an_activation_is_callable_and_is_its_forward(row: Activation):
    got = answers(row.layer, GRID)
    same(got.called, got.y)
    for shape in ((), (2, 3, 2)):
        assert jax.eval_shape(row.layer, shape_of(*shape)).shape == shape
    with pytest.raises(TypeError, match="expected an array of floating dtype, got int"):
        row.layer(np.arange(3))


@each_activation
def test_an_activation_caches_one_array_of_its_size_or_nothing(row: Activation):
    got, kept = answers(row.layer, GRID), row.layer.cached
    same(got.cache, {} if isinstance(row.layer, fnn.Step) else {kept: {"x": GRID, "y": got.y}[kept]})


# ---- the ends of the number line


@pytest.mark.full
@each_narrow_dtype
@rows_with("limits")
def test_the_limits_and_their_slopes(row: Activation, dtype: str):
    assert row.limits
    y, slope = row.limits
    eps = float(jnp.finfo(dtype).eps)
    got = answers(row.layer, [-INF, -1e4, 1e4, INF], dtype)
    assert got.y.dtype == dtype
    np.testing.assert_allclose(got.y.astype(np.float64), y, rtol=2 * eps)
    for each in (got.by_hand, got.automatic):
        np.testing.assert_allclose(each, slope, rtol=2 * eps, atol=5e-10 if dtype == "float32" else eps / 4)


def test_at_infinity_a_gate_is_open_or_shut():
    for row in gates.ROWS:
        assert row.limits
        layer, (_, slope) = row.layer, row.limits
        run = jax.jit(lambda x, layer=layer: layer.backward(layer.forward({}, {}, x)[2], jnp.ones_like(x))[1])
        assert run(jnp.array([-INF, INF])).tolist() == [slope[0], slope[-1]], layer


@each_narrow_dtype
@each_activation
def test_nan_passes_through_and_nothing_else_makes_one(row: Activation, dtype: str):
    got = answers(row.layer, [NAN, -INF, -1e4, -90, -1, -1e-40, -0.0, 0.0, 1e-40, 1, 90, 1e4, INF], dtype)
    assert np.isnan(got.y).tolist() == [True] + 12 * [False]
    finite = slice(3, -2) if row.limits is None else slice(2, -1)
    for each in (got.by_hand, got.automatic):
        assert np.isfinite(each[finite]).all()
        assert not np.isnan(each[1:]).any()


@each_activation
def test_zero_has_the_output_of_minus_zero(row: Activation):
    got = answers(row.layer, [0.0, -0.0])
    for each in (got.y, got.by_hand, got.automatic):
        assert each[0] == each[1]


@rows_with("flat")
def test_a_flat_piece_lets_no_infinite_gradient_through(row: Activation):
    x, _, slope = (np.array(each, float) for each in row.by_hand)
    assert (slope == 0).any(), "the row has an input by hand on a flat piece"
    _, *gradients = compiled.gradients(row.layer, {}, {}, x, np.where(slope == 0, INF, 1.0))
    for _, dx in gradients:
        assert (dx[slope == 0] == 0).all()


def test_an_infinite_gradient_above_the_kink_is_none_of_the_slope():
    params, x = {"slope": jnp.array([0.25])}, jnp.array([[0.5], [2.0], [-1.0]])
    cache = fnn.PRelu().forward(params, {}, x)[2]
    assert fnn.PRelu().backward(cache, jnp.array([[INF], [INF], [3.0]]))[0]["slope"] == -3


# ---- errors

FAULTS = [(type(row.layer), *fault) for row in ACTIVATIONS for fault in row.faults]


@pytest.mark.parametrize(("kind", "option", "error", "message"), FAULTS, ids=[row[3] for row in FAULTS])
def test_options_that_cannot_be(kind: Any, option: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        kind(option)


def of_one_number(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) and [field.type for field in dataclasses.fields(kind)] == [float]


NUMBERED = {type(row.layer): type(row.layer) for row in ACTIVATIONS if of_one_number(type(row.layer))}


@pytest.mark.parametrize("kind", NUMBERED, ids=lambda kind: kind.__name__)
def test_a_traced_option_passes(kind: Any):
    x, sweep = jnp.array([-1.0, 2.0]), jnp.array([0.5, 1.5])
    swept = jax.jit(jax.vmap(lambda option: kind(option)(x)))(sweep)
    for got, option in zip(swept, (0.5, 1.5), strict=True):
        np.testing.assert_allclose(got, answers(kind(option), x).y, rtol=1e-14)


def test_the_activations_of_one_number_are_known():
    assert {fnn.LeakyRelu, fnn.Elu, fnn.Celu, fnn.Swish} <= set(NUMBERED)


# ---- the kinks that comparisons stand aside from


@each_activation
def test_a_layer_declares_the_corners_of_its_slope_and_its_jumps(row: Activation):
    places = np.linspace(-8, 8, 129)
    left, right = (answers(row.layer, places + side) for side in (-1e-9, 1e-9))
    jumps = (abs(right.by_hand - left.by_hand) > 1e-6) | (abs(right.y - left.y) > 1e-6)
    declared = [place for place in places if (found := row.layer.kinks_at(np.array([place]))) and found.count]
    assert places[jumps].tolist() == declared
    assert set(declared) <= set(row.slopes_at), "the row says which slope is taken on each corner"
