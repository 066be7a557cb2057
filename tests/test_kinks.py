"""The fixed conventions on kinks and ties, each by the hand rule and by ``jax.grad`` through ``apply``.

Where the derivative does not exist, this is the one that fnn takes. The slopes of activations on their corners stand
in their rows (tests/cases/activation/), all else here.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer
from tests.cases.activation import ACTIVATIONS, Activation

NAN = float("nan")


def rows(*values: float) -> np.ndarray:
    return np.array([values], float)


def series(*values: float) -> np.ndarray:
    return np.array(values, float)[None, :, None]


def image(*lines: list[float]) -> np.ndarray:
    return np.array(lines, float)[None, :, :, None]


def on_kinks(row: Activation) -> tuple[Layer, np.ndarray, np.ndarray]:
    """An activation at the places of its row, and at −0 where 0 is one of them."""
    places = [*((-0.0,) if 0 in row.slopes_at else ()), *row.slopes_at]
    return row.layer, rows(*places), rows(*(row.slopes_at[place] for place in places))


# The layer, an input on its kinks or ties, and the gradient of the sum of its outputs.
LAYERS = {
    **{row.name: on_kinks(row) for row in ACTIVATIONS if row.slopes_at},
    "leaky ReLU'(0) = slope, slope 0": (fnn.LeakyRelu(0.0), rows(0.0), rows(0)),
    "ELU'(0) = α, α = 0": (fnn.Elu(0.0), rows(-0.0, 0.0, 1.0), rows(0, 0, 1)),
    "PReLU'(0) = slope, 0.25 at first": (fnn.PRelu(), rows(-0.0, 0.0, 1.0), rows(0.25, 0.25, 1)),
    "a tie in maxout: the first": (fnn.Maxout(3), rows(2, 2, 1, 0, 0, 0), rows(1, 0, 0, 1, 0, 0)),
    "a tie in maxout: the first of the later": (fnn.Maxout(3), rows(1, 2, 2, -1, 1, 1), rows(0, 1, 0, 0, 1, 0)),
    "a tie in a pool: the first": (fnn.MaxPool(3), series(2, 2, 1), series(1, 0, 0)),
    "a tie in a pool: the first of the later": (fnn.MaxPool(3), series(1, 2, 2), series(0, 1, 0)),
    "a tie of all": (fnn.MaxPool(2), image([0, 0], [0, 0]), image([1, 0], [0, 0])),
    "a tie in row order": (fnn.MaxPool(2), image([1, 5], [5, 1]), image([0, 1], [0, 0])),
    "a tie in overlapping windows": (fnn.MaxPool(2, strides=1), series(3, 3, 3), series(1, 1, 0)),
    "a tie in a global pool: the first": (fnn.GlobalMaxPool(), series(1, 2, 2), series(0, 1, 0)),
    "a tie in a global pool, in row order": (fnn.GlobalMaxPool(), image([1, 5], [5, 1]), image([0, 1], [0, 0])),
    "a tie of all in a global pool, at −∞": (fnn.GlobalMaxPool(), series(-np.inf, -np.inf), series(1, 0)),
    "a tie with padding at −∞": (fnn.MaxPool(2, strides=1, padding="CAUSAL"), series(1, 1), series(2, 0)),
}

PENALTIES = {
    "|x|' at 0 is 0": (fnn.L1(2.0), np.array([-1.0, -0.0, 0.0, 3.0]), np.array([-2.0, 0, 0, 2])),
    "|x|' at 0 is 0, with squares": (fnn.ElasticNet(2.0, 1.0), np.array([-1.0, -0.0, 0.0]), np.array([-3.0, 0, 0])),
}


# The loss, a prediction on its kinks or ties, the target, and the gradient of the sum of the terms.
LOSSES = {
    "|x|' at 0 is 0": (fnn.MeanAbsoluteError(), [-0.0, 0.0, 2.0, -2.0], [0.0] * 4, [0, 0, 1, -1]),
    "a root of a mean at 0": (fnn.RootMeanSquaredError(), [1.0, -2.0, 0.0, 3.0], [1.0, -2.0, 0.0, 3.0], [0] * 4),
    "Huber at delta": (fnn.Huber(2.0), [2.0, -2.0, 3.0, -3.0], [0.0] * 4, [2, -2, 2, -2]),
    "a hinge at a margin of exactly 1": (fnn.Hinge(), [1.0, -1.0, 0.5, 0.0], [1, -1, 1, -1], [0, 0, -1, 1]),
    "the perceptron at y z = 0: −y": (fnn.PerceptronLoss(), [0.0, -0.0, 0.0, 3.0], [1, 1, -1, 1], [-1, -1, 1, 0]),
    "a hinge of classes at a margin of exactly 1": (
        fnn.MultiClassHinge(),
        [[2.0, 1, 0], [0, 1, 2]],
        [0, 2],
        [[0] * 3] * 2,
    ),
    "a tie of rivals: the first": (fnn.MultiClassHinge(), [[5.0, 2, 5], [1, 1, 1]], [1, 0], [[1, -1, 0], [-1, 1, 0]]),
    "a zero vector": (fnn.CosineSimilarity(), [[0.0, 0.0], [0.0, -0.0]], [[1.0, 2.0], [0.0, 0.0]], [[0, 0], [0, 0]]),
    "a triplet on its margin": (fnn.Triplet(1.0), [[[0.0], [1.0], [2.0]]], None, [[[0], [0], [0]]]),
    "a triplet whose points coincide": (fnn.Triplet(1.0), [[[1.0], [1.0], [1.5]]], None, [[[1], [0], [-1]]]),
    "a sure label": (fnn.Focal(0.5), [[40.0, 0.0]], [0], [[0, 0]]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str):
    loss, prediction, target, expected = LOSSES[name]
    prediction, target = np.array(prediction), None if target is None else np.array(target)

    @jax.jit
    def both(prediction: Any) -> Any:
        count = loss.weight(prediction, target)  # the value is the mean of so many terms
        by_hand = loss.backward(loss.forward(prediction, target)[1])
        return count * by_hand, count * jax.grad(lambda prediction: loss(prediction, target))(prediction)

    by_hand, automatic = both(prediction)
    assert (by_hand == np.array(expected, float)).all()
    assert (automatic == np.array(expected, float)).all()


@pytest.mark.full
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_on_a_kink_raises_no_false_alarm(name: str):
    """A NaN that is selected away later on would stop whoever looks for one of their own."""
    loss, prediction, target, _ = LOSSES[name]
    prediction, target = jnp.asarray(prediction), None if target is None else jnp.asarray(target)
    with jax.debug_nans(True):
        _, cache = loss.forward(prediction, target)
        for dvalue in (1.0, 0.0):
            loss.backward(cache, dvalue)


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str):
    layer, x, expected = LAYERS[name]

    @jax.jit
    def both(x: Any) -> Any:
        params, state = layer.init(jax.random.key(0), x)
        y, _, cache = layer.forward(params, state, x)
        automatic = jax.grad(lambda x: layer.apply(params, state, x)[0].sum())(x)
        return layer.backward(cache, jnp.ones_like(y))[1], automatic

    by_hand, automatic = both(x)
    assert (by_hand == expected).all()
    assert (automatic == expected).all()


@pytest.mark.parametrize("name", PENALTIES)
def test_penalty(name: str):
    penalty, kernel, expected = PENALTIES[name]
    params = {"kernel": jnp.asarray(kernel)}
    _, cache = penalty.forward(params)
    assert (penalty.backward(cache)["kernel"] == expected).all()
    assert (jax.grad(penalty)(params)["kernel"] == expected).all()


# ---- NaN passes through, and does not spread


@pytest.mark.parametrize("layer", [fnn.Relu(), fnn.LeakyRelu(), fnn.Gelu(), fnn.Silu(), fnn.Tanh(), fnn.Sigmoid()])
def test_nan_passes_through_an_activation(layer: Layer):
    y, _ = layer.apply({}, {}, rows(-1, NAN, 1))
    assert jnp.isnan(y).tolist() == [[False, True, False]]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_wins_in_a_max_pool_wherever_it_stands(place: int):
    layer, x = fnn.MaxPool(3), series(1, 5, 2, 1, 2, 3)
    x[0, place, 0] = NAN
    y, _, cache = layer.forward({}, {}, x)
    assert jnp.isnan(y[0, :, 0]).tolist() == [True, False]
    dx = layer.backward(cache, jnp.ones_like(y))[1]
    assert dx[0, :, 0].tolist() == [float(i == place) for i in range(3)] + [0, 0, 1]


@pytest.mark.parametrize("layer", [fnn.MaxPool(3), fnn.GlobalMaxPool()], ids=repr)
def test_the_first_nan_of_a_window_has_its_gradient(layer: Layer):
    y, _, cache = layer.forward({}, {}, series(5, NAN, NAN))
    assert jnp.isnan(y).all()
    assert layer.backward(cache, jnp.ones_like(y))[1][0, :, 0].tolist() == [0, 1, 0]


def test_a_closed_relu_lets_no_infinite_gradient_through():
    y, _, cache = fnn.Relu().forward({}, {}, rows(-1, 0, 1))
    assert y.tolist() == [[0, 0, 1]]
    assert fnn.Relu().backward(cache, jnp.asarray(rows(np.inf, NAN, 2)))[1].tolist() == [[0, 0, 2]]


def test_windows_of_minus_infinity_have_a_winner_too():
    layer, x = fnn.MaxPool(2), series(-jnp.inf, -jnp.inf)
    y, _, cache = layer.forward({}, {}, x)
    assert y[0, 0, 0] == -jnp.inf
    assert layer.backward(cache, jnp.ones_like(y))[1][0, :, 0].tolist() == [1, 0]
