"""The history as a table: what it says of one run and of several, which epoch is best, and where it prints."""

import io
import sys

import jax
import numpy as np
import pytest

import fnn
from fnn.train.history import History
from fnn.train.result import TrainResult

NAN = float("nan")
ONE = History(
    {
        "accuracy": np.array([0.25, 0.5, 0.75]),
        "confusion_matrix": np.ones((3, 2, 2)),
        "loss": np.array([1.25, 0.123456, NAN]),
        "validation_accuracy": np.array([NAN, 0.5, 0.625]),
        "validation_loss": np.array([NAN, 0.75, 1.5]),
    },
    higher=["accuracy"],
)


def of(history: History, epochs_run: object = 3) -> TrainResult:
    return TrainResult({}, {}, (), history, epochs_run)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if any(sign.isdigit() for sign in line)]


def test_a_row_an_epoch_with_the_best_marked():
    text = of(ONE).table()
    assert text.splitlines()[0].split() == ["epoch", "loss", "validation", "loss", "accuracy", "validation", "accuracy"]
    assert rows(text) == [
        ["1", "1.25", "–", "0.25", "–"],
        ["*", "2", "0.1235", "0.75", "0.5", "0.5"],
        ["3", "nan", "1.5", "0.75", "0.625"],
    ]
    assert text.endswith("* the lowest validation loss")
    assert rows(of(ONE).table("validation_accuracy"))[2][0] == "*"
    assert of(ONE).table("validation_accuracy").endswith("* the highest validation accuracy")


def test_epochs_after_an_early_stop_are_left_out():
    assert len(rows(of(ONE, np.int32(2)).table())) == 2


def test_several_runs_are_their_mean_and_range():
    history = History({"loss": np.array([[4.0, 2.0, 7.0], [2.0, 1.0, NAN]])})
    text = of(history, np.array([3, 2])).table()
    expected = ["1 3", "2 to 4", "* 2 1.5", "1 to 2", "3 7", "7 to 7"]
    assert [" ".join(row) for row in rows(text)[:-1]] == expected
    assert text.endswith("* the lowest mean loss\nmeans of 2 runs, with the lowest and the highest below")
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_that_diverged_makes_the_mean_nan():
    history = History({"loss": np.array([[4.0, 2.0], [2.0, NAN]]), "validation_loss": np.array([[NAN, 1.0]] * 2)})
    text = of(history, np.array([2, 2])).table("loss")
    assert [" ".join(row) for row in rows(text)[:-1]] == ["* 1 3 –", "2 to 4", "2 nan 1", "2 to 2 1 to 1"]


def test_a_run_without_a_finite_score_has_no_best():
    text = of(History({"loss": np.array([NAN, NAN])}), 2).table()
    assert rows(text) == [["1", "nan"], ["2", "nan"]]
    assert text.endswith("no finite loss")


@pytest.mark.parametrize("runs", [1, 3])
def test_many_entries_stay_within_80_columns(runs: int):
    names = [
        f"{kind}{name}" for name in ("loss", "accuracy", "a_rather_long_name", "f1") for kind in ("", "validation_")
    ]
    values = np.random.default_rng(0).normal(size=(runs, 12)) * 1e-9
    history = History(dict.fromkeys(names, values if runs > 1 else values[0]))
    text = of(history, np.full(runs, 12) if runs > 1 else 12).table()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("epoch") == (2 if runs == 1 else 3)
    assert f"{values[0, 0] if runs == 1 else values[:, 0].mean():.4g}" in text


def test_the_outputs_that_metrics_judge_are_named_in_full():
    names = ("loss", "accuracy/kind", "f1_macro/kind", "r2/size", "validation_f1_macro/kind", "validation_r2/size")
    text = of(History({name: np.ones(2) for name in names}), 2).table()
    assert (text.count("kind"), text.count("size"), "…" in text) == (3, 2, False)


def test_it_prints_where_there_is_only_ascii(monkeypatch: pytest.MonkeyPatch):
    page = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", page)
    print(of(ONE).table())
    page.flush()
    assert b"* 2" in page.buffer.getvalue()  # type: ignore[attr-defined]


def test_a_table_of_nothing_raises():
    with pytest.raises(ValueError, match="there is nothing to show: the history holds no entries"):
        of(History(), 0).table()
    with pytest.raises(ValueError, match="score is one of accuracy, loss, validation_accuracy, validation_loss, got"):
        of(ONE).table("f1")


@pytest.mark.full
def test_the_table_of_a_run_of_fit():
    data = np.ones((4, 1), np.float32), np.ones((4, 1), np.float32)
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    result = fnn.fit(objective, fnn.optim.sgd(0.1), data, epochs=2, batch_size=4, key=jax.random.key(0), progress=False)
    assert rows(result.table())[1][:2] == ["*", "2"]
