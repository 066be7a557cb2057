"""Drop connect: its masks, and the gradients behind them."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import Dense, DropConnect, Dropout, Repeat, Serial, Tanh
from tests import compiled
from tests.comparing import close, same

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def two() -> Serial:
    return Serial(Dense(4), Tanh(), head=Dense(2))


def test_drop_connect_drops_entries_of_the_kernel_and_scales_the_others(random: Any):
    layer, x = DropConnect(Dense(40), 0.25), random(3, 50)
    params, state = compiled.init(layer, KEY, x)
    plain, _ = compiled.init(Dense(40), KEY, x)
    same(params, plain)
    y, _, cache = compiled.forward(layer, params, state, x, train=True, key=KEY)
    mask = np.asarray(cache["transform"]["kernel"]["mask"])
    assert mask.dtype == bool
    close(y, np.asarray(x) @ (mask * np.asarray(params["kernel"]) / 0.75))
    # 2000 draws: the standard deviation of the fraction is 0.01.
    assert abs(mask.mean() - 0.75) < 0.04
    dy = random(3, 40)
    dparams, dx = layer.backward(cache, dy)
    close(dparams["kernel"], mask * (np.asarray(x).T @ np.asarray(dy)) / 0.75)
    close(dparams["bias"], np.asarray(dy).sum(0))
    close(dx, np.asarray(dy) @ (mask * np.asarray(params["kernel"]) / 0.75).T)


def test_drop_connect_in_inference_is_the_inner_layer_and_keeps_nothing(random: Any):
    layer, x = DropConnect(two(), 0.5), random(3, 5)
    params, state = compiled.init(layer, KEY, x)
    y, _, cache = compiled.forward(layer, params, state, x)
    close(y, compiled.apply(two(), params, state, x)[0])
    assert cache["transform"] == {}


def test_masks_differ_between_kernels_and_from_the_noise_inside(random: Any):
    inner = Serial(Dense(20), Dense(20), Dropout(0.5))
    layer, x = DropConnect(inner, 0.5), random(20, 20)
    params, state = compiled.init(layer, KEY, x)
    _, _, cache = compiled.forward(layer, params, state, x, train=True, key=KEY)
    masks = [np.asarray(each["mask"]) for each in cache["transform"].values()]
    masks.append(np.asarray(cache["inner"]["dropout_0"]["mask"]))
    for i in range(3):
        for j in range(i):
            # 400 pairs of coins: the standard deviation of the fraction that agrees is 0.025.
            assert abs((masks[i] == masks[j]).mean() - 0.5) < 0.1


def test_one_drop_connect_in_another_draws_other_masks(random: Any):
    layer, x = DropConnect(DropConnect(Dense(20), 0.5), 0.5), random(3, 20)
    params, state = compiled.init(layer, KEY, x)
    _, _, cache = compiled.forward(layer, params, state, x, train=True, key=KEY)
    outer, inner = cache["transform"]["kernel"]["mask"], cache["inner"]["transform"]["kernel"]["mask"]
    assert abs(float((outer == inner).mean()) - 0.5) < 0.1


def test_the_masks_of_a_repeat_differ(random: Any):
    layer, x = Repeat(DropConnect(Dense(20), 0.5), 2), random(3, 20)
    params, state = compiled.init(layer, KEY, x)
    _, _, cache = compiled.forward(layer, params, state, x, train=True, key=KEY)
    one, other = cache["inner"]["transform"]["kernel"]["mask"]
    assert abs(float((one == other).mean()) - 0.5) < 0.1


@pytest.mark.full
def test_the_masks_of_drop_connect_are_the_same_in_every_precision():
    def mask(dtype: Any) -> np.ndarray:
        layer, x = DropConnect(Dense(20), 0.3), jnp.ones((2, 20), dtype)
        _, _, cache = compiled.forward(layer, *compiled.init(layer, KEY, x), x, train=True, key=KEY)
        return np.asarray(cache["transform"]["kernel"]["mask"])

    assert (mask(np.float32) == mask(np.float64)).all()
    assert (mask(np.float32) == mask(jnp.bfloat16)).all()


def test_drop_connect_needs_a_key_in_training(random: Any):
    layer, x = DropConnect(Dense(2), 0.5), random(3, 4)
    params, state = compiled.init(layer, KEY, x)
    message = "DropConnect(inner=Dense(features=2), rate=0.5) is random in training and needs a key"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.apply(params, state, x, train=True)
