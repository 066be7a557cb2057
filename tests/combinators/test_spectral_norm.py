"""Spectral norm: numbers worked by hand, the power iteration and its state, kernels of zeros."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Conv, Dense, Serial, SpectralNorm, Tanh
from fnn.layer import Layer
from fnn.paths import named_leaves
from fnn.testing import check_layer
from tests import compiled
from tests.comparing import close, same
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def two() -> Serial:
    return Serial(Dense(4), Tanh(), head=Dense(2))


def singular_values(kernel: Any) -> np.ndarray:
    return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)


@pytest.mark.full
@pytest.mark.parametrize("inner", [Dense(4), Conv(4, (2, 3))], ids=["dense", "convolution"])
def test_the_largest_singular_value_becomes_1(inner: Layer, random: Any):
    layer, x = SpectralNorm(inner, iterations=500), random(2, 5, 5, 3)
    params, state = compiled.init(layer, KEY, x)
    _, state, cache = compiled.forward(layer, params, state, x, train=True)
    (kept,) = cache["transform"].values()
    close(kept["sigma"], singular_values(params["inner"]["kernel"])[0])
    close(singular_values(kept["kernel"])[0], 1.0)
    y, _ = compiled.apply(inner, {**params["inner"], "kernel": kept["kernel"]}, {}, x)
    close(compiled.apply(layer, params, state, x)[0], y)


def test_spectral_norm_worked_by_hand():
    layer, x = SpectralNorm(Dense(2, use_bias=False)), jnp.array([[1.0, 1.0]])
    params = {"inner": {"kernel": jnp.array([[3.0, 0.0], [0.0, 1.0]])}}
    state = {"u": {"kernel": jnp.array([1.0, 1.0]) / jnp.sqrt(2.0)}}
    y, after, cache = compiled.forward(layer, params, state, x, train=True)
    # W u ∝ (3, 1), Wᵀ of which ∝ (9, 1): u = (9, 1)/√82 and σ = ‖(27, 1)‖/√82.
    u, sigma = np.array([9.0, 1.0]) / 82**0.5, (730 / 82) ** 0.5
    close(after["u"]["kernel"], u)
    close(y, np.array([[3 / sigma, 1 / sigma]]))
    dparams, _ = layer.backward(cache, jnp.array([[1.0, 0.0]]))
    # dW' = [[1, 0], [1, 0]], so Σ dW' ⊙ W' = 3/σ; v = (27, 1)/√730.
    expected = (np.array([[1.0, 0.0], [1.0, 0.0]]) - 3 / sigma * np.outer([27, 1], u) / 730**0.5) / sigma
    close(dparams["inner"]["kernel"], expected)


@pytest.mark.full
def test_inference_right_after_a_training_step_gives_its_output(random: Any):
    layer, x = SpectralNorm(two()), random(3, 5)
    params, state = compiled.init(layer, KEY, x)
    y, after = compiled.apply(layer, params, state, x, train=True)
    again, unmoved = compiled.apply(layer, params, after, x)
    close(again, y)
    same(unmoved["u"], after["u"])
    assert not np.allclose(after["u"]["dense_0"]["kernel"], state["u"]["dense_0"]["kernel"], rtol=1e-12)


@pytest.mark.full
def test_the_state_of_spectral_norm_stands_beside_the_inner_one():
    layer = SpectralNorm(Serial(Dense(3), fnn.BatchNorm()))
    params, state = compiled.init(layer, KEY, shape_of(4, 2, dtype=jnp.bfloat16))
    expected = [f"inner/batch_norm_0/{each}" for each in ("count", "mean", "var")]
    assert sorted(named_leaves(state)) == [*expected, "u/dense_0/kernel"]
    assert state["u"]["dense_0"]["kernel"].dtype == np.float32
    assert "u" not in params
    _, after = compiled.apply(layer, params, state, jnp.ones((4, 2), jnp.bfloat16), train=True)
    assert after["inner"]["batch_norm_0"]["count"] == 1
    _, state = compiled.init(SpectralNorm(Dense(3)), KEY, shape_of(4, 2))
    assert sorted(state) == ["u"]


def test_the_estimate_comes_nearer_with_every_step(random: Any):
    layer, x = SpectralNorm(Dense(6)), random(2, 8)
    params, state = compiled.init(layer, KEY, x)
    exact, sigmas = singular_values(params["inner"]["kernel"])[0], []
    state = {"u": {"kernel": jnp.ones(6) / jnp.sqrt(6.0)}}
    for _ in range(60):
        _, state, cache = compiled.forward(layer, params, state, x, train=True)
        sigmas.append(float(cache["transform"]["kernel"]["sigma"]))
    assert (np.diff(sigmas) > -1e-12).all()
    close(sigmas[-1], exact, 1e-6)


@pytest.mark.full
@pytest.mark.parametrize("inner", [Dense(3), two()], ids=["one", "two"])
def test_a_single_iteration_is_checked_too(inner: Layer, random: Any):
    """Differences stand aside in training: they move the vectors."""
    check_layer(SpectralNorm(inner), random(3, 4), train=True, finite=False)
    check_layer(SpectralNorm(inner), random(3, 4), train=False)


@pytest.mark.full
def test_a_kernel_of_zeros_is_left_as_it_is_and_comes_back_to_life(random: Any):
    layer, x, dy = SpectralNorm(Dense(2, use_bias=False)), random(3, 2), random(3, 2)
    _, state = compiled.init(layer, KEY, x)
    zero = {"inner": {"kernel": jnp.zeros((2, 2))}}
    y, (dparams, _), (automatic, _) = compiled.gradients(layer, zero, state, x, dy, train=True)
    assert (y == 0).all()
    same(compiled.apply(layer, zero, state, x, train=True)[1]["u"], state["u"])
    close(dparams["inner"]["kernel"], x.T @ dy)
    close(dparams, automatic)
    broken = {"inner": {"kernel": jnp.full((2, 2), jnp.nan)}}
    _, after = compiled.apply(layer, broken, state, x, train=True)
    assert jnp.isfinite(after["u"]["kernel"]).all()


@pytest.mark.parametrize("lost", [[0.0, 0.0], [0.0, 1.0], [np.nan, 0.0]], ids=["zero", "mapped to zero", "no number"])
def test_a_vector_that_is_no_direction_is_found_again_in_training(lost: list, random: Any):
    layer, x = SpectralNorm(Dense(2, use_bias=False)), random(3, 2)
    params, state = {"inner": {"kernel": jnp.array([[3.0, 0.0], [4.0, 0.0]])}}, {"u": {"kernel": jnp.array(lost)}}
    y, after = compiled.apply(layer, params, state, x, train=True)
    close(after["u"]["kernel"], np.array([1.0, 0.0]))
    close(y, x @ params["inner"]["kernel"] / 5)
    if lost != [0.0, 1.0]:  # without a direction nothing was estimated
        assert jnp.isnan(compiled.apply(layer, params, state, x)[0]).all()


def test_a_kernel_whose_squares_overflow_is_divided_by_its_singular_value_and_not_by_infinity():
    layer, x = SpectralNorm(Dense(2, use_bias=False)), np.eye(2, dtype=np.float32)

    def output(size: float) -> jax.Array:
        kernel = jnp.diag(jnp.array([2.0, 1.0], np.float32)) * np.float32(size)
        state = {"u": {"kernel": jnp.array([1.0, 0.0], np.float32)}}
        return compiled.apply(layer, {"inner": {"kernel": kernel}}, state, x)[0]

    np.testing.assert_allclose(output(1e25), np.diag([1.0, 0.5]), rtol=1e-6)
    assert jnp.isnan(output(np.inf)).all()


def test_spectral_norm_misses_its_vectors(random: Any):
    params, _ = compiled.init(SpectralNorm(Dense(2)), KEY, shape_of(3, 4))
    with pytest.raises(ValueError, match=re.escape("expected a state 'kernel', found []")):
        SpectralNorm(Dense(2)).apply(params, {}, random(3, 4))
    with pytest.raises(ValueError, match=re.escape("params hold ['kernel'], but the layers here are ['inner']")):
        SpectralNorm(Dense(2)).apply({"kernel": random(4, 2)}, {}, random(3, 4))
