"""Recurrent layers: their initial values, their options, and what they refuse."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import fnn
from tests import compiled
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")

T, D, H = 5, 2, 4
GATES = {fnn.SimpleRNN: 1, fnn.LSTM: 4, fnn.GRU: 3}
each_kind = pytest.mark.parametrize("kind", GATES, ids=lambda kind: kind.__name__)
sigmoid = scipy.special.expit


# ---- options and initial values


@pytest.mark.full
@each_kind
def test_the_parameters_start_as_documented(kind: Any):
    layer, k = kind(H), GATES[kind]
    params, state = compiled.init(layer, jax.random.key(3), jax.ShapeDtypeStruct((1, T, 7), jnp.float64))
    assert state == {}
    assert {name: leaf.shape for name, leaf in params.items()} == {
        "kernel": (7, k * H),
        "recurrent_kernel": (H, k * H),
        "bias": (k * H,),
        **({"recurrent_bias": (3 * H,)} if kind is fnn.GRU else {}),
    }
    blocks = np.split(np.asarray(params["recurrent_kernel"]), k, axis=1)
    for block in blocks:
        close(block.T @ block, np.eye(H))
    assert all(np.abs(one - other).max() > 0.1 for one, other in zip(blocks[1:], blocks[:-1], strict=True))
    assert np.abs(params["kernel"]).max() <= np.sqrt(6 / (7 + k * H))
    forget = np.arange(k * H) // H == 1 if kind is fnn.LSTM else np.zeros(k * H)
    np.testing.assert_array_equal(params["bias"], forget)
    np.testing.assert_array_equal(params.get("recurrent_bias", 0), 0)


def test_layer_norm_adds_a_scale_for_each_product():
    params, _ = compiled.init(fnn.GRU(H, layer_norm=True), jax.random.key(0), jnp.zeros((1, T, D)))
    for name in ("input_scale", "recurrent_scale"):
        np.testing.assert_array_equal(params[name], np.ones(3 * H))


@pytest.mark.full
@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, np.ones((3, 3))),
        ({"lateral": False}, np.eye(3)),
        ({"self_feedback": False}, 1 - np.eye(3)),
        ({"lateral": False, "self_feedback": False}, None),
    ],
)
def test_feedback_connections_that_are_not_allowed_do_not_act(options: dict, mask: Any, random: Any):
    layer = fnn.FeedbackRNN(3, 2, **options)
    x = random(2, 4, 2)
    params, _ = compiled.init(layer, jax.random.key(0), x)
    if mask is None:
        assert "recurrent_kernel" not in params
        return
    kernel = np.asarray(params["recurrent_kernel"])
    np.testing.assert_array_equal(kernel != 0, mask != 0)
    full = params | {"recurrent_kernel": jnp.asarray(kernel + 10 * (1 - mask))}
    dy = random(2, 4, 2)
    one, other = (compiled.gradients(layer, each, {}, x, dy)[:2] for each in (params, full))
    close(one, other)
    np.testing.assert_array_equal(np.asarray(one[1][0]["recurrent_kernel"]) != 0, mask != 0)


def test_feedback_of_the_output_can_be_left_out():
    params, _ = compiled.init(fnn.FeedbackRNN(3, 2, output_feedback=False), jax.random.key(0), jnp.zeros((2, 4, 2)))
    assert sorted(params) == ["bias", "kernel", "output_bias", "output_kernel", "recurrent_kernel"]


@pytest.mark.full
@each_kind
def test_recurrent_dropout_draws_one_mask_for_all_steps(kind: Any, random: Any):
    layer, rate = kind(64, recurrent_dropout=0.5), 0.5
    x = random(2, 6, 3)
    params, _ = compiled.init(layer, jax.random.key(1), x)
    key = jax.random.key(2)
    y, _, cache = compiled.forward(layer, params, {}, x, train=True, key=key)
    mask = np.asarray(cache["weights"]["mask"])
    assert set(np.unique(mask)) == {0.0, 1 / (1 - rate)}
    assert 0.3 < (mask == 0).mean() < 0.7
    # By hand: the recurrent product sees m ⊙ h, everything else h.
    weights = {name: np.asarray(leaf) for name, leaf in params.items()}
    h, c = np.zeros((2, 64)), np.zeros((2, 64))
    for t in range(6):
        px = np.asarray(x[:, t]) @ weights["kernel"] + weights["bias"]
        ph = (mask * h) @ weights["recurrent_kernel"] + weights.get("recurrent_bias", 0.0)
        p, q = np.split(px, GATES[kind], -1), np.split(ph, GATES[kind], -1)
        if kind is fnn.SimpleRNN:
            h = np.tanh(px + ph)
        elif kind is fnn.LSTM:
            i, f, g, o = (one + other for one, other in zip(p, q, strict=True))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            z = sigmoid(p[1] + q[1])
            h = (1 - z) * np.tanh(p[2] + sigmoid(p[0] + q[0]) * q[2]) + z * h
        close(y[:, t], h)
    close(compiled.apply(layer, params, {}, x)[0], compiled.apply(kind(64), params, {}, x, train=True)[0])


def test_recurrent_dropout_may_be_swept(random: Any):
    x = random(2, 6, 3)
    params, _ = compiled.init(fnn.GRU(8), jax.random.key(1), x)

    def output(rate: Any) -> Any:
        return fnn.GRU(8, recurrent_dropout=rate).apply(params, {}, x, train=True, key=jax.random.key(2))[0]

    close(jax.jit(output)(np.float64(0.3)), jax.jit(output, static_argnums=0)(0.3))


def test_bfloat16_stays_and_adds_up_in_float32():
    # z ≈ 1 − 1/400 moves h by less than bfloat16 can tell from h itself: a carry kept in it would stand still.
    layer = fnn.GRU(1, return_sequences=False)
    params = {
        "kernel": jnp.zeros((1, 3), jnp.bfloat16),
        "recurrent_kernel": jnp.zeros((1, 3), jnp.bfloat16),
        "bias": jnp.array([0, 6, 8], jnp.bfloat16),
        "recurrent_bias": jnp.zeros(3, jnp.bfloat16),
    }
    y, _ = compiled.apply(layer, params, {}, jnp.zeros((1, 1000, 1), jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    exact = 1 - sigmoid(6.0) ** 1000
    np.testing.assert_allclose(np.float64(y[0, 0]), exact, rtol=2**-8)


# ---- errors

X = np.zeros((2, 4, 3))
BAD_INPUT = [
    (np.zeros((2, 4)), ValueError, r"expected sequences \(N, T, D\), got float64\[2,4\]"),
    ((np.zeros((2, 4)), None), ValueError, r"expected sequences \(N, T, D\)"),
    (np.zeros((2, 0, 3)), ValueError, "the batch is empty"),
    (np.zeros((2, 4, 3), np.int32), TypeError, "expected an array of floating dtype"),
    ((X,), TypeError, r"expected x, \(x, lengths\) or \(x, lengths, carry\)"),
    ([X, np.array([1, 2])], TypeError, r"expected x, \(x, lengths\) or \(x, lengths, carry\)"),
    ((X, None, None, None), TypeError, r"expected x, \(x, lengths\) or \(x, lengths, carry\)"),
    ((X, np.array([1.0, 2.0])), TypeError, r"expected integer lengths, got float64\[2\]"),
    ((X, np.array([True, False])), TypeError, r"expected integer lengths, got bool\[2\]; a mask is not a length"),
    ((X, (1, 2)), TypeError, r"expected integer lengths \(2,\), got \(int, int\)"),
    ((X, np.array([1, 2, 3])), ValueError, r"expected one length a sequence, \(2,\), got int64\[3\]"),
    ((X, np.array(2)), ValueError, r"expected one length a sequence, \(2,\), got int64\[\]"),
    ((X, np.array([1, 5])), ValueError, r"lengths lie in \[0, 4\], got values from 1 to 5"),
    ((X, np.array([-1, 4])), ValueError, r"lengths lie in \[0, 4\], got values from -1 to 4"),
]
BAD_CARRY = [
    (
        fnn.GRU(2),
        (np.zeros((2, 2)),),
        TypeError,
        r"expected a carry float64\[2,2\], got \(float64\[2,2\]\); the layer's",
    ),
    (
        fnn.GRU(2),
        np.zeros((2, 3)),
        ValueError,
        r"expected a carry float64\[2,2\], got float64\[2,3\]; the layer's start",
    ),
    (fnn.GRU(2), np.zeros((1, 2)), ValueError, r"expected a carry float64\[2,2\], got float64\[1,2\]"),
    (fnn.GRU(2), np.zeros((2, 2), np.float32), TypeError, r"got float32\[2,2\]; cast one of them explicitly"),
    (
        fnn.LSTM(2),
        np.zeros((2, 2)),
        TypeError,
        r"expected a carry \(float64\[2,2\], float64\[2,2\]\), got float64\[2,2\]",
    ),
    (fnn.LSTM(2), (np.zeros((2, 2)),) * 3, TypeError, r"expected a carry \(float64\[2,2\], float64\[2,2\]\), got \("),
    (fnn.LSTM(2), [np.zeros((2, 2))] * 2, TypeError, r"expected a carry \(float64\[2,2\], float64\[2,2\]\), got \("),
    (
        fnn.FeedbackRNN(2, 1),
        (np.zeros((2, 2)),) * 2,
        ValueError,
        r"expected a carry \(float64\[2,2\], float64\[2,1\]\)",
    ),
]


@pytest.mark.parametrize(("x", "error", "message"), BAD_INPUT, ids=[row[2] for row in BAD_INPUT])
def test_bad_inputs_are_refused(x: Any, error: type, message: str, random: Any):
    for layer in (fnn.LSTM(2), fnn.FeedbackRNN(2, 1)):
        params = compiled.drawn_params(random, layer, X)
        with pytest.raises(error, match=message):
            layer.apply(params, {}, x)


@pytest.mark.parametrize(("layer", "carry", "error", "message"), BAD_CARRY, ids=[row[3] for row in BAD_CARRY])
def test_bad_carries_are_refused(layer: Any, carry: Any, error: type, message: str, random: Any):
    params = compiled.drawn_params(random, layer, X)
    with pytest.raises(error, match=message):
        layer.apply(params, {}, (X, None, carry))
    with pytest.raises(error, match=message):
        layer.step(params, carry, jnp.zeros((2, 3)))


def test_other_bad_values_are_refused(random: Any):
    with pytest.raises(ValueError, match="features is at least 1, got 0"):
        fnn.LSTM(0)
    with pytest.raises(ValueError, match="outputs is at least 1, got 0"):
        fnn.FeedbackRNN(2, 0)
    with pytest.raises(ValueError, match=r"rate is the fraction dropped and lies in \[0, 1\), got 1"):
        fnn.GRU(2, recurrent_dropout=1)
    with pytest.raises(TypeError, match="activation is an elementwise layer, got Dense"):
        fnn.FeedbackRNN(2, 1, activation=fnn.Dense(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"activation is an elementwise layer, got .*; did you mean Tanh\(…\)\?"):
        fnn.FeedbackRNN(2, 1, activation=fnn.Tanh)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected sequences \(N, T, D\), got float64\[4,3\]"):
        fnn.LSTM(2).init(jax.random.key(0), np.zeros((4, 3)))
    layer = fnn.LSTM(2, recurrent_dropout=0.5)
    params = compiled.drawn_params(random, layer, X)
    with pytest.raises(
        ValueError, match=r"LSTM\(features=2, recurrent_dropout=0\.5\) is random in training and needs a"
    ):
        layer.apply(params, {}, X, train=True)
    with pytest.raises(ValueError, match=r"expected the inputs of one step \(N, D\), got the shape \(2, 4, 3\)"):
        layer.step(params, layer.start(2, jnp.float64), X)
    with pytest.raises(ValueError, match=r"parameter 'kernel' has shape \(3, 8\) where this input needs \(5, 8\)"):
        layer.apply(params, {}, np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="expected a parameter 'recurrent_bias'"):
        fnn.GRU(2).apply(
            {"kernel": jnp.zeros((3, 6)), "recurrent_kernel": jnp.zeros((2, 6)), "bias": jnp.zeros(6)}, {}, X
        )


@pytest.mark.parametrize("wrong", [-1, 5])
def test_under_jit_a_sequence_of_a_wrong_length_is_nan_and_the_others_are_not(wrong: int, random: Any):
    layer, x = fnn.LSTM(2, return_carry=True), random(3, 4, 2)
    params = compiled.drawn_params(random, layer, x)
    run = jax.jit(lambda lengths: layer.apply(params, {}, (x, lengths))[0])
    y, carry = run(jnp.array([4, wrong, 0]))
    for each in (y, *carry):
        assert jnp.isnan(each).reshape(3, -1).all(1).tolist() == [False, True, False]
        assert jnp.isfinite(each[::2]).all()
