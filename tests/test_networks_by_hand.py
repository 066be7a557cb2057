"""Small networks whose every gradient is worked by hand, in fractions.

The weights are multiples of ℓ = ln 3, for which sigmoid(ℓ) = 3/4, sigmoid(0) = 1/2, sigmoid(−ℓ) = 1/4 and
tanh(ℓ/2) = 1/2; or of ln 2, for which a softmax is (1, 2, 4)/7. Rows are samples: δ is the gradient of a layer's output
before its activation, dW = xᵀ δ, and dx = δ Wᵀ.
"""

import math
from typing import Any

import jax
import numpy as np
import pytest

import fnn

L, L2 = math.log(3), math.log(2)


def dense(kernel: Any, bias: Any = None) -> dict:
    kernel = np.array(kernel, float)
    return {"kernel": kernel, "bias": np.zeros(kernel.shape[1]) if bias is None else np.array(bias, float)}


NETWORKS = {
    # x = (1, 1): z¹ = (ℓ, 0, −ℓ), h = (3/4, 1/2, 1/4), z² = (ℓ, 0), p = (3/4, 1/2); y = (1, 0).
    # value = ((1/4)² + (1/2)²)/2 = 5/32;  dp = (p − y) = (−1/4, 1/2);  δ² = dp ⊙ p(1 − p) = (−3/64, 1/8)
    # dh = δ² W²ᵀ = (ℓ/2, 0, −27ℓ/16);  δ¹ = dh ⊙ h(1 − h) = (3ℓ/32, 0, −81ℓ/256)
    "2-3-2, sigmoid, mean squared error": (
        fnn.Serial(fnn.Dense(3), fnn.Sigmoid(), fnn.Dense(2), fnn.Sigmoid()),
        fnn.MeanSquaredError(),
        {
            "dense_0": dense([[L, 0, 0], [0, 0, -L]]),
            "dense_1": dense([[0, 4 * L], [0, 0], [4 * L, -12 * L]]),
        },
        ([[1.0, 1.0]], [[1.0, 0.0]]),
        5 / 32,
        {
            "dense_0": dense([[3 * L / 32, 0, -81 * L / 256]] * 2, [3 * L / 32, 0, -81 * L / 256]),
            "dense_1": dense([[-9 / 256, 3 / 32], [-3 / 128, 1 / 16], [-3 / 256, 1 / 32]], [-3 / 64, 1 / 8]),
        },
    ),
    # x = (1, 2): z¹ = (1, −1, 2, 3), h = (1, 0, 2, 3), z² = (0, ln 2, 2 ln 2), p = (1, 2, 4)/7; class 1.
    # value = −log(2/7);  δ² = p − (0, 1, 0) = (1, −5, 4)/7;  dh = δ² W²ᵀ = ln 2 · (−5/7, 0, 4/7, 0), where z¹ > 0
    "2-4-3, ReLU, softmax": (
        fnn.Serial(fnn.Dense(4), fnn.Relu(), fnn.Dense(3)),
        fnn.CrossEntropy(),
        {
            "dense_0": dense([[1, 1, 0, 1], [0, -1, 1, 1]]),
            "dense_1": dense([[0, L2, 0], [5 * L2, 5 * L2, 5 * L2], [0, 0, L2], [0, 0, 0]]),
        },
        ([[1.0, 2.0]], [1]),
        math.log(7 / 2),
        {
            "dense_0": dense(
                [[-5 * L2 / 7, 0, 4 * L2 / 7, 0], [-10 * L2 / 7, 0, 8 * L2 / 7, 0]], [-5 * L2 / 7, 0, 4 * L2 / 7, 0]
            ),
            "dense_1": dense(
                [[1 / 7, -5 / 7, 4 / 7], [0, 0, 0], [2 / 7, -10 / 7, 8 / 7], [3 / 7, -15 / 7, 12 / 7]],
                [1 / 7, -5 / 7, 4 / 7],
            ),
        },
    ),
    # x = (1, −1): z¹ = (ℓ/2, −ℓ/2), h = (1/2, −1/2), z² = ℓ, p = 3/4; y = 1.
    # value = log(4/3);  δ² = p − y = −1/4;  dh = (−ℓ/4, ℓ/4);  δ¹ = dh ⊙ (1 − h²) = (−3ℓ/16, 3ℓ/16)
    "2-2-1, tanh, binary cross-entropy": (
        fnn.Serial(fnn.Dense(2), fnn.Tanh(), fnn.Dense(1)),
        fnn.BinaryCrossEntropy(),
        {"dense_0": dense([[L / 2, 0], [0, L / 2]]), "dense_1": dense([[L], [-L]])},
        ([[1.0, -1.0]], [[1]]),
        math.log(4 / 3),
        {
            "dense_0": dense([[-3 * L / 16, 3 * L / 16], [3 * L / 16, -3 * L / 16]], [-3 * L / 16, 3 * L / 16]),
            "dense_1": dense([[-1 / 8], [1 / 8]], [-1 / 4]),
        },
    ),
    # x = (1, 1, 0): z¹ = (ℓ, ℓ, −ℓ), h = (3/4, 3/4, 1/4), z² = ℓ, p = 3/4; y = 1.
    # value = 1/16;  δ² = 2(p − y) p(1 − p) = −3/32;  dh = ℓ (−3/16, 3/16, −3/8);  δ¹ = 3/16 dh; x₃ = 0 moves nothing
    "3-3-1, sigmoid, mean squared error": (
        fnn.Serial(fnn.Dense(3), fnn.Sigmoid(), fnn.Dense(1), fnn.Sigmoid()),
        fnn.MeanSquaredError(),
        {
            "dense_0": dense([[L, 0, 0], [0, L, -L], [5 * L, 5 * L, 5 * L]]),
            "dense_1": dense([[2 * L], [-2 * L], [4 * L]]),
        },
        ([[1.0, 1.0, 0.0]], [[1.0]]),
        1 / 16,
        {
            "dense_0": dense(
                [[-9 * L / 256, 9 * L / 256, -9 * L / 128]] * 2 + [[0, 0, 0]],
                [-9 * L / 256, 9 * L / 256, -9 * L / 128],
            ),
            "dense_1": dense([[-9 / 128], [-9 / 128], [-3 / 128]], [-3 / 32]),
        },
    ),
    # One weight, two ways to the output: x = 1, a¹ = 1/2, a² = (1/2, −1/2), p = 2·1/2 − 3·1/2 = −1/2; y = 0.
    # dp = 2p = −1. The path through the first unit gives dp · 2 · 3/4 · ℓ · 3/4 = −9ℓ/8, that through the second
    # dp · 3 · 3/4 · (−ℓ) · 3/4 = 27ℓ/16; the gradient of the first weight is their sum, 9ℓ/16.
    "1-1-2-1, two paths": (
        fnn.Serial(fnn.Dense(1), fnn.Tanh(), fnn.Dense(2), fnn.Tanh(), fnn.Dense(1)),
        fnn.MeanSquaredError(),
        {"dense_0": dense([[L / 2]]), "dense_1": dense([[L, -L]]), "dense_2": dense([[2], [3]])},
        ([[1.0]], [[0.0]]),
        1 / 4,
        {
            "dense_0": dense([[-9 * L / 8 + 27 * L / 16]], [9 * L / 16]),
            "dense_1": dense([[-3 / 4, -9 / 8]], [-3 / 2, -9 / 4]),
            "dense_2": dense([[-1 / 2], [1 / 2]], [-1]),
        },
    ),
}


@pytest.mark.parametrize("method", ["manual", "auto"])
@pytest.mark.parametrize("name", NETWORKS)
def test_value_and_gradient(name: str, method: Any):
    model, loss, params, (x, y), expected_value, expected = NETWORKS[name]
    objective = fnn.Objective(model, loss)
    step = jax.jit(lambda params, batch: objective.value_and_grad(params, {}, batch, method=method))
    (value, _), grads = step(params, (np.array(x), np.array(y)))
    np.testing.assert_allclose(value, expected_value, rtol=1e-14)
    assert {name: grads[name].keys() for name in grads} == {name: expected[name].keys() for name in expected}
    for layer, parts in expected.items():
        for leaf, reference in parts.items():
            np.testing.assert_allclose(grads[layer][leaf], reference, rtol=1e-13, atol=1e-16, err_msg=f"{layer}/{leaf}")


def test_a_step_moves_the_hidden_weights_by_the_output_weights_from_before_it():
    # W¹ changes by −η xᵀ δ¹, and δ¹ was computed with W² as it stood: η = 1/2 on the 3-3-1 network above.
    model, loss, params, (x, y), _, expected = NETWORKS["3-3-1, sigmoid, mean squared error"]
    optimizer, objective, batch = fnn.optim.sgd(0.5), fnn.Objective(model, loss), (np.array(x), np.array(y))

    @jax.jit
    def step(params: Any) -> Any:
        _, grads = objective.value_and_grad(params, {}, batch)
        updates, _ = optimizer.update(grads, optimizer.init(params), params)
        moved = fnn.optim.apply_updates(params, updates)
        return moved, objective(moved, {}, batch)[0]

    moved, value = step(params)
    for layer, parts in expected.items():
        for leaf, gradient in parts.items():
            np.testing.assert_allclose(moved[layer][leaf], params[layer][leaf] - 0.5 * gradient, rtol=1e-13, atol=1e-16)
    # A unit whose δ is negative gains: the error falls.
    assert value < 1 / 16
