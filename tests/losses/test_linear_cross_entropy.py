"""The linear cross-entropy is a dense layer and a cross-entropy, in chunks."""

# Arguments are wrong on purpose, and a row is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import CrossEntropy, LinearCrossEntropy
from tests.comparing import close
from tests.drawing import drawn, generator
from tests.losses.compiled import by_both, by_hand

pytestmark = pytest.mark.usefixtures("strict_numerics")

HIDDEN, KERNEL = drawn("hidden vectors", 7, 3), drawn("a kernel of five classes", 3, 5)
LABELS = generator("labels of five classes").integers(0, 5, 7)
WEIGHTS = generator("weights of seven rows").uniform(0.5, 2.0, 7)


@functools.partial(jax.jit, static_argnums=0)
def plainly(loss: CrossEntropy, prediction: Any, *batch: Any) -> tuple:
    """The value and its gradient by ``Dense`` and ``CrossEntropy``."""
    hidden, kernel = prediction
    layer = fnn.Dense(kernel.shape[1], use_bias=False)
    logits, _, layer_cache = layer.forward({"kernel": kernel}, {}, hidden)
    value, cache = loss.forward(logits, *batch)
    dparams, dhidden = layer.backward(layer_cache, loss.backward(cache))
    return value, (dhidden, dparams["kernel"])


# ---- what is computed


def test_numbers_worked_by_hand():
    # Logits (0, log 2, log 5) and (0, 0, 0): log-sums log 8 and log 3.
    kernel = np.array([[0.0, np.log(2), np.log(5)]])
    got = by_hand(LinearCrossEntropy(3, chunk=1), (np.array([[1.0], [0.0]]), kernel), np.array([1, 0]))
    value = (np.log(8) - np.log(2) + np.log(3)) / 2
    dz = np.array([[1 / 8, 2 / 8 - 1, 5 / 8], [1 / 3 - 1, 1 / 3, 1 / 3]]) / 2
    close(got, (value, (dz @ kernel.T, dz[:1])))


def test_z_loss_adds_the_squared_log_sum():
    got = by_hand(CrossEntropy(z_loss=0.5), np.array([[0.0, np.log(2.0), np.log(5.0)]]), np.array([2]))
    slope = 1 + 2 * 0.5 * np.log(8)
    close(got, (np.log(8 / 5) + 0.5 * np.log(8) ** 2, slope * np.array([[1 / 8, 2 / 8, 5 / 8]]) - [[0, 0, 1]]))


OPTIONS = [
    {}, {"ignore_index": 2}, {"z_loss": 1.0, "label_smoothing": 0.3}, {"label_smoothing": 0.1}, {"z_loss": 0.01}
]  # fmt: skip


@pytest.mark.full
@pytest.mark.parametrize("chunk", [3, *(pytest.param(chunk, marks=pytest.mark.full) for chunk in (1, 6, 7, 100))])
@pytest.mark.parametrize(
    "options", [*OPTIONS[:3], *(pytest.param(each, marks=pytest.mark.full) for each in OPTIONS[3:])], ids=str
)
def test_it_is_dense_and_cross_entropy(chunk: int, options: dict):
    loss, weighted = LinearCrossEntropy(5, chunk=chunk, **options), ((), (WEIGHTS,))

    @jax.jit
    def run(*batch: Any) -> Any:
        return [(by_hand(loss, *batch, *weights), loss(*batch, *weights)) for weights in weighted]

    for (got, value), weights in zip(run((HIDDEN, KERNEL), LABELS), weighted, strict=True):
        expected = plainly(CrossEntropy(**options), (HIDDEN, KERNEL), LABELS, *weights)
        close(got, expected)
        close(value, expected[0])


@pytest.mark.full
@pytest.mark.parametrize(("chunk", "options"), [(3, each) for each in OPTIONS] + [(1, {}), (7, {})], ids=str)
def test_it_is_that_operation_by_operation_too(chunk: int, options: dict):
    loss = LinearCrossEntropy(5, chunk=chunk, **options)
    for weights in ((), (WEIGHTS,)):
        expected = plainly(CrossEntropy(**options), (HIDDEN, KERNEL), LABELS, *weights)
        value, cache = loss.forward((HIDDEN, KERNEL), LABELS, *weights)
        close((value, loss.backward(cache)), expected)
        close(loss((HIDDEN, KERNEL), LABELS, *weights), expected[0])


def test_sequences_are_rows():
    batch = (HIDDEN[:6].reshape(2, 3, 3), KERNEL), LABELS[:6].reshape(2, 3), np.array([1.0, 3.0])
    close(by_hand(LinearCrossEntropy(5, chunk=4), *batch), plainly(CrossEntropy(), *batch))


def test_an_index_of_8_bits_counts_up_to_any_vocabulary():
    kernel, labels = np.linspace(-1, 1, 3 * 300).reshape(3, 300), LABELS.astype(np.int8)
    got = by_hand(LinearCrossEntropy(300, chunk=2), (HIDDEN, kernel), labels)
    close(got, plainly(CrossEntropy(), (HIDDEN, kernel), LABELS))


def products(function: Any, *arguments: Any) -> int:
    return len(re.findall(r"= dot_general", str(jax.make_jaxpr(function)(*arguments))))


def test_a_call_forms_no_gradient_and_forward_forms_it_in_three_products():
    loss, prediction, labels = LinearCrossEntropy(5, chunk=2), (HIDDEN[:6], KERNEL), LABELS[:6]
    assert products(loss, prediction, labels) == 1
    assert products(lambda *batch: by_hand(loss, *batch), prediction, labels) == 3
    assert products(lambda *batch: loss.backward(loss.forward(*batch)[1], 2.0), prediction, labels) == 3
    assert products(jax.grad(loss), prediction, labels) == 4


def test_logits_of_any_size_keep_their_digits():
    prediction = (1e4 * HIDDEN).astype(np.float32), KERNEL.astype(np.float32)
    assert all(jnp.isfinite(each).all() for each in jax.tree.leaves(by_hand(LinearCrossEntropy(5), prediction, LABELS)))


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bit_gradients_are_rounded_once(dtype: Any, random: Any, draw: np.random.Generator):
    prediction, labels = (random(600, 8).astype(dtype), random(8, 50).astype(dtype)), draw.integers(0, 50, 600)
    value, gradients = by_hand(LinearCrossEntropy(50, chunk=64), prediction, labels)
    assert (value.dtype, *(each.dtype for each in gradients)) == (jnp.float32, dtype, dtype)
    wide = tuple(each.astype(np.float64) for each in prediction)
    exact, expected = plainly(CrossEntropy(), wide, labels)
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    # A rounding to nearest is off by half an eps; the smallest number of float16 is 6e-8.
    floor, half = 3e-8 if dtype == jnp.float16 else 1e-9, 0.51 * float(jnp.finfo(dtype).eps)
    for got, reference in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(np.asarray(got, np.float64), reference, rtol=half, atol=floor)


def test_the_scale_of_a_float16_gradient_comes_before_its_rounding():
    prediction = np.full((40, 2), 1e-4, np.float16), np.zeros((2, 5), np.float16)
    loss, labels, weights = LinearCrossEntropy(5, chunk=16), np.zeros(40, int), np.where(np.arange(40) == 0, 1e-6, 1.0)

    @jax.jit
    def kernel_gradients(*batch: Any) -> Any:
        _, cache = loss.forward(*batch)
        return [loss.backward(cache, scale)[1] for scale in (1.0, 2.0**10)]

    plain, scaled = (np.asarray(each, np.float32) for each in kernel_gradients(prediction, labels, weights))
    assert not np.array_equal(scaled, plain * 2**10)
    np.testing.assert_allclose(scaled[0, 0], 1e-4 * (0.2 - 1) * 2**10, rtol=1e-3)


@pytest.mark.parametrize("label", [-1, 5, 300])
def test_a_label_out_of_range_raises_outside_jit_and_is_nan_without_gradient_inside(label: int):
    loss, prediction, labels = LinearCrossEntropy(5, chunk=2, z_loss=0.1), (HIDDEN[:3], KERNEL), np.array([1, label, 0])
    with pytest.raises(ValueError, match=re.escape(f"labels lie in [0, 5), got [{label}]")):
        loss(prediction, labels)
    value, (dhidden, dkernel), automatic = by_both(loss, prediction, labels)
    assert jnp.isnan(value)
    assert not dhidden[1].any()
    assert jnp.isfinite(dkernel).all()
    close((dhidden, dkernel), automatic)


def test_an_ignored_row_of_nan_reaches_neither_gradient():
    loss, labels = LinearCrossEntropy(3, chunk=3, ignore_index=-1), np.array([0, 1, 2, -1])
    hidden = np.ones((4, 5))
    hidden[3] = np.nan
    _, hand, automatic = by_both(loss, (hidden, np.ones((5, 3))), labels)
    assert all(jnp.isfinite(each).all() for each in hand)
    close(hand, automatic, rtol=1e-7, atol=1e-15)


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
        (HIDDEN, LABELS, TypeError, "expected the pair (hidden, kernel) that the head of the loss returns, got float64[7,3]"),
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
