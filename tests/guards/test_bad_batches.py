"""Predictions, targets and weights that do not fit a loss, one row for each fault, eagerly and under jit."""

# Arguments are wrong on purpose, and a row is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import BinaryCrossEntropy, CrossEntropy, MeanSquaredError


def zeros(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return np.zeros(shape, dtype)


LOSSES = [
    (CrossEntropy(), zeros(3, 4), zeros(2, dtype=int), None, ValueError, "expected labels (3,) or a distribution (3, 4) for logits"),
    (CrossEntropy(), zeros(3, 4), zeros(3, 1, dtype=int), None, ValueError, "expected labels (3,) or a distribution (3, 4)"),
    (CrossEntropy(), zeros(3, 4), zeros(3, 5), None, ValueError, "expected labels (3,) or a distribution (3, 4)"),
    (CrossEntropy(), zeros(3, 4), zeros(3), None, TypeError, "labels are integers, got float64[3]; convert them"),
    (CrossEntropy(), zeros(3, 4, dtype=int), zeros(3, dtype=int), None, TypeError, "expected an array of floating dtype"),
    (CrossEntropy(), zeros(0, 4), zeros(0, dtype=int), None, ValueError, "the batch is empty"),
    (CrossEntropy(), zeros(3, 4), zeros(3, dtype=int), zeros(2), ValueError, "weights have the shape of the leading axes of the (3,)"),
    (CrossEntropy(), zeros(3, 2, 4), zeros(3, 2, dtype=int), zeros(2), ValueError, "weights have the shape of the leading axes of the (3, 2)"),
    (BinaryCrossEntropy(), zeros(3, 1), zeros(3), None, ValueError, "prediction and target must have the same shape, got float64[3,1] and float64[3]; nothing is broadcast"),
    (MeanSquaredError(), zeros(3, 1), zeros(3), None, ValueError, "prediction and target must have the same shape, got float64[3,1] and float64[3]"),
    (MeanSquaredError(), zeros(3), zeros(3, dtype=np.float32), None, TypeError, "the target has the prediction's dtype, float64, got float32[3]"),
    (MeanSquaredError(), zeros(3), zeros(3, dtype=int), None, TypeError, "the target has the prediction's dtype, float64, got int64[3]"),
    (MeanSquaredError(), zeros(3), zeros(3), zeros(3, 1), ValueError, "weights have the shape of the leading axes of the (3,)"),
    (MeanSquaredError(), (zeros(3),), zeros(3), None, TypeError, "expected one array, got (float64[3])"),
]  # fmt: skip


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("row", LOSSES, ids=[f"{row[0]!r}: {row[-1]}" for row in LOSSES])
def test_loss(row: tuple, jit: bool):
    loss, *batch, error, message = row
    with pytest.raises(error, match=re.escape(message)):
        (jax.jit(loss.forward) if jit else loss.forward)(*batch)


@pytest.mark.parametrize("label", [-1, 4, 300])
def test_a_label_out_of_range_raises_outside_jit_and_is_nan_inside(label: int):
    loss, logits, labels = CrossEntropy(), zeros(2, 4), np.array([1, label])
    with pytest.raises(ValueError, match=re.escape(f"labels lie in [0, 4), got [{label}]")):
        loss(logits, labels)
    assert jnp.isnan(jax.jit(loss)(logits, labels))


def test_a_target_of_binary_cross_entropy_outside_0_to_1():
    with pytest.raises(ValueError, match=r"in \[0, 1\]; labels ±1 are for hinge losses"):
        BinaryCrossEntropy()(zeros(2), np.array([-1, 1]))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        BinaryCrossEntropy()(zeros(2), np.array([0.5, np.nan]))


@pytest.mark.parametrize("loss", [MeanSquaredError(), CrossEntropy()], ids=repr)
def test_nan_in_a_prediction_reaches_the_value(loss: Any):
    prediction = zeros(3, 2)
    prediction[1, 0] = np.nan
    assert jnp.isnan(jax.jit(loss)(prediction, np.ones((3, 2))))


def test_labels_out_of_range_have_no_gradient_inside_jit():
    def gradient(labels: Any) -> Any:
        return CrossEntropy().backward(CrossEntropy().forward(jnp.zeros((3, 2)), labels)[1])

    assert jax.jit(gradient)(jnp.array([-1, 0, 2])).tolist() == [[0, 0], [-1 / 6, 1 / 6], [0, 0]]
