"""Attention against loops over its definition and against JAX's own; the conventions of masks, heads and decoding."""

import itertools
import math
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layers.attention._blockwise import BlockwiseAttention
from fnn.layers.random.dropout import Dropout
from fnn.testing import check_layer
from tests import compiled
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
N, T, S, D = 2, 5, 3, 4


def made(random: Any, layer: fnn.MultiHeadAttention, x: Any) -> Any:
    """Parameters with biases that are not zero."""
    return compiled.drawn_params(random, layer, x, scale=0.5)


def run(layer: fnn.MultiHeadAttention, params: Any, x: Any, **options: Any) -> np.ndarray:
    return np.asarray(compiled.apply(layer, params, {}, x, **options)[0])


def may(random: Any, *shape: int) -> np.ndarray:
    return random(*shape) < 0.25


def turned(x: np.ndarray, position: int) -> np.ndarray:
    """A rotation by complex multiplication, entry i with entry i + d/2."""
    half = len(x) // 2
    turns = (x[:half] + 1j * x[half:]) * np.exp(1j * position * 10000.0 ** (-np.arange(half) / half))
    return np.concatenate([turns.real, turns.imag])


def by_loops(layer: fnn.MultiHeadAttention, params: Any, x: Any, memory: Any = None, mask: Any = None) -> np.ndarray:
    """The definition, one sum at a time; ``mask`` is (N, heads, T, S)."""
    p = jax.tree.map(np.asarray, params)
    source, (n, length, _) = x if memory is None else memory, x.shape
    serves = layer.num_heads // (layer.kv_heads or layer.num_heads)
    y = np.zeros(x.shape) + (p["out"]["bias"] if layer.use_bias else 0)

    def head(name: str, x: np.ndarray, h: int, position: int) -> np.ndarray:
        vector = x @ p[name]["kernel"][:, h] + (p[name]["bias"][h] if layer.use_bias else 0)
        return turned(vector, position) if layer.rotary and name != "value" else vector

    for i, h, t in itertools.product(range(n), range(layer.num_heads), range(length)):
        q, shared, weights, values = head("query", x[i, t], h, t), h // serves, [], []
        for s in range(source.shape[1]):
            if (layer.causal and s > t) or (mask is not None and not mask[i, h, t, s]):
                continue
            weights.append(math.exp(q @ head("key", source[i, s], shared, s) / math.sqrt(len(q))))
            values.append(head("value", source[i, s], shared, s))
        for weight, value in zip(weights, values, strict=True):
            y[i, t] += (weight / sum(weights) * value) @ p["out"]["kernel"][h]
    return y


OPTIONS = {
    "one head": {"num_heads": 1},
    "two heads": {"num_heads": 2},
    "head features, without bias": {"num_heads": 2, "head_features": 3, "use_bias": False},
    "causal": {"num_heads": 2, "causal": True},
    "grouped": {"num_heads": 4, "head_features": 2, "kv_heads": 2},
    "one key head": {"num_heads": 4, "kv_heads": 1},
    "rotary": {"num_heads": 2, "rotary": True},
    "everything": {"num_heads": 4, "head_features": 2, "kv_heads": 2, "causal": True, "rotary": True},
}


@pytest.mark.parametrize("block", [pytest.param(1, marks=pytest.mark.full), 2, pytest.param(8, marks=pytest.mark.full)])
@pytest.mark.parametrize("name", OPTIONS)
def test_it_is_its_definition_whatever_the_block(name: str, block: int, random: Any):
    layer, x = fnn.MultiHeadAttention(**OPTIONS[name], block=block), random(N, T, D)
    params = made(random, layer, x)
    close(run(layer, params, x), by_loops(layer, params, x))


@pytest.mark.parametrize("causal", [False, True])
def test_across_it_attends_to_the_memory_and_causally_to_its_first_positions(causal: bool, random: Any):
    layer, x, memory = fnn.MultiHeadAttention(2, causal=causal, block=2), random(N, T, D), random(N, S, 6)
    params = made(random, layer, (x, memory))
    assert params["key"]["kernel"].shape == (6, 2, 2)
    close(run(layer, params, (x, memory)), by_loops(layer, params, x, memory))


@pytest.mark.parametrize("shape", [(N, T), (N, T, T), (N, 1, T), (N, 2, T, T), (N, 1, T, T), (N, 2, 1, T)], ids=str)
@pytest.mark.parametrize("block", [2, pytest.param(8, marks=pytest.mark.full)])
def test_masks_of_every_form(shape: tuple, block: int, random: Any):
    layer, x, mask = fnn.MultiHeadAttention(2, block=block), random(N, T, D), may(random, *shape)
    params = made(random, layer, x)
    full = {2: lambda: mask[:, None, None], 3: lambda: mask[:, None], 4: lambda: mask}[mask.ndim]()
    expected = by_loops(layer, params, x, mask=np.broadcast_to(full, (N, 2, T, T)))
    close(run(layer, params, (x, mask)), expected)


def test_a_mask_of_the_memory_with_causal(random: Any):
    layer, x, memory, mask = (
        fnn.MultiHeadAttention(2, causal=True),
        random(N, T, D),
        random(N, S, D),
        may(random, N, T, S),
    )
    params = made(random, layer, (x, memory))
    full = np.broadcast_to(mask[:, None], (N, 2, T, S))
    close(run(layer, params, (x, memory, mask)), by_loops(layer, params, x, memory, full))


@pytest.mark.full
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("grouped", [1, 2])
def test_the_blocks_are_dot_product_attention_of_jax(causal: bool, grouped: int, random: Any):
    q, k, v = (jnp.asarray(random(N, S, 2 * heads, D), jnp.float32) for heads in (grouped, 1, 1))
    mask = may(random, N, 1, S, S)
    mask[..., 0] = True  # a row without a key is NaN or zero there, by implementation
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.nn.dot_product_attention(q, k, v, mask=jnp.asarray(mask), is_causal=causal)
    heads = (jnp.swapaxes(each, 1, 2) for each in (q, k, v))
    q, k, v = (each.reshape(N, 2, *shape) for each, shape in zip(heads, ((grouped, S, D), (S, D), (S, D)), strict=True))
    y, _ = BlockwiseAttention(causal, 2, Dropout(0.0)).forward(q, k, v, jnp.asarray(mask[:, None]))
    np.testing.assert_allclose(y.reshape(N, 2 * grouped, S, D).swapaxes(1, 2), expected, rtol=1e-5, atol=1e-6)


def test_a_key_head_serves_consecutive_query_heads(random: Any):
    layer, x = fnn.MultiHeadAttention(4, kv_heads=2, head_features=3), random(N, T, D)
    params = made(random, layer, x)
    repeated = {
        name: jax.tree.map(lambda leaf: np.repeat(leaf, 2, axis=-2), part) if name in ("key", "value") else part
        for name, part in params.items()
    }
    close(run(layer, params, x), run(fnn.MultiHeadAttention(4, head_features=3), repeated, x))


# ---- rows without a key


@pytest.mark.full
@pytest.mark.parametrize("block", [2, pytest.param(8, marks=pytest.mark.full)])
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_without_a_key_gives_the_bias_and_no_gradient_goes_through_it(block: int, causal: bool, random: Any):
    layer, x = fnn.MultiHeadAttention(2, block=block, causal=causal), random(N, T, D)
    mask = np.ones((N, T, T), bool)
    mask[0, 1] = mask[1, :] = False  # one query, and every query of a sample
    params = made(random, layer, x)

    @jax.jit
    def both(params: Any, x: Any, dy: Any) -> Any:
        y, _, cache = layer.forward(params, {}, (x, mask))
        _, vjp = jax.vjp(lambda params, x: layer.apply(params, {}, (x, mask))[0], params, x)
        return y, layer.backward(cache, dy), vjp(dy)

    y, (dparams, (dx, dmask)), automatic = both(params, x, random(N, T, D))
    for row in (y[0, 1], *y[1]):
        close(row, params["out"]["bias"])
    assert dmask is None
    chex.assert_tree_all_finite(((dparams, dx), automatic))
    assert not dx[1].any()
    assert not automatic[1][1].any()
    close((dparams, dx), automatic)


def test_no_nan_is_hidden(random: Any):
    layer, x = fnn.MultiHeadAttention(2), random(N, T, D)
    params = made(random, layer, x)
    x[0, 2] = np.nan
    y = run(layer, params, (x, np.ones((N, T), bool)))
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_scores_of_any_size(random: Any):
    x = 1e4 * random(N, T, D)
    layer = fnn.MultiHeadAttention(2, block=2)
    params = made(random, layer, x)
    y, _, cache = compiled.forward(layer, params, {}, (x, may(random, N, T, T)))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((y, compiled.backward(layer, cache, y))))


# ---- what is kept, dtypes, dropout


def test_nothing_of_the_size_of_the_scores_is_kept():
    layer, x = fnn.MultiHeadAttention(2, dropout=0.1), jax.ShapeDtypeStruct((3, 512, 8), jnp.float32)
    params, _ = jax.eval_shape(layer.init, KEY, x)
    _, _, cache = jax.eval_shape(lambda *args: layer.forward(*args, train=True, key=KEY), params, {}, x)
    kernels = cache.pop("kernels")
    assert sum(leaf.size for leaf in jax.tree.leaves(kernels)) == 4 * 8 * 8
    assert cache.keys() == {"x", "query", "key", "value", "output", "log_sum_exp", "dropout_key"}
    assert sum(leaf.size for leaf in jax.tree.leaves(cache)) == 5 * 3 * 512 * 8 + 3 * 512 * 2 + 1


@pytest.mark.full
def test_bfloat16_is_as_good_as_its_digits(random: Any):
    # Without rotary the bias of the keys has no gradient, and nothing to compare.
    layer, x, dy = fnn.MultiHeadAttention(2, rotary=True, block=4), random(N, 16, D), random(N, 16, D)
    params = made(random, layer, x)

    def gradients(dtype: Any) -> Any:
        cast = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, x, dy))
        y, _, cache = compiled.forward(layer, cast[0], {}, cast[1])
        assert cache["log_sum_exp"].dtype == (jnp.float32 if dtype == jnp.bfloat16 else dtype)
        return y, compiled.backward(layer, cache, cast[2])

    for got, expected in zip(*(jax.tree.leaves(gradients(d)) for d in (jnp.bfloat16, jnp.float64)), strict=True):
        assert np.linalg.norm(np.float64(got) - expected) < 0.03 * np.linalg.norm(expected)


@pytest.mark.full
def test_the_bias_of_the_keys_has_no_gradient_but_for_rotary(random: Any):
    x, dy = random(N, T, D), random(N, T, D)
    for rotary in (False, True):
        layer = fnn.MultiHeadAttention(2, rotary=rotary)
        _, (dparams, _), _ = compiled.gradients(layer, made(random, layer, x), {}, x, dy)
        assert (np.abs(dparams["key"]["bias"]).max() > 1e-14) == rotary


def test_the_kernels_have_the_fans_of_matrices():
    layer, x = fnn.MultiHeadAttention(4, head_features=64, use_bias=False), jax.ShapeDtypeStruct((1, 1, 100), "float64")
    params, _ = compiled.init(layer, KEY, x)
    for name, fan_in in (("query", 100), ("key", 100), ("value", 100), ("out", 256)):
        assert params[name].keys() == {"kernel"}
        assert float(params[name]["kernel"].std()) == pytest.approx(fan_in**-0.5, rel=0.03)


@pytest.mark.parametrize("block", [2, pytest.param(8, marks=pytest.mark.full)])
def test_dropout_zeroes_probabilities_and_scales_the_rest(block: int, random: Any):
    """With values that are unit vectors the output shows the probabilities themselves."""
    attention = BlockwiseAttention(False, block, Dropout(0.4))
    q, k, v = random(1, 1, 1, T, D), random(1, 1, T, D), np.eye(T)[None, None]
    output = jax.jit(lambda q, k, v, key=None: attention.forward(q, k, v, key=key)[0])
    plain, dropped = (np.asarray(output(q, k, v, key)) for key in (None, KEY))
    assert 0 < (dropped == 0).sum() < T * T
    close(dropped[dropped != 0], plain[dropped != 0] / 0.6)
    single = output(*(np.float32(each) for each in (q, k, v)), KEY)
    assert ((np.asarray(single) == 0) == (dropped == 0)).all()


def test_dropout_only_in_training_and_at_a_rate(random: Any):
    x = random(N, T, D)
    layer = fnn.MultiHeadAttention(2, dropout=0.5)
    params = made(random, layer, x)
    close(run(layer, params, x), run(fnn.MultiHeadAttention(2), params, x))
    close(run(fnn.MultiHeadAttention(2), params, x, train=True), run(layer, params, x))  # no rate, no key
    assert not np.allclose(run(layer, params, x, train=True, key=KEY), run(layer, params, x))

    def at(rate: Any) -> jax.Array:
        return fnn.MultiHeadAttention(2, dropout=rate).apply(params, {}, x, train=True, key=KEY)[0]

    close(jax.jit(at)(0.5), run(layer, params, x, train=True, key=KEY))


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 3, 4, 7])
def test_the_contract_at_other_blocks(block: int, random: Any):
    x = (random(2, 7, 4), may(random, 2, 2, 7, 7))
    check_layer(fnn.MultiHeadAttention(2, causal=True, rotary=True, dropout=0.2, block=block), x, per_example=True)
