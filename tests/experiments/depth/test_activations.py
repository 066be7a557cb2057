"""A quick run on activations: slopes, dead units, what is learned, and that each rule can say no."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.depth.activations import chequerboard, dead_units
from experiments.depth.activations_claims import best_rate, shares
from experiments.depth.activations_plots import broken
from experiments.depth.activations_shapes import ACTIVATIONS, NONE, STEP, X, slope_of
from experiments.depth.one_of import OneOf
from fnn.testing import check_layer

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_no_elementwise_activation_of_fnn_is_missing():
    elementwise = type(fnn.Relu()).__mro__[1]
    every = {each for each in vars(fnn).values() if isinstance(each, type) and issubclass(each, elementwise)}
    assert {type(each) for each in ACTIVATIONS.values()} == every | {fnn.Identity}


def test_tanh_learns_the_board_that_no_activation_does_and_only_relus_die(run):
    outcomes = run.figures["outcomes"]
    best = {name: min(found["accuracy"][best_rate(found)]) for name, found in outcomes.items()}
    assert max(best[NONE], best[STEP]) < 0.65 < min(best["tanh"], best["ReLU"], best["leaky ReLU"])
    assert min(outcomes["ReLU"]["dead"][-1]) > 0.3 > max(outcomes["ReLU"]["dead"][0])
    assert np.max(outcomes["leaky ReLU"]["dead"]) == 0
    assert np.min(outcomes[STEP]["dead"]) == 1
    # 1 − tanh² = σ(1 − σ) gives cosh x = 2 cosh(x/2), so that cosh(x/2) = (1 + √3)/2.
    np.testing.assert_allclose(run.figures["crossing"], 2 * np.arccosh((1 + np.sqrt(3)) / 2), rtol=1e-10)


def test_every_rule_can_say_the_opposite(run):
    shapes, outcomes = run.figures["curves"], run.figures["outcomes"]
    assert run.verdict("slopes by hand", curves=changed(shapes, "tanh", error=1e-3)) == "does not hold"
    slope = "slope of tanh is larger"
    assert run.verdict(slope) == "holds only when x is between −1.663 and 1.663"
    assert run.verdict(slope, curves=changed(shapes, "tanh", slope=[1.0] * len(X))) == "holds"
    assert run.verdict(slope, crossing=3.0) == run.verdict(slope, crossing=1.0) == "does not hold"
    steep = changed(shapes, "sigmoid", slope=[0.26] * len(X))
    assert run.verdict("shrinks every delta", curves=steep) == "does not hold"
    rows = len(run.study.rates) - 1
    alive = changed(outcomes, "ReLU", dead=[[0.0, 0.0]] * rows + [[0.9, 0.09]])
    assert run.verdict("ReLUs die at") == "holds"
    assert run.verdict("ReLUs die at", outcomes=alive) == "does not hold"
    dying = changed(outcomes, "leaky ReLU", dead=[[0.0, 0.0]] * rows + [[0.0, 0.02]])
    assert run.verdict("Leaky ReLUs do not die", outcomes=dying) == "does not hold"
    level = changed(outcomes, "leaky ReLU", accuracy=[[0.9, 0.9]] * rows + [[0.86, 0.95]])
    assert run.verdict("therefore learn as well", outcomes=level) == "holds"
    lower = changed(outcomes, "leaky ReLU", accuracy=[[0.9, 0.9]] * rows + [[0.84, 0.95]])
    assert run.verdict("therefore learn as well", outcomes=lower) == "does not hold"
    better, no_better = ([[each, each]] * (rows + 1) for each in (0.9, 0.2))
    every = "Every activation learns more"
    assert run.verdict(every, outcomes=changed(outcomes, STEP, accuracy=better)) == "holds"
    only_step = changed(outcomes, STEP, accuracy=no_better)
    assert run.verdict(every, outcomes=only_step) == "holds only when the activation has a slope"
    assert run.verdict(every, outcomes=changed(only_step, "tanh", accuracy=no_better)) == "does not hold"


def changed(figures: dict, name: str, **values: object) -> dict:
    """A copy with other values of one activation."""
    figures = copy.deepcopy(figures)
    figures[name] |= values
    return figures


def test_one_of_several_layers_is_that_layer_forward_and_backward():
    layers = fnn.Relu(), fnn.Tanh()
    with jax.enable_x64(True):
        x, dy = jnp.array([[-1.0, 0.5], [2.0, -3.0]]), jnp.array([[1.0, 2.0], [3.0, 4.0]])
        for number, layer in enumerate(layers):
            # The number is traced, as in the run over all of them.
            y, dx = jax.jit(lambda number: forward_and_backward(OneOf(layers, number), x, dy))(number)
            automatic = jax.grad(lambda x, layer=layer: jnp.vdot(layer(x), dy))(x)
            for found, expected in zip((y, dx), forward_and_backward(layer, x, dy), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-12)
            np.testing.assert_allclose(dx, automatic, rtol=1e-12)


def test_one_of_several_layers_keeps_the_contract_of_layers():
    check_layer(OneOf((fnn.Relu(), fnn.Tanh()), 1), jax.random.normal(jax.random.key(0), (4, 3)))


def forward_and_backward(layer: fnn.Layer, x: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    y, _, cache = layer.forward({}, {}, x)
    return y, layer.backward(cache, dy)[1]


def test_dead_units_worked_by_hand():
    # Of the units x, −x and −x − 3, the last one is never positive for inputs from −1 to 2.
    model = fnn.Serial(fnn.Dense(3), OneOf((fnn.Relu(),), 0), fnn.Dense(1))
    kernels = {"kernel": jnp.array([[1.0, -1.0, -1.0]]), "bias": jnp.array([0.0, 0.0, -3.0])}
    params = {"dense_0": kernels, "dense_1": {"kernel": jnp.ones((3, 1)), "bias": jnp.zeros(1)}}
    y, _, cache = model.forward(params, {}, jnp.array([[-1.0], [0.5], [2.0]]))
    reports, dx = fnn.backprop(model, cache, jnp.ones_like(y), dead_units)
    np.testing.assert_allclose(reports["one_of_0"], 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(dx, model.backward(cache, jnp.ones_like(y))[1])


def test_helpers_worked_by_hand():
    assert slope_of(fnn.LeakyRelu(0.1), jnp.array([-2.0, 3.0])).tolist() == [np.float32(0.1), 1]
    assert best_rate({"loss": [[0.5, 0.5], [0.1, 0.2], [1e9, 0.0]]}) == 1
    assert shares([0.5, 0.25]) == "25% to 50%"
    assert shares([0.5, 0.5]) == "50%"
    np.testing.assert_array_equal(broken([0, 0.1, 1, 1]), [0, np.nan, 1, 1])
    points, colours = chequerboard(4000, 0)
    np.testing.assert_allclose(points.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(points.std(0), 1, atol=0.05)
    assert np.array_equal(colours, np.floor(0.87 * points + 1.5).sum(1) % 2)
    # Five of the nine fields have the colour of the corners.
    np.testing.assert_allclose(colours.mean(), 4 / 9, atol=0.03)
