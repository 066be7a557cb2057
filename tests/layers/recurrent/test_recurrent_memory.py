"""What the hand rules of recurrent layers save in memory, as XLA's compiler counts it.

The other side is ``jax.grad`` through the textbook scan with the projection of the inputs outside it, as here: one
product for all steps. (With that product inside the scan ``jax.grad`` needs no array of projections and about as much
memory as the hand rule, for as many small products as there are steps, three times over.)
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import lax

import fnn

pytestmark = [
    pytest.mark.usefixtures("strict_numerics", "users_compilation"),
    pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU"),
]

N, T, D, H = 32, 128, 64, 128
STEPS = 4 * N * T * H  # bytes of one array of H features for all steps
LIMIT = 0.7


def plain_lstm(params: dict, x: jax.Array) -> jax.Array:
    def step(carry: tuple, p: jax.Array) -> tuple:
        h, c = carry
        i, f, g, o = jnp.split(p + h @ params["recurrent_kernel"], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((N, H), x.dtype)
    return over_time(step, (zero, zero), params, x)


def plain_gru(params: dict, x: jax.Array) -> jax.Array:
    def step(h: jax.Array, p: jax.Array) -> tuple:
        q = h @ params["recurrent_kernel"] + params["recurrent_bias"].reshape(1, -1)
        (p_r, p_z, p_n), (q_r, q_z, q_n) = jnp.split(p, 3, -1), jnp.split(q, 3, -1)
        r, z = jax.nn.sigmoid(p_r + q_r), jax.nn.sigmoid(p_z + q_z)
        h = (1 - z) * jnp.tanh(p_n + r * q_n) + z * h
        return h, h

    return over_time(step, jnp.zeros((N, H), x.dtype), params, x)


def over_time(step: Callable, start: Any, params: dict, x: jax.Array) -> jax.Array:
    projected = jnp.swapaxes(x, 0, 1) @ params["kernel"] + params["bias"].reshape(1, 1, -1)
    return jnp.swapaxes(lax.scan(step, start, projected)[1], 0, 1)


def temporary(run: Callable, *arguments: Any) -> int:
    """Bytes that a compiled function needs beside its arguments and results."""
    analysis: Any = jax.jit(run).lower(*arguments).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
@pytest.mark.parametrize(
    ("layer", "plain"),
    [(fnn.LSTM(H), plain_lstm), (fnn.GRU(H), plain_gru)],
    ids=["LSTM", "GRU"],
)
def test_forward_and_backward_by_hand_need_less_memory_than_jax_grad_of_the_textbook_scan(layer: Any, plain: Callable):
    x, dy = (jax.ShapeDtypeStruct((N, T, size), jnp.float32) for size in (D, H))
    params, _ = jax.eval_shape(layer.init, jax.random.key(0), x)

    def by_hand(params: Any, x: Any, dy: Any) -> Any:
        y, _, cache = layer.forward(params, {}, x, train=True)
        return y, layer.backward(cache, dy)

    def automatic(params: Any, x: Any, dy: Any) -> Any:
        y, vjp = jax.vjp(plain, params, x)
        return y, vjp(dy)

    manual, reverse = temporary(by_hand, params, x, dy), temporary(automatic, params, x, dy)
    print(f"{layer}: {manual / 2**20:.1f} MiB by hand, {reverse / 2**20:.1f} by jax.grad: {manual / reverse:.2f}")
    assert manual <= LIMIT * reverse


@pytest.mark.parametrize(("layer", "arrays"), [(fnn.SimpleRNN(H), 1), (fnn.LSTM(H), 6), (fnn.GRU(H), 5)], ids=str)
def test_the_cache_is_its_input_the_states_and_the_gates(layer: Any, arrays: int):
    x = jax.ShapeDtypeStruct((N, T, D), jnp.float32)
    params, _ = jax.eval_shape(layer.init, jax.random.key(0), x)
    _, _, cache = jax.eval_shape(lambda params, x: layer.forward(params, {}, x), params, x)
    small = [*jax.tree.leaves(cache["weights"]), *jax.tree.leaves(cache["carry"])]
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))
    kept -= sum(leaf.size * leaf.dtype.itemsize for leaf in small)
    assert kept == arrays * STEPS + 4 * N * T * D
