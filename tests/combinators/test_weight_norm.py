"""Weight norm: numbers worked by hand, its start, columns of zeros."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import Conv, Dense, Serial, Tanh, WeightNorm
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


def test_a_column_of_zeros_gives_zeros_and_no_nan(random: Any):
    layer, x = WeightNorm(Dense(2, use_bias=False)), random(3, 2)
    params = {"kernel": jnp.array([[0.0, 3.0], [0.0, 4.0]]), "kernel_scale": jnp.array([5.0, 5.0])}
    y, (dparams, dx), automatic = compiled.gradients(layer, params, {}, x, random(3, 2))
    assert (y[:, 0] == 0).all()
    close((dparams, dx), automatic)
    assert (dparams["kernel"][:, 0] == 0).all()
    assert dparams["kernel_scale"][0] == 0
    assert jnp.isfinite(dparams["kernel"]).all()


def test_weight_norm_refuses_a_layer_that_has_the_names_it_gives():
    with pytest.raises(ValueError, match=re.escape("has parameters ['kernel_scale'], the names that WeightNorm gives")):
        WeightNorm(WeightNorm(Dense(2))).init(KEY, shape_of(3, 4))


def test_weight_norm_misses_its_scale(random: Any):
    params, state = compiled.init(Dense(2), KEY, shape_of(3, 4))
    with pytest.raises(ValueError, match=re.escape("expected a parameter 'kernel_scale', found ['bias', 'kernel']")):
        WeightNorm(Dense(2)).apply(params, state, random(3, 4))
