"""The fixed conventions on kinks and ties, each by the hand rule and by ``jax.grad`` through ``apply``.

One table: where the derivative does not exist, this is the one that fnn takes.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer

NAN = float("nan")


def rows(*values: float) -> np.ndarray:
    return np.array([values], float)


def series(*values: float) -> np.ndarray:
    return np.array(values, float)[None, :, None]


def image(*lines: list[float]) -> np.ndarray:
    return np.array(lines, float)[None, :, :, None]


# The layer, an input on its kinks or ties, and the gradient of the sum of its outputs.
LAYERS = {
    "ReLU'(0) = 0": (fnn.Relu(), rows(-0.0, 0.0, 1.0), rows(0, 0, 1)),
    "leaky ReLU'(0) = slope": (fnn.LeakyRelu(0.1), rows(-0.0, 0.0, 1.0), rows(0.1, 0.1, 1)),
    "leaky ReLU'(0) = slope, slope 0": (fnn.LeakyRelu(0.0), rows(0.0), rows(0)),
    "a tie in a pool: the first": (fnn.MaxPool(3), series(2, 2, 1), series(1, 0, 0)),
    "a tie in a pool: the first of the later": (fnn.MaxPool(3), series(1, 2, 2), series(0, 1, 0)),
    "a tie of all": (fnn.MaxPool(2), image([0, 0], [0, 0]), image([1, 0], [0, 0])),
    "a tie in row order": (fnn.MaxPool(2), image([1, 5], [5, 1]), image([0, 1], [0, 0])),
    "a tie in overlapping windows": (fnn.MaxPool(2, strides=1), series(3, 3, 3), series(1, 1, 0)),
    "a tie with padding at −∞": (fnn.MaxPool(2, strides=1, padding="CAUSAL"), series(1, 1), series(2, 0)),
}

PENALTIES = {
    "|x|' at 0 is 0": (fnn.L1(2.0), np.array([-1.0, -0.0, 0.0, 3.0]), np.array([-2.0, 0, 0, 2])),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str):
    layer, x, expected = LAYERS[name]
    x = jnp.asarray(x)
    y, _, cache = layer.forward({}, {}, x)
    assert (layer.backward(cache, jnp.ones_like(y))[1] == expected).all()
    assert (jax.grad(lambda x: layer.apply({}, {}, x)[0].sum())(x) == expected).all()


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


def test_the_first_nan_of_a_window_has_its_gradient():
    layer = fnn.MaxPool(3)
    y, _, cache = layer.forward({}, {}, series(1, NAN, NAN))
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
