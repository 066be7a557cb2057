"""Every loss at extreme and boundary inputs: value and gradient are right, or NaN; see ``extremes.py``."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import fnn
from fnn.losses import Loss
from tests.cases import LOSSES
from tests.losses.compiled import by_both, by_hand
from tests.losses.extremes import EXTREMES

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN = float("nan")
BIG = {"float32": (1e30, 1e-30), "float64": (1e250, 1e-250), "bfloat16": (np.exp(64.0), np.exp(-64.0))}
"""Numbers whose squares are out of range, which the dtype holds."""
AGAIN = ("cross-entropy, one-hot", "KL divergence", "focal, gamma 0")
"""Rows of the cross-entropy through another loss, which the quick proof leaves out."""


def batch(name: str, dtype: Any) -> tuple[Loss, tuple, Any, Any]:
    """The loss, all predictions and targets of its rows, their values and their gradients."""
    loss, rows = EXTREMES[name]
    predictions, targets, values, gradients = zip(*rows(*BIG[np.dtype(dtype).name]), strict=True)

    def stacked(trees: tuple) -> Any:
        if trees[0] is None:
            return None
        if isinstance(trees[0], tuple):
            return tuple(map(stacked, zip(*trees, strict=True)))
        if isinstance(trees[0], dict):
            return {name: stacked(tuple(tree[name] for tree in trees)) for name in trees[0]}
        array = np.array(trees)
        return array.astype(dtype) if array.dtype == np.float64 else array

    with np.errstate(over="ignore", under="ignore"):
        return loss, (stacked(predictions), stacked(targets)), stacked(values), stacked(gradients)


def agree(got: Any, expected: Any, dtype: Any) -> None:
    digits = float(jnp.finfo(dtype).eps)
    for ours, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        ours, theirs = (np.asarray(each, np.float64) for each in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, rtol=32 * digits, atol=4 * digits)
        small = (theirs != 0) & (np.abs(theirs) < 1)  # a gradient of 1/big, say: its digits count too
        np.testing.assert_allclose(ours[small], theirs[small], rtol=32 * digits)


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(ml_dtypes.bfloat16, marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.full if each in AGAIN else ()) for each in EXTREMES]
)
def test_a_loss_of_extreme_inputs_is_right_or_not_a_number(name: str, dtype: Any):
    loss, inputs, values, gradients = batch(name, dtype)

    agree(jax.vmap(lambda *each: by_hand(loss, *each))(*inputs), (values, gradients), dtype)


@pytest.mark.full
@pytest.mark.parametrize("name", EXTREMES)
def test_a_loss_of_extreme_inputs_by_both_ways_in_float64(name: str):
    loss, inputs, values, gradients = batch(name, np.float64)

    got, hand, automatic = jax.vmap(lambda *each: by_both(loss, *each))(*inputs)
    agree((got, hand), (values, gradients), np.float64)
    # At ±∞ a selection stands in the forward pass where the hand rule has the limit.
    finite = np.ones(len(values), bool)
    for each in jax.tree.leaves(inputs[0]):
        finite &= np.isfinite(each).reshape(len(values), -1).all(1)
    finite &= np.isfinite(values)
    automatic, gradients = jax.tree.map(lambda each: np.asarray(each)[finite], (automatic, gradients))
    agree(automatic, gradients, np.float64)


def test_every_loss_has_extremes():
    assert {case.kind for case in LOSSES} == {type(loss) for loss, _ in EXTREMES.values()}


# ---- by the rule as it stands, for tools/mutation


def gradient(loss: Loss, prediction: Any, target: Any) -> np.ndarray:
    return np.asarray(loss.backward(jax.jit(lambda each: loss.forward(each, target)[1])(prediction)))


def test_where_the_label_cannot_be_the_focal_loss_has_the_slope_of_cross_entropy():
    logits, label = np.array([[-np.inf, 0.0, 0.0]]), np.array([0])
    assert gradient(fnn.Focal(0.5), logits, label).tolist() == [[-1.0, 0.5, 0.5]]


def test_a_negative_that_is_infinitely_far_away_pushes_nothing():
    x = np.array([[[0.0, 0.0], [1.0, 0.0], [np.inf, 0.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 1.5]]])
    assert gradient(fnn.Triplet(1.0), x, None).tolist() == [[[0.0, 0.0]] * 3, [[-0.5, 0.5], [0.5, 0.0], [0.0, -0.5]]]


# ---- weights


@pytest.mark.parametrize("loss", [fnn.MeanSquaredError(), fnn.RootMeanSquaredError(), fnn.Hinge()], ids=repr)
def test_weights_whose_sum_overflows_give_no_number(loss: Loss):
    p, y, w = np.array([2.0, 1.0], np.float32), np.array([1.0, 1.0], np.float32), np.full(2, 3e38, np.float32)
    assert all(np.isnan(each).all() for each in by_hand(loss, p, y, w))


def test_what_weighs_nothing_is_not_the_largest_error_of_a_root():
    p, y = np.array([3.0, 4.0, NAN, 1e30], np.float32), np.zeros(4, np.float32)
    value, gradient = by_hand(fnn.RootMeanSquaredError(), p, y, np.array([1.0, 1.0, 0.0, 0.0], np.float32))
    np.testing.assert_allclose(value, 12.5**0.5, rtol=1e-6)
    np.testing.assert_allclose(gradient, np.array([1.5, 2, 0, 0]) / 12.5**0.5, rtol=1e-6)
