"""Degenerate predictions: every metric has the value worked out by hand, or none; never a plausible one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import fnn

NAN, INF = np.nan, np.inf
NOTHING = (NAN,) * 4


@pytest.fixture(autouse=True)
def float32():
    with jax.enable_x64(False):
        yield


def check(program: Any, data: tuple, expected: tuple, name: str) -> None:
    arrays = [np.asarray(leaf, np.int32 if np.asarray(leaf).dtype.kind == "i" else np.float32) for leaf in data]
    for which, (got, wanted) in enumerate(zip(program(*arrays), expected, strict=True)):
        np.testing.assert_allclose(got, np.asarray(wanted, np.float32), rtol=1e-6, err_msg=f"{name}, {which}")


# ---- yes-or-no answers: accuracy, precision, recall, F1, the confusion matrix, the area

Y, Z, ALL = [0, 1, 1, 0], [-1.0, 2.0, -3.0, 4.0], [1.0] * 4
ANSWERS: dict[str, tuple[tuple, tuple]] = {
    "as they are": ((Z, Y, ALL), (0.5, 0.5, 0.5, 0.5, [[1, 1], [1, 1]], 0.25)),
    "all NaN": (([NAN] * 4, Y, ALL), (0, 0, 0, 0, [[0, 0], [0, 0]], NAN)),
    "one NaN that is 1": (([-1, NAN, -3, 4], Y, ALL), (0.25, 0, 0, 0, [[1, 1], [1, 0]], NAN)),
    "one NaN that is 0": (([NAN, 2, -3, 4], Y, ALL), (0.25, 0.5, 0.5, 0.5, [[0, 1], [1, 1]], NAN)),
    "infinite": (([-INF, INF, -3, 4], Y, ALL), (0.5, 0.5, 0.5, 0.5, [[1, 1], [1, 1]], 0.75)),
    "constant": (([1.0] * 4, Y, ALL), (0.5, 0.5, 1, 2 / 3, [[0, 2], [0, 2]], 0.5)),
    "all 0": (([0.0] * 4, Y, ALL), (0.5, 0, 0, 0, [[2, 0], [2, 0]], 0.5)),
    "one class": ((Z, [1] * 4, ALL), (0.5, 1, 0.5, 2 / 3, [[0, 0], [2, 2]], NAN)),
    "no weight": ((Z, Y, [0.0] * 4), (*NOTHING, [[0, 0], [0, 0]], NAN)),
    "NaN that weighs nothing": (([-1, 2, -3, NAN], Y, [1.0, 1, 1, 0]), (2 / 3, 1, 0.5, 2 / 3, [[1, 0], [1, 1]], 0.5)),
    "ignored": ((Z, [-1] * 4, ALL), (*NOTHING, [[0, 0], [0, 0]], NAN)),
    "one sample": ((Z, Y, [0.0, 1, 0, 0]), (1, 1, 1, 1, [[0, 0], [0, 1]], NAN)),
    "a weight that is NaN": ((Z, Y, [1.0, NAN, 1, 1]), (*NOTHING, [[NAN] * 2] * 2, NAN)),
    "a label of 2": ((Z, [0, 1, 2, 0], ALL), (*NOTHING, [[NAN] * 2] * 2, NAN)),
}


def test_yes_or_no_answers():
    metrics = [fnn.Accuracy, fnn.Precision, fnn.Recall, fnn.F1, lambda **ignored: fnn.ConfusionMatrix(2, **ignored)]
    metrics = [metric(ignore_index=-1) for metric in (*metrics, fnn.AUC)]
    program = jax.jit(lambda *data: [metric(*data) for metric in metrics])
    for name, (data, expected) in ANSWERS.items():
        check(program, data, expected, name)


# ---- classes: accuracy, the best two, recall by class, macro F1, the confusion matrix, perplexity

LABELS = [0, 1, 2, 2]
ROWS = [[3.0, 1, 0], [0, 2, 1], [1, 0, 2], [5, 0, 1]]
GONE = [NAN, 1, 2]


def rows(**changed: list[float]) -> np.ndarray:
    """The outputs with some rows changed: ``_0`` is the first."""
    return np.array([changed.get(f"_{number}", row) for number, row in enumerate(ROWS)])


def perplexity(outputs: Any, labels: Any, weights: Any) -> float:
    log_p = scipy.special.log_softmax(np.asarray(outputs, float), -1)
    each = [row[label] for row, label in zip(log_p, labels, strict=True)]
    return np.exp(-np.average(np.where(np.asarray(weights) == 0, 0, each), weights=weights))


CLASSES: dict[str, tuple[tuple, tuple]] = {
    "as they are": ((ROWS, LABELS, ALL), (0.75, 1, [1, 1, 0.5], 7 / 9, [[1, 0, 0], [0, 1, 0], [1, 0, 1]])),
    "all NaN": (([GONE] * 4, LABELS, ALL), (0, 0, [0, 0, 0], 0, np.zeros((3, 3)), NAN)),
    "one NaN": ((rows(_2=GONE), LABELS, ALL), (0.5, 0.75, [1, 1, 0], 5 / 9, [[1, 0, 0], [0, 1, 0], [1, 0, 0]], NAN)),
    "one that is infinite": ((rows(_3=[INF, 0, 1]), LABELS, ALL), (0.75, 1, [1, 1, 0.5], 7 / 9)),
    "a class that cannot be": ((rows(_0=[3, -INF, 0]), LABELS, ALL), (0.75, 1, [1, 1, 0.5], 7 / 9)),
    "constant": (([[0.0] * 3] * 4, LABELS, ALL), (0.25, 0.5, [1, 0, 0], 0.4 / 3, [[1, 0, 0], [1, 0, 0], [2, 0, 0]], 3)),
    "one class": ((ROWS, [0] * 4, ALL), (0.5, 0.75, [0.5, 0, 0], 2 / 9, [[2, 1, 1], [0, 0, 0], [0, 0, 0]])),
    "no weight": ((ROWS, LABELS, [0.0] * 4), (NAN, NAN, [NAN] * 3, NAN, np.zeros((3, 3)), NAN)),
    "NaN that weighs nothing": ((rows(_2=GONE), LABELS, [1.0, 1, 0, 1]), (2 / 3, 1, [1, 1, 0], 5 / 9)),
    "ignored": ((ROWS, [-1] * 4, ALL), (NAN, NAN, [NAN] * 3, NAN, np.zeros((3, 3)), NAN)),
    "one sample": ((ROWS, LABELS, [0.0, 0, 0, 1]), (0, 1, [0, 0, 0], 0, [[0, 0, 0], [0, 0, 0], [1, 0, 0]])),
    "a label of 3": ((ROWS, [0, 1, 3, 2], ALL), (NAN, NAN, [NAN] * 3, NAN, [[NAN] * 3] * 3, NAN)),
}
COUNTS = {"one that is infinite": INF}


def test_classes():
    metrics: list[fnn.Metric] = [fnn.Accuracy(ignore_index=-1), fnn.TopKAccuracy(2, ignore_index=-1)]
    metrics += [fnn.Recall(None, ignore_index=-1), fnn.F1("macro", ignore_index=-1)]
    metrics += [fnn.ConfusionMatrix(3, ignore_index=-1), fnn.Perplexity(ignore_index=-1)]
    program = jax.jit(lambda *data: [metric(*data) for metric in metrics])
    for name, (data, expected) in CLASSES.items():
        got = program(
            *(np.asarray(leaf, kind) for leaf, kind in zip(data, (np.float32, np.int32, np.float32), strict=True))
        )
        for which, (value, wanted) in enumerate(zip(got, expected, strict=False)):
            np.testing.assert_allclose(value, np.asarray(wanted, np.float32), rtol=1e-6, err_msg=f"{name}, {which}")
        if len(expected) < 6 and name != "one that is infinite":
            np.testing.assert_allclose(got[5], perplexity(*data), rtol=1e-6, err_msg=name)
        # Of the last outputs of all there is nothing to be sure of: infinitely unlikely, or not a number.
        assert name != "one that is infinite" or not np.isfinite(got[5])


# ---- R²

T, P = [1.0, 2, 3, 4], [1.0, 2, 3, 5]
NUMBERS: dict[str, tuple[tuple, tuple]] = {
    "as they are": ((P, T, ALL), (0.8,)),
    "all NaN": (([NAN] * 4, T, ALL), (NAN,)),
    "one NaN": (([1, 2, 3, NAN], T, ALL), (NAN,)),
    "infinite": (([1, 2, 3, INF], T, ALL), (NAN,)),
    "constant": (([2.5] * 4, T, ALL), (0,)),
    "a target that is NaN": ((P, [1, 2, 3, NAN], ALL), (NAN,)),
    "constant targets": ((P, [2.0] * 4, ALL), (0,)),
    "constant targets that are met": (([2.0] * 4, [2.0] * 4, ALL), (1,)),
    "no weight": ((P, T, [0.0] * 4), (NAN,)),
    "NaN that weighs nothing": (([1, 2, NAN, 5], [1, 2, NAN, 4], [1.0, 1, 0, 1]), (1 - 1 / (14 / 3),)),
    "one sample": ((T, T, [0.0, 1, 0, 0]), (NAN,)),
    "a weight that is NaN": ((P, T, [1.0, NAN, 1, 1]), (NAN,)),
}


def test_r2_at_once_and_one_by_one():
    metric = fnn.R2()

    @jax.jit
    def program(*data: jax.Array) -> list[jax.Array]:
        one_by_one = jax.tree.map(jnp.zeros_like, metric.update(*data))
        for place in range(4):
            one_by_one = metric.merge(one_by_one, metric.update(*(leaf[place : place + 1] for leaf in data)))
        return [metric(*data), metric.value(one_by_one)]

    for name, (data, expected) in NUMBERS.items():
        check(program, data, 2 * expected, name)


# ---- what metrics say of targets of another kind

SQUARES = {
    "labels for a column": (np.zeros((4, 1)), np.zeros(4), r"nothing is broadcast, .* \(targets\[..., None\]\)"),
    "a column of targets": (np.zeros(4), np.zeros((4, 1)), r"nothing is broadcast, .* \(outputs\[..., None\]\)"),
    "labels of classes": (np.zeros((4, 3)), np.zeros(4, int), r"for class labels use Accuracy\(\)"),
    "numbers": (np.zeros(()), np.zeros(()), r"outputs and targets \(N, …\) must have the same shape"),
}


@pytest.mark.parametrize("name", SQUARES)
def test_r2_says_what_to_do_with_targets_of_another_shape(name: str):
    outputs, targets, message = SQUARES[name]
    for ask in (fnn.R2().check, fnn.R2()):
        with pytest.raises(ValueError, match=message):
            ask(outputs, targets)


def test_a_column_of_logits_goes_with_a_column_of_labels():
    with pytest.raises(ValueError, match=r"yes-or-no answers \(N, 1\) need targets of the same shape"):
        fnn.Accuracy()(np.zeros((4, 1)), np.zeros(4, int))
    with pytest.raises(ValueError, match=r"outputs float32\[4,3\] and targets int32\[3\] do not belong together"):
        fnn.Accuracy()(np.zeros((4, 3)), np.zeros(3, int))
