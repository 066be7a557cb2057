"""Positions as angles and as learned vectors, and the embedding of symbols."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layers.attention.rotary_embedding import angles
from tests import compiled
from tests.comparing import close, same

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
TWO_AXES = r"expected an input \(N, T, F\), got the shape \(3, 2\)"


def run(layer: fnn.Layer, x: Any, params: Any = None) -> np.ndarray:
    return np.asarray(compiled.apply(layer, params or {}, {}, x)[0])


@pytest.mark.parametrize("features", [1, 4, 5])
def test_sinusoids_are_those_of_the_paper(features: int, random: Any):
    x = random(2, 7, features)
    expected = x.copy()
    for t in range(7):
        for j in range(features):
            phi = t / 10000 ** (2 * (j // 2) / features)
            expected[:, t, j] += math.cos(phi) if j % 2 else math.sin(phi)
    close(run(fnn.SinusoidalEmbedding(), x), expected, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_angles_are_accurate_at_any_position(dtype: Any):
    positions = np.array([0, 1, 7, 4095, 99_999, 131_071, 10_000_000])
    exact = positions.astype(np.longdouble)[:, None] * np.longdouble(10000) ** (
        -np.arange(64, dtype=np.longdouble) / 64
    )
    with jax.enable_x64(dtype == np.float64):
        phi = np.float64(angles(jnp.asarray(positions), 128, dtype))
    tolerance = 4e-7 if dtype == np.float32 else 1e-8
    np.testing.assert_allclose(np.sin(phi), np.sin(exact).astype(float), rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.cos(phi), np.cos(exact).astype(float), rtol=0, atol=tolerance)
    assert dtype == np.float64 or abs(phi).max() <= math.pi + 1e-6


def test_bfloat16_positions_are_turned_in_float32(random: Any):
    x = random(1, 3000, 1, 64).astype(jnp.bfloat16)
    got, exact = (np.float64(run(fnn.RotaryEmbedding(), each)) for each in (x, np.float64(x)))
    assert abs(got - exact).max() < 2**-7 * abs(np.float64(x)).max()


def test_rotary_turns_pairs_by_the_position(random: Any):
    x = random(2, 5, 3, 6)
    y = run(fnn.RotaryEmbedding(), x)
    for t in range(5):
        for i in range(3):
            phi = t * 10000 ** (-2 * i / 6)
            expected = (x[:, t, :, i] + 1j * x[:, t, :, i + 3]) * np.exp(1j * phi)
            np.testing.assert_allclose(y[:, t, :, i] + 1j * y[:, t, :, i + 3], expected, rtol=1e-13)


def test_the_product_of_two_turned_vectors_depends_on_their_distance_alone(random: Any):
    q, k = (np.broadcast_to(random(8), (1, 30, 1, 8)) for _ in range(2))
    scores = np.einsum("nthd,nshd->ts", *(run(fnn.RotaryEmbedding(), each) for each in (q, k)))
    for distance in range(-29, 30):
        along = np.diagonal(scores, distance)
        np.testing.assert_allclose(along, along[0], rtol=1e-12, atol=1e-13)
    assert np.ptp(scores[0]) > 0.1


def test_attention_does_not_change_when_all_positions_shift(random: Any):
    """What tells that rotary attention uses these angles: scores of a query and a key by their distance."""
    layer, x = fnn.MultiHeadAttention(2, rotary=True), random(1, 4, 8)
    params = compiled.drawn_params(random, layer, x)
    shifted = np.concatenate([random(1, 3, 8), x], 1)
    mask = np.broadcast_to(np.arange(7) >= 3, (1, 7))
    np.testing.assert_allclose(
        run(layer, x, params), compiled.apply(layer, params, {}, (shifted, mask))[0][:, 3:], rtol=1e-12
    )


def test_learned_positions_are_added_and_those_not_used_have_no_gradient(random: Any):
    layer, x, table, dy = fnn.PositionalEmbedding(6), random(2, 4, 3), random(6, 3), random(2, 4, 3)
    y, (dparams, dx), _ = compiled.gradients(layer, {"embedding": table}, {}, x, dy)
    same((y, dx), (x + table[:4], dy))
    np.testing.assert_allclose(dparams["embedding"], np.concatenate([dy.sum(0), np.zeros((2, 3))]), rtol=1e-14)


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (
            fnn.PositionalEmbedding(3),
            np.zeros((1, 4, 2)),
            ValueError,
            "at most 3 positions, got an input of length 4",
        ),
        (fnn.PositionalEmbedding(3), np.zeros((3, 2)), ValueError, TWO_AXES),
        (
            fnn.SinusoidalEmbedding(),
            np.zeros((3, 2)),
            ValueError,
            TWO_AXES,
        ),
        (
            fnn.RotaryEmbedding(),
            np.zeros((3, 2, 4)),
            ValueError,
            r"\(N, T, heads, d\), got the shape \(3, 2, 4\)",
        ),
        (fnn.RotaryEmbedding(), np.zeros((1, 3, 2, 5)), ValueError, "an even number per head, got 5"),
        (fnn.SinusoidalEmbedding(), np.zeros((1, 2, 2), int), TypeError, "expected an array of floating dtype"),
    ],
)
def test_wrong_inputs(layer: fnn.Layer, x: Any, error: type, message: str):
    with pytest.raises(error, match=message):
        layer.apply({"embedding": jnp.zeros((3, 2))}, {}, x)


def test_wrong_lengths():
    with pytest.raises(ValueError, match="length is at least 1, got 0"):
        fnn.PositionalEmbedding(0)
    with pytest.raises(ValueError, match=TWO_AXES):
        fnn.PositionalEmbedding(5).init(KEY, np.zeros((3, 2)))


# ---- the embedding of symbols


def test_an_embedding_scores_its_symbols(random: Any):
    layer, x, table = fnn.Embedding(5, 3), random(2, 4, 3), random(5, 3)
    logits = layer.attend({"embedding": jnp.asarray(table)}, x)
    np.testing.assert_allclose(logits, np.einsum("ntf,vf->ntv", x, table), rtol=1e-13)
    with pytest.raises(ValueError, match=r"expected vectors \(…, 3\), got the shape \(2, 4\)"):
        layer.attend({"embedding": jnp.asarray(table)}, random(2, 4))
    with pytest.raises(TypeError, match="expected an array of floating dtype"):
        layer.attend({"embedding": jnp.asarray(table)}, np.zeros((2, 3), int))


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("index", [2**31, 2**32 + 1, 2**63 - 1, -(2**32) + 1])
def test_indices_beyond_32_bits_do_not_wrap(index: int, x64: bool):
    with jax.enable_x64(x64):
        layer, x = fnn.Embedding(5, 3), np.array([[0, index]])
        params = {"embedding": jnp.zeros((5, 3))}
        with pytest.raises(ValueError, match=rf"indices lie in \[0, 5\), got values from .*{abs(index)}"):
            layer.apply(params, {}, x)
        with pytest.raises(ValueError, match=r"indices lie in \[0, 5\)"):
            jax.jit(lambda params: layer.apply(params, {}, x))(params)  # a constant of the trace
