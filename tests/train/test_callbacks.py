"""Callbacks look at a run between its steps, change it and stop it; an interrupt leaves what was learned."""

import functools
import math

import jax
import numpy as np
import pytest

import fnn
from tests.comparing import same
from tests.drawing import drawn
from tests.train.stop_at import StopAt

X = drawn("inputs of runs with callbacks", 20, 3).astype(np.float32)
Y = X @ np.array([[1.0], [2.0], [-1.0]], np.float32)
OBJECTIVE = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(1)), fnn.MeanSquaredError())


@pytest.fixture(autouse=True)
def _one_step_a_call(monkeypatch):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)


def fit(*callbacks, data=(X, Y), **options):
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(1), "progress": False} | options
    return fnn.fit(OBJECTIVE, options.pop("optimizer", fnn.optim.sgd(0.1)), data, callbacks=callbacks, **options)


@functools.cache
def one_epoch():
    return fit(epochs=1)


class Diary(fnn.Callback):
    def __init__(self):
        self.lines = []

    def on_start(self, run):
        self.lines.append("start")

    def on_steps(self, run):
        self.lines.append((run.epoch, run.step, run.steps))

    def on_epoch(self, run):
        self.lines.append(f"epoch {run.epoch} {run.step}")

    def on_end(self, run):
        self.lines.append(f"end {run.ending}")


def test_callbacks_are_told_of_every_moment():
    diary = Diary()
    fit(diary, epochs=2)
    assert diary.lines == [
        "start", (0, 1, 1), (0, 2, 2), (0, 3, 3), "epoch 1 0", (1, 1, 4), (1, 2, 5), (1, 3, 6), "epoch 2 0", "end ",
    ]  # fmt: skip


@pytest.mark.full
def test_a_callback_sees_the_history_and_the_parameters():
    seen = {}

    class Look(fnn.Callback):
        def on_epoch(self, run):
            seen.update(run.values)
            seen["history"], seen["params"] = run.history["loss"], run.params

    result = fit(Look())
    assert seen["loss"] == result.history["loss"][-1]
    np.testing.assert_array_equal(seen["history"], result.history["loss"])
    same(seen["params"], result.params)


def test_a_callback_stops_a_run_between_steps():
    diary = Diary()
    result = fit(StopAt(4), diary)
    assert result.epochs_run == 1
    assert len(result.history["loss"]) == 1
    assert diary.lines[-2:] == [(1, 1, 4), "end that is enough"]


def test_a_callback_changes_the_learning_rate():
    class Stand(fnn.Callback):
        def on_epoch(self, run):
            run.opt_state = fnn.optim.set_hyperparams(run.opt_state, learning_rate=0.0)

    same(fit(Stand()).params, one_epoch().params)


def test_an_error_in_a_callback_ends_the_run_and_tells_the_others():
    diary = Diary()
    with pytest.raises(ZeroDivisionError):
        fit(diary, StopAt(2, ZeroDivisionError()))
    assert diary.lines[-1] == "end "


def test_an_interrupt_returns_what_was_learned():
    diary = Diary()
    result = fit(diary, StopAt(4, KeyboardInterrupt()))
    assert result.epochs_run == 1
    assert diary.lines[-2:] == [(1, 1, 4), "end interrupted"]


def test_callbacks_are_objects_of_callback():
    with pytest.raises(TypeError, match="callbacks holds objects of Callback, got 'diary'"):
        fit("diary")
    with pytest.raises(TypeError, match=r"callbacks holds objects of Callback, got <class"):
        fit(Diary)


def test_progress_tells_rates_and_why_a_run_ended(capsys):
    fit(StopAt(4), progress=True, epochs=2)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("training  epoch 1/2  ")
    assert " samples/s  loss " in lines[0]
    assert lines[-1] == "training ended after 4 steps: that is enough"
    assert not math.isnan(float(lines[0].split("loss ")[1]))


def test_early_stopping_ends_a_run_with_a_reason(capsys):
    result = fit(progress=True, epochs=20, early_stopping=fnn.EarlyStopping(2, min_delta=100.0, monitor="loss"))
    assert result.epochs_run == 3
    assert capsys.readouterr().err.splitlines()[-1].endswith("no better loss in 2 epochs")
