"""The bilinear form."""

# Arguments are wrong on purpose, and a row of what is refused is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests import compiled
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def run(layer: fnn.Layer, x: Any, params: Any = None) -> np.ndarray:
    return np.asarray(compiled.apply(layer, params or {}, {}, x)[0])


def test_bilinear_is_the_sum_in_its_docstring(random: Any):
    first, second, kernel, bias = random(2, 3, 4), random(2, 3, 5), random(4, 5, 2), random(2)
    expected = np.zeros((2, 3, 2)) + bias
    for n, t, f, i, j in np.ndindex(2, 3, 2, 4, 5):
        expected[n, t, f] += first[n, t, i] * kernel[i, j, f] * second[n, t, j]
    close(run(fnn.Bilinear(2), (first, second), {"kernel": kernel, "bias": bias}), expected)


def test_bilinear_worked_by_hand():
    layer = fnn.Bilinear(1)
    params = {"kernel": jnp.array([[[1.0], [2.0]]]), "bias": jnp.array([0.5])}
    y, _, cache = layer.forward(params, {}, (jnp.array([[3.0]]), jnp.array([[5.0, 7.0]])))
    assert y.tolist() == [[3 * (1 * 5 + 2 * 7) + 0.5]]
    dparams, dx = layer.backward(cache, jnp.array([[10.0]]))
    assert dparams["kernel"].tolist() == [[[150], [210]]]
    assert dparams["bias"].tolist() == [10]
    assert [each.tolist() for each in dx] == [[[190]], [[30, 60]]]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 3)), TypeError, "expected a pair of arrays (x1, x2), got float64[2,3]"),
        ((np.zeros((2, 3)),) * 3, TypeError, "expected a pair of arrays (x1, x2), got (float64[2,3], "),
        ((np.zeros((2, 3)), np.zeros((3, 3))), ValueError, "expected inputs (…, D1) and (…, D2) with the same leading"),
        ((np.zeros(3), np.zeros(())), ValueError, "expected inputs (…, D1) and (…, D2) with the same leading axes"),
        ((np.zeros((2, 3)), np.zeros((2, 3), np.float32)), TypeError, "expected two inputs of one dtype, got (float64["),
        ((np.zeros((2, 3), int), np.zeros((2, 3), int)), TypeError, "expected an array of floating dtype, got int64[2,3]"),
        ((np.zeros((2, 3)), np.zeros((2, 5))), ValueError, "'kernel' has shape (3, 4, 2) where this input needs (3, 5, 2)"),
    ],
)  # fmt: skip
def test_inputs_of_bilinear(x: Any, error: type, message: str):
    params = {"kernel": np.zeros((3, 4, 2)), "bias": np.zeros(2)}
    with pytest.raises(error, match=re.escape(message)):
        fnn.Bilinear(2).apply(params, {}, x)
