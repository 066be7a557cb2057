"""Weight norm: numbers worked by hand, its start, columns of zeros."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Conv, Dense, Serial, Tanh, WeightNorm
from fnn.initializers import Zeros
from fnn.layer import Layer
from fnn.paths import named_leaves
from tests import compiled
from tests.comparing import close
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def two() -> Serial:
    return Serial(Dense(4), Tanh(), head=Dense(2))


def test_weight_norm_worked_by_hand():
    layer, x = WeightNorm(Dense(2, use_bias=False)), jnp.array([[1.0, 2.0]])
    params = {"kernel": jnp.array([[3.0, 0.0], [4.0, 2.0]]), "kernel_scale": jnp.array([10.0, -1.0])}
    y, _, cache = compiled.forward(layer, params, {}, x)
    # The columns of W: 10 · (3, 4)/5 and −(0, 1).
    close(y, np.array([[6 + 16, -2.0]]))
    dparams, dx = layer.backward(cache, jnp.array([[1.0, 1.0]]))
    # dW has the columns (1, 2): dg = (1·0.6 + 2·0.8, 2), and dv = 10/5 ((1, 2) − 2.2 (0.6, 0.8)), −½ ((1, 2) − (0, 2)).
    close(dparams["kernel_scale"], np.array([2.2, 2.0]))
    close(dparams["kernel"], np.array([[2 * (1 - 1.32), -0.5], [2 * (2 - 1.76), 0.0]]))
    close(dx, np.array([[6.0, 8.0 - 1.0]]))


@pytest.mark.full
@pytest.mark.parametrize("inner", [Dense(4), Conv(4, 3), two()], ids=["dense", "convolution", "two"])
def test_weight_norm_starts_as_the_inner_layer(inner: Layer, random: Any):
    x = random(2, 5, 3)
    params, state = compiled.init(WeightNorm(inner), KEY, x)
    plain, _ = compiled.init(inner, KEY, x)
    close(compiled.apply(WeightNorm(inner), params, state, x)[0], compiled.apply(inner, plain, state, x)[0])
    for path, leaf in named_leaves(plain).items():
        if path.endswith("kernel"):
            lengths = np.sqrt((np.asarray(leaf).reshape(-1, leaf.shape[-1]) ** 2).sum(0))
            close(named_leaves(params)[f"{path}_scale"], lengths)


@pytest.mark.parametrize(
    "inner",
    [Dense(2, kernel_init=Zeros()), pytest.param(Conv(2, 3, kernel_init=Zeros()), marks=pytest.mark.full)],
    ids=repr,
)
def test_a_kernel_that_starts_at_zero_trains(inner: Layer, random: Any):
    """It never moved, without a word: W = g v̂ had no direction, and every gradient was 0."""
    layer, x = WeightNorm(inner), random(2, 5, 3)
    params, _ = compiled.init(layer, KEY, x)
    y, (dparams, _), (automatic, _) = compiled.gradients(layer, params, {}, x, dy := random(2, 5, 2))
    assert not y.any()
    close(np.linalg.norm(params["kernel"].reshape(-1, 2), axis=0), np.ones(2), rtol=1e-6)  # drawn in float32
    assert not np.allclose(params["kernel"][..., 0], params["kernel"][..., 1])
    close(dparams, automatic)
    assert np.abs(dparams["kernel_scale"]).min() > 1e-3
    params = jax.tree.map(lambda w, dw: w - 0.1 * dw, params, dparams)
    moved, (dparams, _), _ = compiled.gradients(layer, params, {}, x, dy)
    assert (moved * dy).sum() < 0  # downhill
    assert dparams["kernel"].any()


def test_a_column_of_zeros_among_others_is_given_a_direction_too():
    def of_ones_and_zeros(key: Any, shape: tuple, dtype: Any) -> jax.Array:
        return jnp.ones(shape, dtype).at[:, 0].set(0)

    params, _ = compiled.init(WeightNorm(Dense(2, kernel_init=of_ones_and_zeros)), KEY, shape_of(1, 4))
    assert params["kernel_scale"].tolist() == [0, 2]
    assert params["kernel"][:, 1].tolist() == [1] * 4
    close(np.linalg.norm(params["kernel"][:, 0]), 1.0, rtol=1e-6)


def test_a_direction_that_is_lost_is_not_a_number(random: Any):
    layer, x = WeightNorm(Dense(3, use_bias=False)), random(3, 2)
    params = {"kernel": jnp.array([[0.0, 3.0, np.inf], [0.0, 4.0, 1.0]]), "kernel_scale": jnp.full(3, 5.0)}
    y, (dparams, dx), _ = compiled.gradients(layer, params, {}, x, random(3, 3))
    close(y[:, 1], x @ np.array([3.0, 4.0]))
    assert jnp.isnan(y[:, [0, 2]]).all()
    assert jnp.isfinite(dparams["kernel"][:, 1]).all()
    assert jnp.isnan(dparams["kernel"][:, [0, 2]]).all()
    assert jnp.isnan(dx).all()


@pytest.mark.parametrize("size", [1e25, 1e-25])
def test_a_direction_is_one_at_every_length(size: float, random: Any):
    """In float32 the squares are ∞ or 0: the kernel was taken for one of zeros."""
    layer, scale = WeightNorm(Dense(2, use_bias=False)), np.array([5.0, 1.0], np.float32)
    x, dy, v = (each.astype(np.float32) for each in (random(3, 2), random(3, 2), np.array([[3.0, 1.0], [4.0, -2.0]])))

    def results(v: np.ndarray) -> tuple:
        y, (dparams, dx), _ = compiled.gradients(layer, {"kernel": v, "kernel_scale": scale}, {}, x, dy)
        return y, dparams, dx

    near, far = results(v), results(v * np.float32(size))
    far[1]["kernel"] = far[1]["kernel"] * np.float32(size)  # the slope is as much smaller as v is larger
    close(far, near, rtol=1e-4, atol=1e-6)


def test_weight_norm_refuses_a_layer_that_has_the_names_it_gives():
    with pytest.raises(ValueError, match=re.escape("has parameters ['kernel_scale'], names that WeightNorm needs")):
        WeightNorm(WeightNorm(Dense(2))).init(KEY, shape_of(3, 4))


@pytest.mark.full
def test_weight_norm_misses_its_scale(random: Any):
    params, state = compiled.init(Dense(2), KEY, shape_of(3, 4))
    with pytest.raises(ValueError, match=re.escape("expected a parameter 'kernel_scale', found ['bias', 'kernel']")):
        WeightNorm(Dense(2)).apply(params, state, random(3, 4))


@pytest.mark.full
@pytest.mark.parametrize("kind", [fnn.WeightNorm, fnn.SpectralNorm])
def test_the_kernels_of_several_layers_have_no_one_length(kind: type):
    with pytest.raises(ValueError, match=rf"put it inside the Repeat: Repeat\({kind.__name__}\(…\), n\)"):
        kind(fnn.Serial(fnn.Repeat(fnn.Dense(4), 3))).init(jax.random.key(0), np.ones((2, 4)))
