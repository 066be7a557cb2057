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
from scipy.special import softmax

import fnn
from fnn import CTC
from tests.comparing import close
from tests.drawing import drawn
from tests.losses.compiled import by_both, by_hand

pytestmark = pytest.mark.usefixtures("strict_numerics")


def spelled(path: tuple, blank: int) -> list[int]:
    merged = [symbol for symbol, _ in itertools.groupby(path)]
    return [symbol for symbol in merged if symbol != blank]


def by_enumeration(logits: np.ndarray, labels: list[int], blank: int) -> tuple[float, np.ndarray]:
    """−log p of one sequence, and its gradient: softmax less how often the paths are at each symbol in each frame."""
    y, total, visits = softmax(logits, -1), 0.0, np.zeros(logits.shape)
    frames = np.arange(len(logits))
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if spelled(path, blank) == labels:
            p = y[frames, path].prod()
            total += p
            visits[frames, path] += p
    return -np.log(total), y - visits / total


# ---- what is computed


def test_numbers_worked_by_hand():
    # Two frames, one label: 1 1, 1 blank and blank 1.
    y = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]])
    ways = np.array([0.3 * 0.6, 0.3 * 0.1, 0.5 * 0.6])
    value, gradient = by_hand(CTC(), np.log(y)[None], np.array([[1]]))
    visits = np.array([[ways[2], ways[0] + ways[1], 0], [ways[1], ways[0] + ways[2], 0]]) / ways.sum()
    close(value, -np.log(ways.sum()))
    close(gradient[0], y - visits)


@pytest.mark.parametrize("blank", [0, pytest.param(1, marks=pytest.mark.full), 2])
@pytest.mark.parametrize("labels", [[], [0], [1, 1], [0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0]], ids=str)
def test_the_value_and_gradient_are_those_of_all_paths(labels: list[int], blank: int, random: Any):
    labels = [label + (label >= blank) for label in labels]  # any two that are not the blank
    target = np.array([labels + [-1] * (4 - len(labels))])
    for length in (5, 6):
        logits = random(1, 6, 3)
        expected, gradient = by_enumeration(logits[0, :length], labels, blank)
        value, (dlogits, dlengths) = by_hand(CTC(blank=blank), (logits, np.array([length])), target)
        close(value, expected)
        close(dlogits[0, :length], gradient, atol=1e-12)
        assert not dlogits[0, length:].any()
        assert dlengths is None


def test_labels_of_no_width_are_no_labels(random: Any):
    logits = random(2, 3, 4)
    expected = -np.log(softmax(logits, -1)[..., 0]).sum(1).mean()
    close(by_hand(CTC(), logits, np.zeros((2, 0), int))[0], expected)
    close(by_hand(CTC(), logits, np.full((2, 2), -1))[0], expected)


def test_a_sequence_of_no_frames_spells_nothing_for_sure(random: Any):
    value, (dlogits, _) = by_hand(CTC(), (random(1, 3, 4), np.array([0])), np.array([[-1]]))
    assert value == 0
    assert not dlogits.any()


@pytest.mark.full
def test_the_value_is_the_weighted_mean_over_sequences_not_over_labels(random: Any):
    logits, labels = random(3, 5, 3), np.array([[1, 2, 1], [1, -1, -1], [2, 2, -1]])
    alone = [by_enumeration(*each, 0)[0] for each in zip(logits, ([1, 2, 1], [1], [2, 2]), strict=True)]
    close(by_hand(CTC(), logits, labels)[0], np.mean(alone))
    close(by_hand(CTC(), logits, labels, np.array([1.0, 3.0, 0.0]))[0], (alone[0] + 3 * alone[1]) / 4)


FRAMES = np.array([9, 7, 5, 2])
RAGGED = np.array([[1, 1, 2, 3], [3, 2, -1, -1], [2, 2, 2, -1], [-1, -1, -1, -1]])
"""Labels that so many frames of five classes spell."""


@pytest.mark.full
@pytest.mark.parametrize("blank", [0, 4])
def test_optax_agrees(blank: int, random: Any):
    logits = random(4, 9, 5)
    logit_paddings = (np.arange(9)[None] >= FRAMES[:, None]).astype(float)
    label_paddings = (RAGGED < 0).astype(float)

    @jax.jit
    def reference(z: Any) -> Any:
        return optax.ctc_loss(z, logit_paddings, np.maximum(RAGGED, 0), label_paddings, blank_id=blank).mean()

    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        expected = jax.jit(jax.value_and_grad(reference))(logits)
    value, (dlogits, _) = by_hand(CTC(blank=blank), (logits, FRAMES), RAGGED)
    # Optax writes log 0 as −1e5, whose digits are those that it loses.
    close((value, dlogits), expected, rtol=1e-10, atol=1e-10)


def test_the_gradient_of_a_frame_sums_to_zero(random: Any):
    _, (dlogits, _) = by_hand(CTC(), (random(4, 9, 5), FRAMES), RAGGED)
    close(dlogits.sum(-1), np.zeros((4, 9)), atol=1e-12)


@pytest.mark.full  # for what it costs: what weighs nothing is hidden from every loss by the same lines
def test_a_sequence_that_weighs_nothing_may_be_anything():
    logits, lengths = drawn("logits that weigh nothing", 2, 2, 3), jnp.array([1, 2])
    labels, weights = jnp.array([[1], [2]]), np.array([2.0, 0.0])
    bad = jnp.asarray(logits).at[1].set(np.nan)

    def eagerly(*batch: Any) -> Any:
        value, cache = CTC().forward(*batch)
        return value, CTC().backward(cache)[0]

    with jax.disable_jit():  # compiling every scan takes longer than all else here
        expected = eagerly((logits, lengths), labels, weights)
        for together in (tuple, list):
            close(eagerly(together([bad, lengths]), labels, weights), expected, atol=1e-12)
            automatic = jax.grad(lambda z, together=together: CTC()(together([z, lengths]), labels, weights))(bad)
            close(automatic, expected[1], atol=1e-12)


@pytest.mark.full
def test_float32_keeps_four_digits_over_thousands_of_frames(random: Any, draw: np.random.Generator):
    logits, labels = random(1, 3000, 8), draw.integers(1, 8, (1, 400))
    value, gradient = by_hand(CTC(), logits, labels)
    value32, gradient32 = by_hand(CTC(), logits.astype(np.float32), labels)
    assert (value32.dtype, gradient32.dtype) == (jnp.float32, jnp.float32)
    np.testing.assert_allclose(value32, value, rtol=1e-5)
    error = np.asarray(gradient32, np.float64) - np.asarray(gradient)
    assert np.linalg.norm(error) <= 1e-4 * np.linalg.norm(gradient)


@pytest.mark.full
def test_bfloat16_is_computed_in_float32(random: Any):
    logits, labels = random(2, 40, 6).astype(jnp.bfloat16), np.array([[1, 2, 3], [3, 3, -1]])
    value, gradient = by_hand(CTC(), logits, labels)
    exact, dlogits = by_hand(CTC(), logits.astype(np.float64), labels)
    assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(value, exact, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(gradient, np.float64), dlogits, rtol=2**-8, atol=1e-6)


# ---- labels that no path spells


@pytest.mark.full
def test_too_few_frames_cost_infinity_without_gradient_inside_jit(random: Any):
    logits = random(3, 3, 4)
    labels = np.array([[1, 2, 3, 1], [2, 2, -1, -1], [1, 1, 2, -1]])  # four, three and four frames
    terms, _ = jax.jit(CTC().terms)(logits, labels)
    assert np.isposinf(terms).tolist() == [True, False, True]
    _, gradient, automatic = by_both(CTC(), logits, labels)
    close(gradient[1], by_enumeration(logits[1], [2, 2], 0)[1] / 3, atol=1e-12)
    assert not gradient[::2].any()
    close(gradient, automatic, atol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("label", [1, 2])
def test_a_class_that_cannot_be(label: int, random: Any):
    logits = random(1, 4, 3)
    logits[0, :, 2] = -np.inf
    value, gradient, automatic = by_both(CTC(), logits, np.array([[label, -1]]))
    assert np.isfinite(automatic).all()
    close(gradient, automatic, atol=1e-12)
    if label == 1:
        close(value, by_enumeration(logits[0], [1], 0)[0])
        assert not gradient[..., 2].any()
    else:
        assert np.isposinf(value)
        assert not gradient.any()


def test_the_automatic_gradient_is_finite_where_most_places_cannot_be_reached(random: Any):
    logits, labels = random(1, 5, 3).astype(np.float32), np.array([[1, 2, 1, 2, 1]])  # one path alone
    _, _, automatic = by_both(CTC(), logits, labels)
    np.testing.assert_allclose(automatic, softmax(logits, -1) - np.eye(3)[labels], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "labels", [[1, 3], [1, 0], [-2, 1], [-1, 1]], ids=["too large", "the blank", "too small", "padding in front"]
)
def test_a_wrong_label_raises_outside_jit_and_is_nan_without_gradient_inside(labels: list[int], random: Any):
    logits, target = random(2, 4, 3), np.array([[1, 2], labels])
    message = f"labels lie in [0, 3), differ from the blank 0 and are padded at the end with −1, got {labels}"
    with pytest.raises(ValueError, match=re.escape(message)):
        CTC()(logits, target)
    value, gradient = by_hand(CTC(), logits, target)
    assert jnp.isnan(value)
    assert jnp.isfinite(gradient).all()
    assert not gradient[1].any()


def test_a_length_out_of_range_raises_outside_jit_and_is_nan_inside(random: Any):
    batch = (random(2, 4, 3), np.array([2, 5])), np.array([[1], [2]])
    with pytest.raises(ValueError, match=re.escape("lengths lie in [0, 4], got [2, 5]")):
        CTC()(*batch)
    value, (gradient, _) = by_hand(CTC(), *batch)
    assert jnp.isnan(value)
    assert not gradient[1].any()


def test_unsigned_labels_have_no_padding(random: Any):
    logits, labels = random(2, 4, 3), np.array([[1, 2], [2, 1]])
    close(by_hand(CTC(), logits, labels.astype(np.uint8)), by_hand(CTC(), logits, labels))


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
    message = "the labels of sequence 1 need 3 frames (equal neighbours need a blank between them), but there are 2;"
    with pytest.raises(ValueError, match=re.escape(message)):
        CTC()((LOGITS, np.array([4, 2])), np.array([[1, 1], [2, 2]]))
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


@pytest.fixture
def spelling(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Symbols, each shown as long as it lasts, and what they spell."""
    inputs = np.eye(4, dtype=np.float32)[draw.integers(0, 4, (12, 6))]
    labels = np.full((12, 6), -1)
    for row, each in zip(labels, inputs.argmax(-1), strict=True):
        merged = [symbol for symbol, _ in itertools.groupby(each) if symbol]
        row[: len(merged)] = merged
    return inputs, labels


def trained(inputs: np.ndarray, labels: np.ndarray) -> Any:
    objective = fnn.Objective(fnn.Serial(fnn.Dense(16), fnn.Tanh(), fnn.Dense(4)), CTC())
    options: Any = {"epochs": 60, "batch_size": 12, "key": jax.random.key(0), "progress": False}
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return fnn.fit(objective, fnn.optim.adam(0.05), (inputs, labels), **options)


@pytest.mark.full
def test_a_model_learns_to_spell(spelling: tuple[np.ndarray, np.ndarray]):
    losses = trained(*spelling).history["loss"]
    assert losses[-1] < 0.2 * losses[0]


def test_bad_labels_are_caught_before_the_first_step(spelling: tuple[np.ndarray, np.ndarray]):
    inputs, labels = spelling
    labels[3] = 2
    with pytest.raises(ValueError, match="the labels of sequence 3 need 11 frames"):
        trained(inputs, labels)
