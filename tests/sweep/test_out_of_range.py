"""A hyper-parameter that a constructor would refuse makes its runs NaN and never the best, and the table says why."""

import functools
import json
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from tests.sweep.swept import DATA, KEY, linear, runner
from tests.train.blobs import classifier

pytestmark = pytest.mark.full

WHY = {
    1.5: "rate is the fraction dropped and lies in [0, 1), got 1.5",
    -1.0: "rate is the fraction dropped and lies in [0, 1), got -1.0",
}
RATE = "learning_rate is a finite number of at least 0, got -1.0"


def with_dropout(h):
    return fnn.Objective(classifier(h["dropout"]), fnn.CrossEntropy())


@pytest.fixture(scope="module")
def swept():
    train = runner(with_dropout, epochs=2, metrics=[fnn.Accuracy()])
    grid: Any = {"dropout": [0.1, 1.5, -1.0], "learning_rate": [0.1, -1.0]}
    return fnn.sweep(train, KEY, DATA, validation=DATA, seeds=2, **grid)


def expected(dropout, rate):
    return RATE if dropout == 0.1 and rate == -1.0 else WHY.get(dropout)


def test_such_runs_are_nan_and_the_others_finite(swept):
    losses = np.asarray(swept.results.history["loss"])
    good = [swept.combination(run) == {"dropout": 0.1, "learning_rate": 0.1} for run in range(len(swept))]
    assert np.isfinite(losses).all(1).tolist() == good
    assert np.isnan(losses[~np.array(good), -1]).all()
    assert np.isnan(swept.results.history["validation_loss"][~np.array(good), -1]).all()


def test_the_row_says_why(swept):
    for row in swept.table().rows:
        reason = expected(row["dropout"], row["learning_rate"])
        # Where both are out of range, it is the one that is met first.
        assert row["reason"] == reason
        assert row["diverged"] == (reason is not None)


def test_so_does_the_table_in_every_form(swept, tmp_path):
    swept.to_csv(tmp_path / "sweep.csv")
    for text in (str(swept), swept.to_markdown(), (tmp_path / "sweep.csv").read_text(), swept.to_json()):
        for why in (*WHY.values(), RATE):
            assert " ".join(why.split()) in " ".join(text.split())
    assert [row["reason"] for row in json.loads(swept.to_json())] == [row["reason"] for row in swept.table().rows]


@pytest.mark.parametrize("score", ["loss", "validation_loss", "accuracy", "validation_accuracy"])
@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("at", ["final", "best"])
def test_they_are_never_the_best(swept, score, higher, at):
    best = swept.best(score, higher_is_better=higher, at=at)
    assert best.hyperparams == {"dropout": 0.1, "learning_rate": 0.1}
    assert np.isfinite(best.score)


@pytest.mark.full
def test_where_all_are_so_there_is_no_best():
    result = fnn.sweep(linear(), KEY, DATA, learning_rate=[-1.0, -2.0])
    with pytest.raises(ValueError, match="none of the 2 runs has a finite loss"):
        result.best()


@pytest.mark.parametrize(
    "wrapped",
    [
        functools.partial,
        pytest.param(lambda train: functools.partial(jax.jit(train)), marks=pytest.mark.full),
        pytest.param(lambda train: jax.jit(functools.partial(train)), marks=pytest.mark.full),
        lambda train: lambda key, data, h: train(key, data, {"learning_rate": h["learning_rate"]}),
        lambda train: jax.jit(train),
    ],
)
def test_the_reason_is_found_through_wrappers(wrapped):
    result = fnn.sweep(wrapped(linear()), KEY, DATA, seeds=2, learning_rate=[0.1, -1.0])
    assert [row["reason"] for row in result.table().rows] == [None, None, RATE, RATE]


@pytest.mark.full
def test_where_it_cannot_be_found_the_row_says_what_happened():
    run = jax.jit(linear())
    result = fnn.sweep(lambda *args: run(*args), KEY, DATA, learning_rate=[0.1, -1.0])
    assert [row["reason"] for row in result.table().rows] == [None, "loss is not finite in epoch 1"]


def test_a_run_that_blows_up_in_its_range_is_no_mistake_of_its_hyperparameters():
    train = fnn.make_train(
        fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError()), lambda h: fnn.optim.sgd(h["learning_rate"]), epochs=2,
        batch_size=16,
    )  # fmt: skip
    data = DATA[0], np.eye(3, dtype=np.float32)[DATA[1]]
    result = fnn.sweep(train, KEY, data, learning_rate=[0.01, 1e30])
    assert [row["reason"] for row in result.table().rows] == [None, "loss is not finite in epoch 1"]
    assert result.refusals == (None, None)


@pytest.mark.full
@pytest.mark.parametrize("stopping", [fnn.EarlyStopping(2, monitor="loss"), None])
def test_they_do_not_hide_behind_early_stopping_or_steps_left_out(stopping):
    train = linear(
        lambda h: fnn.optim.skip_nonfinite(fnn.optim.sgd(h["learning_rate"])), epochs=3, early_stopping=stopping
    )
    result = fnn.sweep(train, KEY, DATA, learning_rate=[0.1, -1.0])
    assert [row["reason"] for row in result.table().rows] == [None, RATE]
    assert result.best().hyperparams == {"learning_rate": 0.1}
