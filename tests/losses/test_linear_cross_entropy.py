"""The linear cross-entropy is a dense layer and a cross-entropy, in chunks."""

# Arguments are wrong on purpose, and a row is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import CrossEntropy, LinearCrossEntropy

pytestmark = pytest.mark.usefixtures("strict_numerics")

DRAW = np.random.default_rng(3)
HIDDEN, KERNEL, LABELS = DRAW.standard_normal((7, 3)), DRAW.standard_normal((3, 5)), DRAW.integers(0, 5, 7)
WEIGHTS = DRAW.uniform(0.5, 2.0, 7)


def value_and_gradient(loss: fnn.Loss, *batch: Any) -> tuple:
    value, cache = loss.forward(*batch)
    return value, *loss.backward(cache)


def plainly(loss: CrossEntropy, hidden: Any, kernel: Any, *batch: Any) -> tuple:
    """The same by ``Dense`` and ``CrossEntropy``."""
    layer = fnn.Dense(kernel.shape[1], use_bias=False)
    logits, _, layer_cache = layer.forward({"kernel": jnp.asarray(kernel)}, {}, jnp.asarray(hidden))
    value, cache = loss.forward(logits, *batch)
    dparams, dhidden = layer.backward(layer_cache, loss.backward(cache))
    return value, dhidden, dparams["kernel"]


def close(got: tuple, expected: tuple, rtol: float = 1e-12) -> None:
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)


# ---- what is computed


def test_numbers_worked_by_hand():
    # Logits (0, log 2, log 5) and (0, 0, 0): log-sums log 8 and log 3.
    kernel = jnp.array([[0.0, np.log(2), np.log(5)]])
    got = value_and_gradient(LinearCrossEntropy(3, chunk=1), (jnp.array([[1.0], [0.0]]), kernel), jnp.array([1, 0]))
    value = (np.log(8) - np.log(2) + np.log(3)) / 2
    dz = np.array([[1 / 8, 2 / 8 - 1, 5 / 8], [1 / 3 - 1, 1 / 3, 1 / 3]]) / 2
    close(got, (value, dz @ np.asarray(kernel).T, dz[:1]))


def test_z_loss_adds_the_squared_log_sum():
    logits = jnp.array([[0.0, np.log(2.0), np.log(5.0)]])
    value, cache = CrossEntropy(z_loss=0.5).forward(logits, jnp.array([2]))
    slope = 1 + 2 * 0.5 * np.log(8)
    expected = (np.log(8 / 5) + 0.5 * np.log(8) ** 2, slope * np.array([[1 / 8, 2 / 8, 5 / 8]]) - [[0, 0, 1]])
    close((value, CrossEntropy(z_loss=0.5).backward(cache)), expected)


@pytest.mark.parametrize("chunk", [1, 3, 6, 7, 100])
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    "options",
    [{}, {"label_smoothing": 0.1}, {"ignore_index": 2}, {"z_loss": 0.01}, {"z_loss": 1.0, "label_smoothing": 0.3}],
    ids=str,
)
def test_it_is_dense_and_cross_entropy(chunk: int, jit: bool, options: dict):
    loss = LinearCrossEntropy(5, chunk=chunk, **options)
    run = jax.jit(lambda *batch: value_and_gradient(loss, *batch)) if jit else lambda *b: value_and_gradient(loss, *b)
    for weights in ((), (WEIGHTS,)):
        expected = plainly(CrossEntropy(**options), HIDDEN, KERNEL, LABELS, *weights)
        close(run((HIDDEN, KERNEL), LABELS, *weights), expected)
        close((loss((HIDDEN, KERNEL), LABELS, *weights),), expected[:1])


def test_sequences_are_rows():
    hidden, labels = HIDDEN[:6].reshape(2, 3, 3), LABELS[:6].reshape(2, 3)
    loss = LinearCrossEntropy(5, chunk=4)
    value, dhidden, dkernel = value_and_gradient(loss, (hidden, KERNEL), labels, jnp.array([1.0, 3.0]))
    expected = plainly(CrossEntropy(), hidden, KERNEL, labels, jnp.array([1.0, 3.0]))
    close((value, dhidden, dkernel), expected)
    assert dhidden.shape == hidden.shape


def test_an_index_of_8_bits_counts_up_to_any_vocabulary():
    kernel, labels = np.linspace(-1, 1, 3 * 300).reshape(3, 300), LABELS.astype(np.int8)
    got = value_and_gradient(LinearCrossEntropy(300, chunk=2), (HIDDEN, kernel), labels)
    close(got, plainly(CrossEntropy(), HIDDEN, kernel, LABELS))


def products(function: Any, *arguments: Any) -> int:
    return len(re.findall(r"= dot_general", str(jax.make_jaxpr(function)(*arguments))))


def test_a_call_forms_no_gradient_and_forward_forms_it_in_three_products():
    loss, prediction, labels = LinearCrossEntropy(5, chunk=2), (HIDDEN[:6], KERNEL), LABELS[:6]
    assert products(loss, prediction, labels) == 1
    assert products(lambda *batch: value_and_gradient(loss, *batch), prediction, labels) == 3
    assert products(lambda *batch: loss.backward(loss.forward(*batch)[1], 2.0), prediction, labels) == 3
    assert products(jax.grad(loss), prediction, labels) == 4


def test_logits_of_any_size_keep_their_digits():
    hidden = jnp.asarray(1e4 * HIDDEN, jnp.float32)
    value, dhidden, dkernel = value_and_gradient(LinearCrossEntropy(5), (hidden, KERNEL.astype(np.float32)), LABELS)
    assert all(jnp.isfinite(each).all() for each in (value, dhidden, dkernel))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bit_gradients_are_rounded_once(dtype: Any):
    hidden, kernel = DRAW.standard_normal((600, 8)), DRAW.standard_normal((8, 50))
    labels = DRAW.integers(0, 50, 600)
    narrow = jnp.asarray(hidden, dtype), jnp.asarray(kernel, dtype)
    value, dhidden, dkernel = value_and_gradient(LinearCrossEntropy(50, chunk=64), narrow, labels)
    assert (value.dtype, dhidden.dtype, dkernel.dtype) == (jnp.float32, dtype, dtype)
    wide = tuple(np.asarray(each.astype(jnp.float64)) for each in narrow)
    exact = plainly(CrossEntropy(), *wide, labels)
    np.testing.assert_allclose(value, exact[0], rtol=1e-6)
    # A rounding to nearest is off by half an eps; the smallest number of float16 is 6e-8.
    for got, expected in ((dhidden, exact[1]), (dkernel, exact[2])):
        floor = 3e-8 if dtype == jnp.float16 else 1e-9
        np.testing.assert_allclose(
            got.astype(jnp.float64), expected, rtol=0.51 * float(jnp.finfo(dtype).eps), atol=floor
        )


def test_the_scale_of_a_float16_gradient_comes_before_its_rounding():
    prediction = jnp.full((40, 2), 1e-4, jnp.float16), jnp.zeros((2, 5), jnp.float16)
    loss, labels = LinearCrossEntropy(5, chunk=16), jnp.zeros(40, int)
    _, cache = loss.forward(prediction, labels, jnp.where(jnp.arange(40) == 0, 1e-6, 1.0))
    _, plain = loss.backward(cache)
    _, scaled = loss.backward(cache, 2.0**10)
    assert not np.array_equal(scaled.astype(jnp.float32), plain.astype(jnp.float32) * 2**10)
    np.testing.assert_allclose(scaled[0, 0].astype(float), 1e-4 * (0.2 - 1) * 2**10, rtol=1e-3)


@pytest.mark.parametrize("label", [-1, 5, 300])
def test_a_label_out_of_range_raises_outside_jit_and_is_nan_without_gradient_inside(label: int):
    loss, labels = LinearCrossEntropy(5, chunk=2, z_loss=0.1), jnp.array([1, label, 0])
    with pytest.raises(ValueError, match=re.escape(f"labels lie in [0, 5), got [{label}]")):
        loss((HIDDEN[:3], KERNEL), labels)
    by_hand = jax.jit(lambda *batch: value_and_gradient(loss, *batch))
    value, dhidden, dkernel = by_hand((HIDDEN[:3], KERNEL), labels)
    assert jnp.isnan(value)
    assert not dhidden[1].any()
    assert jnp.isfinite(dkernel).all()
    close((dhidden, dkernel), jax.jit(jax.grad(loss))((HIDDEN[:3], KERNEL), labels))


# ---- errors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LinearCrossEntropy(0), ValueError, "vocabulary is at least 1, got 0"),
        (lambda: LinearCrossEntropy(2.0), TypeError, "vocabulary is an integer, got 2.0"),
        (lambda: LinearCrossEntropy(5, chunk=0), ValueError, "chunk is at least 1, got 0"),
        (lambda: LinearCrossEntropy(5, chunk=2.5), TypeError, "chunk is an integer, got 2.5"),
        (lambda: LinearCrossEntropy(5, label_smoothing=1), ValueError, "label_smoothing lies in [0, 1), got 1"),
        (lambda: LinearCrossEntropy(5, z_loss=-0.1), ValueError, "z_loss is a finite strength of at least 0, got -0.1"),
        (lambda: CrossEntropy(z_loss=float("nan")), ValueError, "z_loss is a finite strength of at least 0, got nan"),
        (lambda: fnn.losses.LinearHead(0), ValueError, "vocabulary is at least 1, got 0"),
    ],
)
def test_options_out_of_range(make: Any, error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("prediction", "target", "error", "message"),
    [
        (HIDDEN, LABELS, TypeError, "expected the pair (hidden, kernel) that the head of the loss gives, got float64[7,3]"),
        ((HIDDEN,), LABELS, TypeError, "expected the pair (hidden, kernel)"),
        ((HIDDEN, KERNEL.T), LABELS, ValueError, "expected hidden vectors (…, D) and a kernel (D, 5), got (float64[7,3], float64[5,3])"),
        ((HIDDEN, KERNEL[:, :4]), LABELS, ValueError, "and a kernel (D, 5), got"),
        ((HIDDEN, KERNEL.astype(np.float32)), LABELS, TypeError, "parameter 'kernel' is float32 but the input is float64"),
        ((HIDDEN.astype(int), KERNEL), LABELS, TypeError, "expected an array of floating dtype, got int64[7,3]"),
        ((HIDDEN[:0], KERNEL), LABELS[:0], ValueError, "the batch is empty: float64[0,3]"),
        ((HIDDEN, KERNEL), LABELS[:6], ValueError, "expected labels (7,) for hidden vectors float64[7,3], got int64[6]"),
        ((HIDDEN, KERNEL), np.eye(5)[LABELS], ValueError, "expected labels (7,) for hidden vectors float64[7,3], got float64[7,5]"),
        ((HIDDEN, KERNEL), LABELS.astype(float), TypeError, "labels are integers, got float64[7]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_batch_that_does_not_fit(prediction: Any, target: Any, error: type, message: str, jit: bool):
    loss = LinearCrossEntropy(5)
    with pytest.raises(error, match=re.escape(message)):
        (jax.jit(loss.forward) if jit else loss.forward)(prediction, target)


def test_weights_of_another_shape():
    with pytest.raises(ValueError, match=re.escape("weights have the shape of the leading axes of the (7,) terms")):
        LinearCrossEntropy(5).forward((HIDDEN, KERNEL), LABELS, WEIGHTS[:6])


def test_the_head_refuses_what_dense_refuses():
    head = LinearCrossEntropy(5).head
    with pytest.raises(ValueError, match=re.escape("expected an input (…, D), got a scalar")):
        head.init(jax.random.key(0), jax.ShapeDtypeStruct((), jnp.float64))
    with pytest.raises(ValueError, match="parameter 'kernel' has shape"):
        head.apply({"kernel": jnp.zeros((4, 5))}, {}, jnp.zeros((2, 3)))
    with pytest.raises(TypeError, match="expected an array of floating dtype"):
        head.apply({"kernel": jnp.zeros((3, 5))}, {}, jnp.zeros((2, 3), int))


def test_an_ignored_row_of_nan_reaches_neither_gradient():
    loss, labels = fnn.LinearCrossEntropy(3, chunk=3, ignore_index=-1), jnp.array([0, 1, 2, -1])
    hidden, kernel = jnp.ones((4, 5)).at[3].set(jnp.nan), jnp.ones((5, 3))
    by_hand = loss.backward(loss.forward((hidden, kernel), labels)[1])
    automatic = jax.grad(lambda pair: loss(pair, labels))((hidden, kernel))
    for one, other in zip(by_hand, automatic, strict=True):
        assert jnp.isfinite(one).all()
        np.testing.assert_allclose(one, other, atol=1e-15)
