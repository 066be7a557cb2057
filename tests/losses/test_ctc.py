"""Connectionist temporal classification against every path there is, against optax, and on the edges."""

# Arguments are wrong on purpose, and a row is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn import CTC

pytestmark = pytest.mark.usefixtures("strict_numerics")

DRAW = np.random.default_rng(17)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def spelled(path: tuple, blank: int) -> list[int]:
    merged = [symbol for symbol, _ in itertools.groupby(path)]
    return [symbol for symbol in merged if symbol != blank]


def by_enumeration(logits: np.ndarray, labels: list[int], blank: int) -> tuple[float, np.ndarray]:
    """−log p of one sequence, and its gradient: softmax less how often the paths are at each symbol in each frame."""
    y, total, visits = softmax(logits), 0.0, np.zeros(logits.shape)
    frames = np.arange(len(logits))
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if spelled(path, blank) == labels:
            p = y[frames, path].prod()
            total += p
            visits[frames, path] += p
    return -np.log(total), y - visits / total


def by_hand(loss: fnn.Loss, *batch: Any) -> tuple:
    value, cache = loss.forward(*batch)
    return value, loss.backward(cache)


def close(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol)


# ---- what is computed


def test_numbers_worked_by_hand():
    # Two frames, one label: 1 1, 1 blank and blank 1.
    y = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    ways = np.array([0.3 * 0.6, 0.3 * 0.1, 0.5 * 0.6])
    value, gradient = by_hand(CTC(), jnp.log(y)[None], jnp.array([[1]]))
    visits = np.array([[ways[2], ways[0] + ways[1], 0], [ways[1], ways[0] + ways[2], 0]]) / ways.sum()
    close(value, -np.log(ways.sum()))
    close(gradient[0], y - visits)


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize("labels", [[], [0], [1, 1], [0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]], ids=str)
def test_the_value_and_gradient_are_those_of_all_paths(labels: list[int], blank: int):
    labels = [label + (label >= blank) for label in labels]  # any two that are not the blank
    for frames, length in ((5, 5), (6, 5)):
        logits = DRAW.standard_normal((1, frames, 3))
        expected, gradient = by_enumeration(logits[0, :length], labels, blank)
        target = jnp.array([labels + [-1] * (4 - len(labels))])
        value, (dlogits, dlengths) = by_hand(CTC(blank=blank), (logits, jnp.array([length])), target)
        close(value, expected)
        close(dlogits[0, :length], gradient)
        assert not dlogits[0, length:].any()
        assert dlengths is None


def test_labels_of_no_width_are_no_labels():
    logits = DRAW.standard_normal((2, 3, 4))
    expected = -np.log(softmax(logits)[..., 0]).sum(1).mean()
    close(CTC()(logits, jnp.zeros((2, 0), int)), expected)
    close(CTC()(logits, jnp.full((2, 2), -1)), expected)


def test_a_sequence_of_no_frames_spells_nothing_for_sure():
    value, (dlogits, _) = by_hand(CTC(), (DRAW.standard_normal((1, 3, 4)), jnp.array([0])), jnp.array([[-1]]))
    assert value == 0
    assert not dlogits.any()


def test_the_value_is_the_weighted_mean_over_sequences_not_over_labels():
    logits, labels = DRAW.standard_normal((3, 5, 3)), jnp.array([[1, 2, 1], [1, -1, -1], [2, 2, -1]])
    alone = [CTC()(logits[i : i + 1], labels[i : i + 1]) for i in range(3)]
    close(CTC()(logits, labels), np.mean(alone))
    close(CTC()(logits, labels, jnp.array([1.0, 3.0, 0.0])), (alone[0] + 3 * alone[1]) / 4)


@pytest.mark.parametrize("blank", [0, 4])
def test_optax_agrees(blank: int):
    logits, frames = DRAW.standard_normal((4, 9, 5)), np.array([9, 7, 5, 2])
    labels = np.array([[1, 1, 2, 3], [3, 2, -1, -1], [2, 2, 2, -1], [-1, -1, -1, -1]])
    logit_paddings = (np.arange(9)[None] >= frames[:, None]).astype(float)
    label_paddings = (labels < 0).astype(float)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        value, gradient = jax.value_and_grad(
            lambda z: optax.ctc_loss(z, logit_paddings, np.maximum(labels, 0), label_paddings, blank_id=blank).mean()
        )(jnp.asarray(logits))
    ours, (dlogits, _) = by_hand(CTC(blank=blank), (logits, jnp.asarray(frames)), jnp.asarray(labels))
    # Optax writes log 0 as −1e5, whose digits are those that it loses.
    close(ours, value, 1e-10)
    close(dlogits, gradient, 1e-10)


def test_a_sequence_that_weighs_nothing_may_be_anything():
    logits, lengths, labels = DRAW.standard_normal((2, 4, 3)), jnp.array([3, 4]), jnp.array([[1], [2]])
    bad, weights = jnp.asarray(logits).at[1].set(np.nan), np.array([2.0, 0.0])
    with jax.disable_jit():  # compiling every scan takes longer than all else here
        value, (expected, _) = by_hand(CTC(), (logits, lengths), labels, weights)
        for together in (tuple, list):
            got, (gradient, _) = by_hand(CTC(), together([bad, lengths]), labels, weights)
            close(got, value)
            close(gradient, expected)
            automatic = jax.grad(lambda z, together=together: CTC()(together([z, lengths]), labels, weights))(bad)
            close(automatic, expected)


def test_the_gradient_of_a_frame_sums_to_zero():
    _, dlogits = by_hand(CTC(), DRAW.standard_normal((2, 6, 4)), jnp.array([[1, 2], [3, 3]]))
    close(dlogits.sum(-1), np.zeros((2, 6)))


def test_float32_keeps_four_digits_over_thousands_of_frames():
    logits = DRAW.standard_normal((1, 3000, 8))
    labels = jnp.asarray(DRAW.integers(1, 8, (1, 400)))
    value, gradient = jax.jit(lambda *batch: by_hand(CTC(), *batch))(logits, labels)
    narrow = jnp.asarray(logits, jnp.float32)
    value32, gradient32 = jax.jit(lambda *batch: by_hand(CTC(), *batch))(narrow, labels)
    assert (value32.dtype, gradient32.dtype) == (jnp.float32, jnp.float32)
    close(value32, value, 1e-5)
    error = np.asarray(gradient32, np.float64) - np.asarray(gradient)
    assert np.linalg.norm(error) <= 1e-4 * np.linalg.norm(gradient)


def test_bfloat16_is_computed_in_float32():
    logits, labels = jnp.asarray(DRAW.standard_normal((2, 40, 6)), jnp.bfloat16), jnp.array([[1, 2, 3], [3, 3, -1]])
    value, gradient = by_hand(CTC(), logits, labels)
    exact, dlogits = by_hand(CTC(), logits.astype(jnp.float64), labels)
    assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    close(value, exact, 1e-6)
    np.testing.assert_allclose(gradient.astype(jnp.float64), dlogits, rtol=2**-8, atol=1e-6)


# ---- labels that no path spells


def test_too_few_frames_cost_infinity_without_gradient_inside_jit():
    logits = DRAW.standard_normal((3, 3, 4))
    labels = jnp.array([[1, 2, 3, 1], [2, 2, -1, -1], [1, 1, 2, -1]])  # four, three and four frames
    _, cache = jax.jit(CTC().forward)(logits, labels)
    terms, _ = jax.jit(CTC().terms)(logits, labels)
    assert np.isposinf(terms).tolist() == [True, False, True]
    alone = CTC().forward(logits[1:2], labels[1:2])[1]
    gradient = CTC().backward(cache)
    close(gradient[1], CTC().backward(alone)[0] / 3)
    assert not gradient[::2].any()
    close(gradient, jax.jit(jax.grad(CTC()))(logits, labels))


def test_a_class_that_cannot_be():
    logits = DRAW.standard_normal((1, 4, 3))
    logits[0, :, 2] = -np.inf
    for labels in ([1, -1], [2, -1]):
        run = jax.jit(lambda *batch: by_hand(CTC(), *batch))
        value, gradient = run(logits, jnp.array([labels]))
        automatic = jax.jit(jax.grad(CTC()))(logits, jnp.array([labels]))
        assert np.isfinite(automatic).all()
        close(gradient, automatic)
        if labels[0] == 1:
            close(value, by_enumeration(logits[0], [1], 0)[0])
            assert not gradient[..., 2].any()
        else:
            assert np.isposinf(value)
            assert not gradient.any()


def test_the_automatic_gradient_is_finite_where_most_places_cannot_be_reached():
    logits, labels = DRAW.standard_normal((1, 5, 3)), jnp.array([[1, 2, 1, 2, 1]])  # one path alone
    gradient = jax.grad(CTC())(jnp.asarray(logits, jnp.float32), labels)
    close(gradient, softmax(logits) - np.eye(3)[[[1, 2, 1, 2, 1]]], 1e-6)


@pytest.mark.parametrize(
    "labels", [[1, 3], [1, 0], [-2, 1], [-1, 1]], ids=["too large", "the blank", "too small", "padding in front"]
)
def test_a_wrong_label_raises_outside_jit_and_is_nan_without_gradient_inside(labels: list[int]):
    logits, target = DRAW.standard_normal((2, 4, 3)), jnp.array([[1, 2], labels])
    message = f"labels lie in [0, 3), are not the blank 0 and end in −1 where there are fewer, got {labels}"
    with pytest.raises(ValueError, match=re.escape(message)):
        CTC()(logits, target)
    value, gradient = jax.jit(lambda *batch: by_hand(CTC(), *batch))(logits, target)
    assert jnp.isnan(value)
    assert jnp.isfinite(gradient).all()
    assert not gradient[1].any()


def test_a_length_out_of_range_raises_outside_jit_and_is_nan_inside():
    batch = (DRAW.standard_normal((2, 4, 3)), jnp.array([2, 5])), jnp.array([[1], [2]])
    with pytest.raises(ValueError, match=re.escape("lengths lie in [0, 4], got [2, 5]")):
        CTC()(*batch)
    value, (gradient, _) = jax.jit(lambda *batch: by_hand(CTC(), *batch))(*batch)
    assert jnp.isnan(value)
    assert not gradient[1].any()


def test_unsigned_labels_have_no_padding():
    logits, labels = DRAW.standard_normal((2, 4, 3)), np.array([[1, 2], [2, 1]])
    close(CTC()(logits, jnp.asarray(labels, jnp.uint8)), CTC()(logits, jnp.asarray(labels)))


# ---- errors

LOGITS, LABELS = np.zeros((2, 4, 3)), np.array([[1, 2], [2, -1]])


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("loss", "prediction", "target", "error", "message"),
    [
        (CTC(), LOGITS[0], LABELS, ValueError, "expected logits (N, T, V) and labels (N, L) padded with −1, got float64[4,3] and int64[2,2]"),
        (CTC(), LOGITS, LABELS[0], ValueError, "expected logits (N, T, V) and labels (N, L) padded with −1"),
        (CTC(), LOGITS, LABELS[:1], ValueError, "expected logits (N, T, V) and labels (N, L) padded with −1"),
        (CTC(), LOGITS, LABELS.astype(float), TypeError, "labels are integers, got float64[2,2]; convert them with astype(int)"),
        (CTC(blank=3), LOGITS, LABELS, ValueError, "blank is one of the 3 classes, got 3"),
        (CTC(), (LOGITS, np.array([4, 4, 4])), LABELS, TypeError, "lengths are integers (2,), got int64[3]"),
        (CTC(), (LOGITS, np.array([4.0, 4.0])), LABELS, TypeError, "lengths are integers (2,), got float64[2]"),
        (CTC(), (LOGITS,), LABELS, TypeError, "expected logits or (logits, lengths), got (float64[2,4,3])"),
        (CTC(), LOGITS.astype(int), LABELS, TypeError, "expected an array of floating dtype, got int64[2,4,3]"),
        (CTC(), LOGITS[:, :0], LABELS, ValueError, "the batch is empty: float64[2,0,3]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_batch_that_does_not_fit(loss: CTC, prediction: Any, target: Any, error: type, message: str, jit: bool):
    with pytest.raises(error, match=re.escape(message)):
        (jax.jit(loss.forward) if jit else loss.forward)(prediction, target)


def test_more_labels_than_the_frames_spell_raise_outside_jit():
    message = "the labels of sequence 1 need 3 frames (equal neighbours need one between them), and there are 2; leave"
    with pytest.raises(ValueError, match=re.escape(message)):
        CTC()((LOGITS, jnp.array([4, 2])), jnp.array([[1, 1], [2, 2]]))
    with pytest.raises(ValueError, match=re.escape("sequence 0 need 5 frames")):
        jax.jit(lambda logits: CTC()(logits, np.array([[1, 1, 2, 1], [2, -1, -1, -1]])))(LOGITS)


@pytest.mark.parametrize(
    ("blank", "error", "message"),
    [(-1, ValueError, "blank is a class of at least 0, got -1"), (1.0, TypeError, "blank is an integer, got 1.0"), (True, TypeError, "blank is an integer, got True")],
)  # fmt: skip
def test_a_blank_that_is_no_class(blank: Any, error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        CTC(blank=blank)


# ---- in training


def test_a_model_learns_to_spell_and_bad_labels_are_caught_before_the_first_step():
    inputs = jnp.asarray(np.eye(4)[DRAW.integers(0, 4, (12, 6))], jnp.float32)
    labels = np.full((12, 6), -1)
    for row, each in zip(labels, np.asarray(inputs).argmax(-1), strict=True):
        merged = [symbol for symbol, _ in itertools.groupby(each) if symbol]
        row[: len(merged)] = merged
    objective = fnn.Objective(fnn.Serial(fnn.Dense(16), fnn.Tanh(), fnn.Dense(4)), CTC())
    options = {"epochs": 60, "batch_size": 12, "key": jax.random.key(0), "progress": False}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        result = fnn.fit(objective, fnn.optim.adam(0.05), (inputs, labels), **options)
        assert result.history["loss"][-1] < 0.2 * result.history["loss"][0]
        labels[3] = 2
        with pytest.raises(ValueError, match="the labels of sequence 3 need 11 frames"):
            fnn.fit(objective, fnn.optim.adam(0.05), (inputs, labels), **options)
