"""What the documentation of ``fnn.interop`` says of both libraries, measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.interop import load_torch
from tests.interop.modules import spec

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn, functional = torch.nn, torch.nn.functional

N, T, D = 1, 3, 4


def gradient(function: Any, x: Any) -> list:
    tensor = torch.tensor(x, requires_grad=True)
    function(tensor).sum().backward()
    return tensor.grad.tolist()


def test_the_first_of_a_tie_gets_the_gradient_in_pools_and_amax_splits_it():
    x = np.ones((1, 2, 1), np.float32)
    for layer in (fnn.MaxPool((2,)), fnn.GlobalMaxPool()):
        y, _, cache = layer.forward({}, {}, jnp.asarray(x))
        assert layer.backward(cache, jnp.ones_like(y))[1].ravel().tolist() == [1, 0]
    assert gradient(lambda x: functional.max_pool1d(x, 2), [[[1.0, 1.0]]]) == [[[1, 0]]]
    assert gradient(lambda x: functional.adaptive_max_pool1d(x, 1), [[[1.0, 1.0]]]) == [[[1, 0]]]
    assert gradient(lambda x: x.amax(-1), [[[1.0, 1.0]]]) == [[[0.5, 0.5]]]
    assert jax.grad(lambda x: jnp.max(x))(jnp.ones(2)).tolist() == [0.5, 0.5]


def test_nan_is_the_maximum_of_a_pool():
    x = np.array([[[1.0], [np.nan], [2.0], [3.0]]], np.float32)
    assert np.isnan(fnn.MaxPool((2,)).apply({}, {}, x)[0]).ravel().tolist() == [True, False]
    assert np.isnan(fnn.GlobalMaxPool().apply({}, {}, x)[0]).all()
    assert functional.max_pool1d(torch.tensor(x).movedim(-1, 1), 2).isnan().flatten().tolist() == [True, False]


def test_an_average_over_padding_is_divided_by_the_elements_inside_or_by_the_window():
    x = np.ones((1, 2, 1), np.float32)
    y, _ = fnn.AvgPool((2,), padding=1).apply({}, {}, x)
    assert y.ravel().tolist() == [1, 1]
    assert functional.avg_pool1d(torch.ones(1, 1, 2), 2, padding=1).flatten().tolist() == [0.5, 0.5]


def test_a_query_that_may_attend_to_nothing_gives_0_or_nan():
    torch.manual_seed(0)
    module = nn.MultiheadAttention(D, 2, batch_first=True)
    x, mask = torch.randn(N, T, D), torch.ones(T, T, dtype=torch.bool).tril(-1)  # the first may attend to nothing
    with torch.no_grad():
        module.out_proj.bias += 1
        params, state = load_torch(fnn.MultiHeadAttention(2), module, spec(N, T, D))
        y, _ = fnn.MultiHeadAttention(2).apply(params, state, (x.numpy(), mask.numpy()[None]))
        np.testing.assert_array_equal(y[0, 0], params["out"]["bias"])  # 0 through the last projection
        assert functional.scaled_dot_product_attention(x, x, x, attn_mask=mask)[0, 0].tolist() == [0] * D
        expected, weights = module(x, x, x, attn_mask=~mask, need_weights=True)
    assert weights[0, 0].isnan().all()
    assert expected[0, 0].isnan().all()
    np.testing.assert_allclose(y[0, 1:], expected[0, 1:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("dtype", "epsilon"), [("float32", 2.0**-23), ("bfloat16", 2.0**-23), ("float64", 2.0**-52)])
def test_the_ε_of_rms_norm(dtype: str, epsilon: float):
    x = np.sqrt(epsilon) * np.array([[1.0, -1.0]])  # where mean(x²) = ε, y = x̂ / √2
    with jax.enable_x64(dtype == "float64"):
        ours, _ = fnn.RMSNorm(epsilon=epsilon, use_scale=False).apply({}, {}, jnp.asarray(x, dtype))
    theirs = nn.RMSNorm(2, elementwise_affine=False)(torch.tensor(x, dtype=getattr(torch, dtype)))
    expected = np.array([[1, -1]]) / np.sqrt(2)
    for each in (np.asarray(ours, np.float64), theirs.double().numpy()):
        np.testing.assert_allclose(each, expected, rtol=1e-2 if dtype == "bfloat16" else 1e-6)


def test_weight_norm_keeps_the_function_when_it_wraps_a_layer():
    module = nn.Linear(D, 3)
    plain, _ = load_torch(fnn.Dense(3), module, spec(N, D))
    wrapped, _ = load_torch(fnn.WeightNorm(fnn.Dense(3)), nn.utils.parametrizations.weight_norm(module), spec(N, D))
    np.testing.assert_array_equal(wrapped["kernel"], plain["kernel"])
    np.testing.assert_allclose(wrapped["kernel_scale"], np.linalg.norm(plain["kernel"], axis=0), rtol=1e-6)
    initial, _ = fnn.WeightNorm(fnn.Dense(3)).init(jax.random.key(0), np.ones((N, D), np.float32))
    np.testing.assert_allclose(initial["kernel_scale"], np.linalg.norm(initial["kernel"], axis=0), rtol=1e-6)


def test_gradients_of_hard_sigmoid_and_celu_are_rounded_to_float32_in_pytorch():
    x = np.linspace(-6, -1, 101)
    assert 1e-9 < abs(gradient(functional.hardsigmoid, np.zeros(1))[0] - 1 / 6) < 5e-9
    assert 1e-9 < np.abs(gradient(lambda x: functional.celu(x, 1.3), x) - np.exp(x / 1.3)).max() < 4e-8
    with jax.enable_x64(True):
        for layer, at, slope in ((fnn.HardSigmoid(), x / 3, np.full(101, 1 / 6)), (fnn.Celu(1.3), x, np.exp(x / 1.3))):
            _, _, cache = layer.forward({}, {}, jnp.asarray(at))
            np.testing.assert_allclose(layer.backward(cache, jnp.ones(101))[1], slope, rtol=0, atol=1e-15)


def test_slopes_at_0_and_at_the_corners_of_hard_tanh():
    assert gradient(lambda x: x.abs(), [0.0]) == [0]
    assert jax.grad(jnp.abs)(0.0) == 1
    assert gradient(functional.hardtanh, [-1.0, 1.0]) == [0, 0]
    assert jax.vmap(jax.grad(jax.nn.hard_tanh))(jnp.array([-1.0, 1.0])).tolist() == [1, 1]
    loss = fnn.MeanAbsoluteError()
    _, cache = loss.forward(jnp.zeros(2), jnp.array([0.0, 1.0]))
    assert loss.backward(cache).tolist() == [0, -0.5]
