"""Normalisation and noise: forward against numbers worked by hand and NumPy loops, conventions, errors."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer
from tests import compiled
from tests.comparing import close
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
NAN, INF = float("nan"), float("inf")


def run(layer: Layer, x: np.ndarray, params: dict | None = None) -> np.ndarray:
    return np.asarray(compiled.apply(layer, params or {}, {}, x)[0])


# ---- the forward computations


def test_rms_norm_worked_by_hand():
    # mean(x²) = (1 + 49)/2 = 25.
    y = run(fnn.RMSNorm(epsilon=0.0), np.array([[1.0, -7.0]]), {"scale": np.array([10.0, 100.0])})
    close(y, np.array([[2.0, -140.0]]))
    # ε stands inside the root: mean(x²) + 11 = 36.
    close(run(fnn.RMSNorm(epsilon=11.0, use_scale=False), np.array([[1.0, -7.0]])), np.array([[1 / 6, -7 / 6]]))


def test_rms_norm_is_that_of_a_loop(random: Any):
    x, scale = random(2, 3, 4), random(4)
    expected = np.zeros_like(x)
    for n, t in np.ndindex(2, 3):
        expected[n, t] = scale * x[n, t] / np.sqrt(sum(each * each for each in x[n, t]) / 4 + 1e-2)
    close(run(fnn.RMSNorm(epsilon=1e-2), x, {"scale": scale}), expected)


def test_group_norm_worked_by_hand():
    x = np.array([[1.0, 3.0, 10.0, 30.0], [5.0, 5.0, -1.0, 1.0]])
    params = {"scale": np.array([1.0, 2.0, 3.0, 4.0]), "bias": np.array([0.0, 0.0, 100.0, 100.0])}
    # Of the pairs: μ = 2, σ = 1; μ = 20, σ = 10; μ = 5, σ = 0 with ε = 1; μ = 0, σ = 1.
    close(run(fnn.GroupNorm(2, epsilon=0.0), x[:1], params), np.array([[-1.0, 2.0, 97.0, 104.0]]))
    close(run(fnn.GroupNorm(2, epsilon=1.0), x[1:], params), np.array([[0.0, 0.0, 100 - 3 / 2**0.5, 100 + 4 / 2**0.5]]))


@pytest.mark.parametrize("spatial", [(), (5,), (2, 3)], ids=["no position", "a sequence", "an image"])
def test_group_norm_is_that_of_a_loop(spatial: tuple, random: Any):
    x, scale, bias = random(3, *spatial, 6), random(6), random(6)
    expected = np.zeros_like(x)
    for n, group in np.ndindex(3, 2):
        channels = range(3 * group, 3 * group + 3)
        values = np.array([x[(n, *place, c)] for place in np.ndindex(*spatial) for c in channels])
        mean, var = values.sum() / values.size, ((values - values.sum() / values.size) ** 2).sum() / values.size
        for place in np.ndindex(*spatial):
            for c in channels:
                expected[(n, *place, c)] = scale[c] * (x[(n, *place, c)] - mean) / np.sqrt(var + 1e-3) + bias[c]
    close(run(fnn.GroupNorm(2, epsilon=1e-3), x, {"scale": scale, "bias": bias}), expected)


def test_instance_norm_is_that_of_a_loop(random: Any):
    x, scale, bias = random(2, 3, 4, 3), random(3), random(3)
    expected = np.zeros_like(x)
    for n, c in np.ndindex(2, 3):
        image = x[n, :, :, c]
        deviation = np.sqrt(((image - image.mean()) ** 2).mean() + 1e-3)
        expected[n, :, :, c] = scale[c] * (image - image.mean()) / deviation + bias[c]
    close(run(fnn.InstanceNorm(epsilon=1e-3), x, {"scale": scale, "bias": bias}), expected)


def test_group_norm_lies_between_layer_norm_and_instance_norm(random: Any):
    x = random(2, 3, 4)
    plain = {"use_scale": False, "use_bias": False}
    close(run(fnn.GroupNorm(4, **plain), x), run(fnn.InstanceNorm(**plain), x))
    whole = run(fnn.LayerNorm(**plain), x.reshape(2, 12)).reshape(x.shape)
    close(run(fnn.GroupNorm(1, **plain), x), whole)
    close(run(fnn.GroupNorm(2, **plain), x[:, 0]), run(fnn.LayerNorm(**plain), x[:, 0].reshape(4, 2)).reshape(2, 4))


def test_a_sample_is_normalised_alone(random: Any):
    x, other = random(2, 3, 4), random(1, 3, 4)
    for layer in (fnn.LayerNorm(), fnn.RMSNorm(), fnn.GroupNorm(2), fnn.InstanceNorm()):
        params, _ = compiled.init(layer, KEY, x)
        first = compiled.apply(layer, params, {}, jnp.asarray(x))[0][:1]
        close(compiled.apply(layer, params, {}, np.concatenate([x[:1], other]))[0][:1], first)


# ---- parameters and options

NORMS = {
    "BatchNorm": (fnn.BatchNorm, {"scale", "bias"}),
    "LayerNorm": (fnn.LayerNorm, {"scale", "bias"}),
    "RMSNorm": (fnn.RMSNorm, {"scale"}),
    "GroupNorm": (lambda **options: fnn.GroupNorm(2, **options), {"scale", "bias"}),
    "InstanceNorm": (fnn.InstanceNorm, {"scale", "bias"}),
}


@pytest.mark.parametrize("name", NORMS)
def test_the_parameters_are_one_row_each_and_can_be_left_out(name: str):
    make, names = NORMS[name]
    params, _ = compiled.init(make(), KEY, shape_of(2, 3, 4, dtype=np.float32))
    assert {each: (leaf.shape, leaf.dtype.name) for each, leaf in params.items()} == dict.fromkeys(
        names, ((4,), "float32")
    )
    assert (params["scale"] == 1).all()
    for left_out in names:
        params, _ = jax.eval_shape(make(**{f"use_{left_out}": False}).init, KEY, shape_of(2, 3, 4))
        assert set(params) == names - {left_out}


@pytest.mark.parametrize("name", NORMS)
def test_the_cache_keeps_the_input_and_small_rows(name: str):
    make, _ = NORMS[name]
    x = shape_of(4, 16, 8, dtype=np.float32)
    params, state = compiled.init(make(), KEY, x)
    cache = jax.eval_shape(lambda *args: compiled.forward(make(), *args, train=True)[2], params, state, x)
    assert set(cache) - {"train"} == {"x", "mean", "inverse", "scale"} - ({"mean"} if name == "RMSNorm" else set())
    assert all(leaf.size <= 64 for key, leaf in cache.items() if key not in ("x", "train"))


@pytest.mark.parametrize("name", NORMS)
def test_a_large_mean_and_a_small_spread_in_float32(name: str, random: Any):
    """The result is that of inputs moved by less than one spacing of float32 at the mean, 2⁻¹¹; a variance from
    E[x²] − E[x]² would have no digit left."""
    make, _ = NORMS[name]
    shape, std = (4, 16, 16, 8), 0.01
    x = (4096 + std * random(*shape)).astype(np.float32)
    dy = random(*shape).astype(np.float32)

    def results(dtype: Any) -> tuple:
        layer, inputs = make(epsilon=1e-10), x.astype(dtype)
        params, state = compiled.init(layer, KEY, inputs)
        y, _, cache = compiled.forward(layer, params, state, inputs, train=True)
        dparams, dx = compiled.backward(layer, cache, dy.astype(dtype))
        return tuple(np.asarray(each, np.float64) for each in (y, dx, dparams["scale"]))

    (y, dx, dscale), exact = results(np.float32), results(np.float64)
    assert all(np.isfinite(each).all() for each in (y, dx, dscale))
    moved = 2.0**-11 / std if name != "RMSNorm" else 1e-6
    assert np.abs(y - exact[0]).max() < moved * (1 + np.abs(exact[0]).max())
    assert np.linalg.norm(dx - exact[1]) < moved * np.linalg.norm(exact[1])
    # Each dγ is a sum of dy times what moved, which all entries of a set have in common.
    assert np.linalg.norm(dscale - exact[2]) < 3 * moved * np.linalg.norm(dy)


# ---- noise


def test_gaussian_noise_is_what_it_documents(random: Any):
    noise = jax.random.normal(KEY, (4, 5), np.float32)
    x = random(4, 5)
    y, state, cache = compiled.forward(fnn.GaussianNoise(0.3), {}, {}, jnp.asarray(x), train=True, key=KEY)
    close(y, x + 0.3 * np.asarray(noise, np.float64))
    assert (state, cache) == ({}, {})
    dy = random(4, 5)
    assert fnn.GaussianNoise(0.3).backward(cache, dy) == ({}, dy)
    assert (compiled.apply(fnn.GaussianNoise(0.3), {}, {}, jnp.asarray(x))[0] == x).all()


def test_gaussian_noise_has_the_moments_asked_for():
    y = compiled.apply(fnn.GaussianNoise(2.0), {}, {}, jnp.zeros((200, 200)), train=True, key=KEY)[0]
    # 40000 draws: the standard deviations of the mean and of the standard deviation are 0.01 and 0.007.
    assert abs(float(y.mean())) < 0.05
    assert abs(float(y.std()) - 2) < 0.04


def test_gaussian_noise_is_the_same_in_every_precision():
    def noise(dtype: Any) -> np.ndarray:
        y, _ = compiled.apply(fnn.GaussianNoise(1.0), {}, {}, jnp.zeros((20, 20), dtype), train=True, key=KEY)
        assert y.dtype == dtype
        return np.asarray(y, np.float64)

    assert (noise(np.float32) == noise(np.float64)).all()
    np.testing.assert_allclose(noise(jnp.bfloat16), noise(np.float32), rtol=2**-8)


def test_gaussian_noise_takes_a_traced_standard_deviation():
    def noisy(stddev: jax.Array) -> jax.Array:
        return fnn.GaussianNoise(stddev).apply({}, {}, jnp.zeros(3), train=True, key=KEY)[0]

    one, two = jax.jit(jax.vmap(noisy))(jnp.array([1.0, 2.0]))
    close(two, 2 * one)


# ---- errors

CONFIGURATIONS: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: fnn.LayerNorm(epsilon=-1.0), ValueError, "epsilon is at least 0, got -1.0"),
    (lambda: fnn.RMSNorm(epsilon=-1.0), ValueError, "epsilon is at least 0, got -1.0"),
    (lambda: fnn.GroupNorm(2, epsilon=NAN), ValueError, "epsilon is at least 0, got nan"),
    (lambda: fnn.InstanceNorm(epsilon=-1e-5), ValueError, "epsilon is at least 0, got -1e-05"),
    (lambda: fnn.GroupNorm(0), ValueError, "groups is at least 1, got 0"),
    (lambda: fnn.GroupNorm(2.0), TypeError, "groups is an integer, got 2.0"),
    (lambda: fnn.GaussianNoise(-0.1), ValueError, "stddev is at least 0, got -0.1"),
    (lambda: fnn.GaussianNoise(NAN), ValueError, "stddev is at least 0, got nan"),
    (lambda: fnn.GaussianNoise(np.float32(-2)), ValueError, "stddev is at least 0, got -2.0"),
]


@pytest.mark.parametrize(("make", "error", "message"), CONFIGURATIONS, ids=[row[2] for row in CONFIGURATIONS])
def test_a_wrong_configuration(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


INPUTS = [
    (fnn.LayerNorm(), (), "expected an input (…, C), got a scalar"),
    (fnn.RMSNorm(), (), "expected an input (…, C), got a scalar"),
    (fnn.GroupNorm(1), (4,), "expected an input (N, …, C), got the shape (4,)"),
    (fnn.GroupNorm(3), (2, 4), "groups=3 does not divide the 4 channels of the input"),
    (fnn.GroupNorm(4), (2, 4), "a group needs at least two values for a variance, got one: 4 channels in 4"),
    (fnn.GroupNorm(4), (2, 1, 4), "a group needs at least two values for a variance, got one: 4 channels in 4"),
    (fnn.InstanceNorm(), (2, 4), "expected an input (N, spatial, …, C), got the shape (2, 4)"),
    (fnn.InstanceNorm(), (2, 1, 1, 4), "a channel needs at least two positions for a variance, got one"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), INPUTS, ids=lambda each: str(each))
def test_a_wrong_input_is_refused_by_init_and_by_forward(layer: Layer, shape: tuple, message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.init(KEY, shape_of(*shape))
    params = {"scale": jnp.ones(4), "bias": jnp.ones(4)}
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.apply(params, {}, jnp.ones(shape))


@pytest.mark.full
@pytest.mark.parametrize("layer", [fnn.RMSNorm(), fnn.GroupNorm(1), fnn.InstanceNorm()], ids=repr)
def test_parameters_of_another_size_or_dtype_are_refused(layer: Layer):
    params, _ = compiled.init(layer, KEY, shape_of(2, 3, 4))
    with pytest.raises(ValueError, match=re.escape("'scale' has shape (4,) where this input needs (5,)")):
        layer.apply(params, {}, jnp.ones((2, 3, 5)))
    with pytest.raises(TypeError, match="'scale' is float64 but the input is float32"):
        layer.apply(params, {}, jnp.ones((2, 3, 4), np.float32))
    with pytest.raises(ValueError, match=re.escape("expected a parameter 'scale', found []")):
        layer.apply({}, {}, jnp.ones((2, 3, 4)))


def test_gaussian_noise_needs_a_key_in_training(random: Any):
    with pytest.raises(ValueError, match=re.escape("GaussianNoise(stddev=0.1) is random in training and needs a key")):
        fnn.GaussianNoise(0.1).apply({}, {}, jnp.ones(3), train=True)
