"""Attention against loops over its definition and against JAX's own; the conventions of masks, heads and decoding."""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layers.blockwise_attention import BlockwiseAttention
from fnn.layers.dropout import Dropout
from fnn.testing import check_layer

pytestmark = pytest.mark.usefixtures("strict_numerics")

DRAW = np.random.default_rng(3)
KEY = jax.random.key(0)
N, T, S, D = 2, 5, 3, 4


def random(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape)


def close(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-13)


def made(layer: fnn.MultiHeadAttention, x: Any) -> dict[str, Any]:
    """Parameters with biases that are not zero."""
    params, _ = layer.init(KEY, x)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(0.3 * random(*leaf.shape), leaf.dtype), params)


def run(layer: fnn.MultiHeadAttention, params: Any, x: Any, **options: Any) -> np.ndarray:
    return np.asarray(layer.apply(params, {}, x, **options)[0])


def may(*shape: int) -> np.ndarray:
    return DRAW.random(shape) < 0.6


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


@pytest.mark.parametrize("block", [1, 2, 8])
@pytest.mark.parametrize("name", OPTIONS)
def test_it_is_its_definition_whatever_the_block(name: str, block: int):
    layer, x = fnn.MultiHeadAttention(**OPTIONS[name], block=block), random(N, T, D)
    params = made(layer, x)
    close(run(layer, params, x), by_loops(layer, params, x))


@pytest.mark.parametrize("causal", [False, True])
def test_across_it_attends_to_the_memory_and_causally_to_its_first_positions(causal: bool):
    layer, x, memory = fnn.MultiHeadAttention(2, causal=causal, block=2), random(N, T, D), random(N, S, 6)
    params = made(layer, (x, memory))
    assert params["key"]["kernel"].shape == (6, 2, 2)
    close(run(layer, params, (x, memory)), by_loops(layer, params, x, memory))


@pytest.mark.parametrize("shape", [(N, T), (N, T, T), (N, 1, T), (N, 2, T, T), (N, 1, T, T), (N, 2, 1, T)], ids=str)
@pytest.mark.parametrize("block", [2, 8])
def test_masks_of_every_form(shape: tuple, block: int):
    layer, x, mask = fnn.MultiHeadAttention(2, block=block), random(N, T, D), may(*shape)
    params = made(layer, x)
    full = {2: lambda: mask[:, None, None], 3: lambda: mask[:, None], 4: lambda: mask}[mask.ndim]()
    expected = by_loops(layer, params, x, mask=np.broadcast_to(full, (N, 2, T, T)))
    close(run(layer, params, (x, mask)), expected)


def test_a_mask_of_the_memory_with_causal():
    layer, x, memory, mask = fnn.MultiHeadAttention(2, causal=True), random(N, T, D), random(N, S, D), may(N, T, S)
    params = made(layer, (x, memory))
    full = np.broadcast_to(mask[:, None], (N, 2, T, S))
    close(run(layer, params, (x, memory, mask)), by_loops(layer, params, x, memory, full))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("grouped", [1, 2])
def test_the_blocks_are_dot_product_attention_of_jax(causal: bool, grouped: int):
    q, k, v = (jnp.asarray(random(N, S, 2 * heads, D), jnp.float32) for heads in (grouped, 1, 1))
    mask = may(N, 1, S, S)
    mask[..., 0] = True  # a row without a key is NaN or zero there, by implementation
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.nn.dot_product_attention(q, k, v, mask=jnp.asarray(mask), is_causal=causal)
    heads = (jnp.swapaxes(each, 1, 2) for each in (q, k, v))
    q, k, v = (each.reshape(N, 2, *shape) for each, shape in zip(heads, ((grouped, S, D), (S, D), (S, D)), strict=True))
    y, _ = BlockwiseAttention(causal, 2, Dropout(0.0)).forward(q, k, v, jnp.asarray(mask[:, None]))
    np.testing.assert_allclose(y.reshape(N, 2 * grouped, S, D).swapaxes(1, 2), expected, rtol=1e-5, atol=1e-6)


def test_a_key_head_serves_consecutive_query_heads():
    layer, x = fnn.MultiHeadAttention(4, kv_heads=2, head_features=3), random(N, T, D)
    params = made(layer, x)
    repeated = {
        name: jax.tree.map(lambda leaf: jnp.repeat(leaf, 2, axis=-2), part) if name in ("key", "value") else part
        for name, part in params.items()
    }
    close(run(layer, params, x), run(fnn.MultiHeadAttention(4, head_features=3), repeated, x))


# ---- rows without a key


@pytest.mark.parametrize("block", [2, 8])
@pytest.mark.parametrize("causal", [False, True])
def test_a_query_without_a_key_gives_the_bias_and_no_gradient_goes_through_it(block: int, causal: bool):
    layer, x = fnn.MultiHeadAttention(2, block=block, causal=causal), random(N, T, D)
    mask = np.ones((N, T, T), bool)
    mask[0, 1] = mask[1, :] = False  # one query, and every query of a sample
    params = made(layer, x)
    y, _, cache = layer.forward(params, {}, (x, mask))
    for row in (y[0, 1], *y[1]):
        close(row, params["out"]["bias"])
    dy = jnp.asarray(random(N, T, D))
    dparams, (dx, dmask) = layer.backward(cache, dy)
    _, vjp = jax.vjp(lambda params, x: layer.apply(params, {}, (x, mask))[0], params, jnp.asarray(x))
    expected = vjp(dy)
    assert dmask is None
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(((dparams, dx), expected)))
    assert not dx[1].any()
    assert not expected[1][1].any()
    jax.tree.map(close, (dparams, dx), expected)


def test_no_nan_is_hidden():
    layer, x = fnn.MultiHeadAttention(2), random(N, T, D)
    params = made(layer, x)
    x[0, 2] = np.nan
    y = run(layer, params, (x, np.ones((N, T), bool)))
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_scores_of_any_size():
    x = 1e4 * random(N, T, D)
    layer = fnn.MultiHeadAttention(2, block=2)
    params = made(layer, x)
    y, _, cache = layer.forward(params, {}, (x, may(N, T, T)))
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((y, layer.backward(cache, y))))


# ---- what is kept, dtypes, dropout


def test_nothing_of_the_size_of_the_scores_is_kept():
    layer, x = fnn.MultiHeadAttention(2, dropout=0.1), jax.ShapeDtypeStruct((3, 512, 8), jnp.float32)
    params, _ = jax.eval_shape(layer.init, KEY, x)
    _, _, cache = jax.eval_shape(lambda *args: layer.forward(*args, train=True, key=KEY), params, {}, x)
    kernels = cache.pop("kernels")
    assert sum(leaf.size for leaf in jax.tree.leaves(kernels)) == 4 * 8 * 8
    assert cache.keys() == {"x", "query", "key", "value", "output", "log_sum_exp", "dropout_key"}
    assert sum(leaf.size for leaf in jax.tree.leaves(cache)) == 5 * 3 * 512 * 8 + 3 * 512 * 2 + 1


def test_bfloat16_is_as_good_as_its_digits():
    # Without rotary the bias of the keys has no gradient, and nothing to compare.
    layer, x, dy = fnn.MultiHeadAttention(2, rotary=True, block=4), random(N, 16, D), random(N, 16, D)
    params = made(layer, x)

    def gradients(dtype: Any) -> Any:
        cast = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, x, dy))
        y, _, cache = layer.forward(cast[0], {}, cast[1])
        assert cache["log_sum_exp"].dtype == (jnp.float32 if dtype == jnp.bfloat16 else dtype)
        return y, layer.backward(cache, cast[2])

    for got, expected in zip(*(jax.tree.leaves(gradients(d)) for d in (jnp.bfloat16, jnp.float64)), strict=True):
        assert np.linalg.norm(np.float64(got) - expected) < 0.03 * np.linalg.norm(expected)


def test_the_bias_of_the_keys_has_no_gradient_but_for_rotary():
    x, dy = random(N, T, D), random(N, T, D)
    for rotary in (False, True):
        layer = fnn.MultiHeadAttention(2, rotary=rotary)
        dparams, _ = layer.backward(layer.forward(made(layer, x), {}, x)[2], jnp.asarray(dy))
        assert (np.abs(dparams["key"]["bias"]).max() > 1e-14) == rotary


def test_the_kernels_have_the_fans_of_matrices():
    layer, x = fnn.MultiHeadAttention(4, head_features=64, use_bias=False), jax.ShapeDtypeStruct((1, 1, 100), "float64")
    params, _ = layer.init(KEY, x)
    for name, fan_in in (("query", 100), ("key", 100), ("value", 100), ("out", 256)):
        assert params[name].keys() == {"kernel"}
        assert float(params[name]["kernel"].std()) == pytest.approx(fan_in**-0.5, rel=0.03)


@pytest.mark.parametrize("block", [2, 8])
def test_dropout_zeroes_probabilities_and_scales_the_rest(block: int):
    """With values that are unit vectors the output shows the probabilities themselves."""
    attention = BlockwiseAttention(False, block, Dropout(0.4))
    q, k, v = random(1, 1, 1, T, D), random(1, 1, T, D), np.eye(T)[None, None]
    plain = np.asarray(attention.forward(*map(jnp.asarray, (q, k, v)))[0])
    dropped = np.asarray(attention.forward(*map(jnp.asarray, (q, k, v)), key=KEY)[0])
    assert 0 < (dropped == 0).sum() < T * T
    close(dropped[dropped != 0], plain[dropped != 0] / 0.6)
    single = attention.forward(*(jnp.asarray(each, jnp.float32) for each in (q, k, v)), key=KEY)[0]
    assert ((np.asarray(single) == 0) == (dropped == 0)).all()


def test_dropout_only_in_training_and_at_a_rate():
    x = random(N, T, D)
    layer = fnn.MultiHeadAttention(2, dropout=0.5)
    params = made(layer, x)
    close(run(layer, params, x), run(fnn.MultiHeadAttention(2), params, x))
    close(run(fnn.MultiHeadAttention(2), params, x, train=True), run(layer, params, x))  # no rate, no key
    assert not np.allclose(run(layer, params, x, train=True, key=KEY), run(layer, params, x))
    traced = jax.jit(lambda rate: fnn.MultiHeadAttention(2, dropout=rate).apply(params, {}, x, train=True, key=KEY)[0])
    close(traced(0.5), run(layer, params, x, train=True, key=KEY))


# ---- decoding


@pytest.mark.parametrize("chunks", [(1, 1, 1, 1, 1), (5,), (2, 1, 2)], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"rotary": True}, {"num_heads": 4, "kv_heads": 2, "head_features": 2, "rotary": True}], ids=str
)
def test_decoding_is_the_causal_form(options: dict, chunks: tuple):
    layer, x = fnn.MultiHeadAttention(**{"num_heads": 2, "causal": True, "block": 2, **options}), random(N, T, D)
    params = made(layer, x)
    carry, outputs, done = layer.start(N, 7, D, jnp.float64), [], 0
    for size in chunks:
        y, carry = layer.step(params, carry, x[:, done : done + size])
        outputs.append(y)
        done += size
    close(np.concatenate(outputs, 1), run(layer, params, x))
    assert int(carry["position"]) == T
    assert carry["key"].shape == (N, 7, layer.kv_heads or layer.num_heads, 2)
    assert carry["position"].dtype == jnp.int32


def test_decoding_inside_scan():
    layer, x = fnn.MultiHeadAttention(2, causal=True, rotary=True), random(N, T, D)
    params = made(layer, x)

    def step(carry: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        y, carry = layer.step(params, carry, x[:, None])
        return carry, y[:, 0]

    _, y = jax.lax.scan(step, layer.start(N, T, D, jnp.float64), jnp.asarray(x).swapaxes(0, 1))
    close(y.swapaxes(0, 1), run(layer, params, x))


def test_a_full_carry_raises_and_inside_jit_gives_nan():
    layer, x = fnn.MultiHeadAttention(2, causal=True), random(N, T, D)
    params = made(layer, x)
    _, carry = layer.step(params, layer.start(N, T, D, jnp.float64), x)
    with pytest.raises(ValueError, match=r"the carry holds 5 positions, got 1 more at position 5"):
        layer.step(params, carry, x[:, :1])
    y, _ = jax.jit(layer.step)(params, carry, x[:, :1])
    assert np.isnan(y).all()
    with pytest.raises(ValueError, match=r"the carry holds 3 positions, got 5 more at position 0"):
        jax.jit(lambda carry: layer.step(params, carry | {"position": 0}, x))(layer.start(N, 3, D, jnp.float64))


# ---- errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_heads": 0}, ValueError, "num_heads is at least 1, got 0"),
        ({"num_heads": 4, "kv_heads": 3}, ValueError, "kv_heads=3 does not divide num_heads=4"),
        ({"num_heads": 4, "kv_heads": 0}, ValueError, "kv_heads is at least 1, got 0"),
        ({"num_heads": 4, "head_features": 0}, ValueError, "head_features is at least 1, got 0"),
        ({"num_heads": 4, "head_features": 3, "rotary": True}, ValueError, "the last axis of a head is even, got 3"),
        ({"num_heads": 4, "dropout": 1.0}, ValueError, r"rate is the fraction dropped and lies in \[0, 1\), got 1.0"),
        ({"num_heads": 4, "block": 0}, ValueError, "block is at least 1, got 0"),
    ],
)
def test_wrong_options(options: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        fnn.MultiHeadAttention(**options)


X, MEMORY = np.zeros((2, 5, 4)), np.zeros((2, 3, 6))
MEMBERS = r"expected x, \(x, mask\), \(x, memory\) or \(x, memory, mask\), .* got "


@pytest.mark.parametrize(
    ("options", "x", "error", "message"),
    [
        ({"num_heads": 3}, X, ValueError, "num_heads=3 does not divide the 4 features of the input; set head_features"),
        ({"num_heads": 4, "rotary": True}, X, ValueError, "the last axis of a head is even, got 1"),
        ({}, X[0], ValueError, r"expected x \(N, T, D\), got the shape \(5, 4\)"),
        ({}, (X, MEMORY[0]), ValueError, r"expected a memory \(N, S, E\) .* got float64\[3,6\] for float64\[2,5,4\]"),
        ({}, (X, MEMORY[:1]), ValueError, r"expected a memory .* got float64\[1,3,6\]"),
        ({}, (X, MEMORY.astype(np.float32)), ValueError, r"expected a memory .* got float32\[2,3,6\]"),
        ({"rotary": True}, (X, MEMORY), ValueError, "rotary positions are for self-attention, got a memory"),
        ({}, (X, np.ones((2, 3), bool)), ValueError, r"expected a mask .* N=2, T=5, S=5 .* got the shape \(2, 3\)"),
        ({}, (X, np.ones((1, 5), bool)), ValueError, r"expected a mask .* got the shape \(1, 5\)"),
        ({}, (X, np.ones((2, 5, 3), bool)), ValueError, r"expected a mask .* got the shape \(2, 5, 3\)"),
        ({}, (X, np.ones((2, 3, 5, 5), bool)), ValueError, r"and 2 heads, got the shape \(2, 3, 5, 5\)"),
        ({}, (X, np.ones(5, bool)), ValueError, r"expected a mask .* got the shape \(5,\)"),
        ({}, (X, MEMORY, np.ones((2, 5), bool)), ValueError, r"expected a mask .* S=3 .* got the shape \(2, 5\)"),
        ({}, (X, np.ones((2, 5), int)), TypeError, MEMBERS + r"\(float64\[2,5,4\], int64\[2,5\]\)"),
        ({}, (X, np.ones((2, 5), bool), MEMORY), TypeError, MEMBERS),
        ({}, (X,), TypeError, MEMBERS),
        ({}, (X, None), TypeError, MEMBERS + r"\(float64\[2,5,4\], None\)"),
        ({}, [X, X], TypeError, MEMBERS),
        ({}, X.astype(int), TypeError, MEMBERS + r"int64\[2,5,4\]"),
    ],
)
def test_wrong_inputs(options: dict, x: Any, error: type, message: str):
    layer = fnn.MultiHeadAttention(**{"num_heads": 2, **options})
    with pytest.raises(error, match=message):
        layer.init(KEY, x)
    with pytest.raises(error, match=message):
        layer.apply({}, {}, x)


def test_an_empty_batch_a_missing_key_and_foreign_parameters():
    layer = fnn.MultiHeadAttention(2, dropout=0.1)
    params, _ = layer.init(KEY, X)
    with pytest.raises(ValueError, match=r"the batch is empty: float64\[0,5,4\]"):
        layer.apply(params, {}, X[:0])
    with pytest.raises(ValueError, match="is random in training and needs a key"):
        layer.apply(params, {}, X, train=True)
    with pytest.raises(ValueError, match="expected a parameter 'kernel', found NoneType"):
        layer.apply({}, {}, X)
    with pytest.raises(ValueError, match=r"'kernel' has shape \(4, 2, 2\) where this input needs \(6, 2, 3\)"):
        layer.apply(params, {}, np.zeros((2, 5, 6)))


@pytest.mark.parametrize(
    ("options", "x", "error", "message"),
    [
        ({"causal": False}, X[:, :1], ValueError, r"set causal=True in MultiHeadAttention\(num_heads=2\)"),
        ({}, (X[:, :1], np.ones((2, 1), bool)), TypeError, r"a step takes x alone \(N, t, D\)"),
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
    params, _ = layer.init(KEY, X)
    with pytest.raises(error, match=message):
        layer.step(params, layer.start(2, 6, 4, jnp.float64), x)


@pytest.mark.slow
@pytest.mark.parametrize("block", [1, 3, 4, 7])
def test_the_contract_at_other_blocks(block: int):
    x = (random(2, 7, 4), may(2, 2, 7, 7))
    check_layer(fnn.MultiHeadAttention(2, causal=True, rotary=True, dropout=0.2, block=block), x, per_example=True)
