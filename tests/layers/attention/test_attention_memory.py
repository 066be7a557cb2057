"""What attention in blocks saves in memory, as XLA's compiler counts it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn

N, HEADS, FEATURES = 2, 8, 32

pytestmark = [
    pytest.mark.usefixtures("users_compilation"),
    pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU"),
]


def plain(params: Any, x: jax.Array) -> jax.Array:
    """The textbook form, with T × T probabilities."""
    equation = "ntd,dhk->nhtk"
    q, k, v = (
        jnp.einsum(equation, x, params[name]["kernel"]) + params[name]["bias"].reshape(1, HEADS, 1, FEATURES)
        for name in ("query", "key", "value")
    )
    p = jax.nn.softmax(jnp.einsum("nhtk,nhsk->nhts", q, k) / math.sqrt(FEATURES), -1)
    heads = jnp.einsum("nhts,nhsk->nhtk", p, v)
    return jnp.einsum("nhtk,hkd->ntd", heads, params["out"]["kernel"]) + params["out"]["bias"].reshape(1, 1, -1)


def automatic(params: Any, x: jax.Array, dy: jax.Array) -> Any:
    y, vjp = jax.vjp(plain, params, x)
    return y, vjp(dy)


def manual(params: Any, x: jax.Array, dy: jax.Array) -> Any:
    layer = fnn.MultiHeadAttention(HEADS)
    y, _, cache = layer.forward(params, {}, x)
    return y, layer.backward(cache, dy)


def temporary(run: Any, length: int) -> int:
    """Bytes that a compiled function needs beside its arguments and results."""
    x = jax.ShapeDtypeStruct((N, length, HEADS * FEATURES), jnp.float32)
    params, _ = jax.eval_shape(fnn.MultiHeadAttention(HEADS).init, jax.random.key(0), x)
    analysis: Any = jax.jit(run).lower(params, x, x).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
def test_forward_and_backward_need_a_quarter_of_the_memory_of_the_plain_form():
    assert temporary(manual, 1024) <= temporary(automatic, 1024) / 4


@pytest.mark.full
def test_memory_grows_with_the_length_and_not_with_its_square():
    short, long = (temporary(manual, length) for length in (1024, 4096))
    assert long <= 4.1 * short
    assert temporary(automatic, 4096) >= 14 * temporary(automatic, 1024)
