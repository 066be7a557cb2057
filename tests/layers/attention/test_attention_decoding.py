"""Attention one step at a time, with a carry of keys and values; what a step refuses."""

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
N, T, D = 2, 5, 4
X = np.zeros((N, T, D))


def made(random: Any, layer: fnn.MultiHeadAttention, x: Any) -> Any:
    """Parameters with biases that are not zero."""
    return compiled.drawn_params(random, layer, x, scale=0.5)


def run(layer: fnn.MultiHeadAttention, params: Any, x: Any, **options: Any) -> np.ndarray:
    return np.asarray(compiled.apply(layer, params, {}, x, **options)[0])


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1, 1), pytest.param((5,), marks=pytest.mark.full), (2, 1, 2)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.full),
        pytest.param({"rotary": True}, marks=pytest.mark.full),
        {"num_heads": 4, "kv_heads": 2, "head_features": 2, "rotary": True},
    ],
    ids=str,
)
def test_decoding_is_the_causal_form(options: dict, chunks: tuple, random: Any):
    layer, x = fnn.MultiHeadAttention(**{"num_heads": 2, "causal": True, "block": 2, **options}), random(N, T, D)
    params = made(random, layer, x)
    carry, outputs, done, step = layer.start(N, 7, D, jnp.float64), [], 0, jax.jit(layer.step)
    for size in chunks:
        y, carry = step(params, carry, x[:, done : done + size])
        outputs.append(y)
        done += size
    close(np.concatenate(outputs, 1), run(layer, params, x))
    assert int(carry["position"]) == T
    assert carry["key"].shape == (N, 7, layer.kv_heads or layer.num_heads, 2)
    assert carry["position"].dtype == jnp.int32


def test_decoding_inside_scan(random: Any):
    layer, x = fnn.MultiHeadAttention(2, causal=True, rotary=True), random(N, T, D)
    params = made(random, layer, x)

    def step(carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        y, carry = layer.step(params, carry, x[:, None])
        return carry, y[:, 0]

    _, y = jax.lax.scan(step, layer.start(N, T, D, jnp.float64), jnp.asarray(x).swapaxes(0, 1))
    close(y.swapaxes(0, 1), run(layer, params, x))


@pytest.mark.full
def test_a_full_carry_raises_and_inside_jit_gives_nan(random: Any):
    layer, x = fnn.MultiHeadAttention(2, causal=True), random(N, T, D)
    params = made(random, layer, x)
    _, carry = layer.step(params, layer.start(N, T, D, jnp.float64), x)
    with pytest.raises(ValueError, match=r"the carry holds 5 positions, got 1 more at position 5"):
        layer.step(params, carry, x[:, :1])
    y, _ = jax.jit(layer.step)(params, carry, x[:, :1])
    assert np.isnan(y).all()
    with pytest.raises(ValueError, match=r"the carry holds 3 positions, got 5 more at position 0"):
        jax.jit(lambda carry: layer.step(params, carry | {"position": 0}, x))(layer.start(N, 3, D, jnp.float64))


@pytest.mark.parametrize(
    ("options", "x", "error", "message"),
    [
        (
            {"causal": False},
            X[:, :1],
            ValueError,
            r"\(num_heads=2\) cannot run over .* set causal=True",
        ),
        ({}, (X[:, :1], np.ones((2, 1), bool)), TypeError, r"step takes x \(N, D\) or \(N, t, D\) alone"),
        (
            {},
            X[:1, :1],
            ValueError,
            r"started for another batch size or dtype: float64\[2,6,2,2\] for float64\[1,1,4\]",
        ),
        ({}, X[:, :1].astype(np.float32), ValueError, "started for another batch size or dtype"),
    ],
)
def test_wrong_steps(options: dict, x: Any, error: type, message: str):
    layer = fnn.MultiHeadAttention(**{"num_heads": 2, "causal": True, **options})
    params, _ = compiled.init(layer, KEY, X)
    with pytest.raises(error, match=message):
        layer.step(params, layer.start(2, 6, 4, jnp.float64), x)
