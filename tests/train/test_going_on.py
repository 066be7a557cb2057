"""``fit`` says from where it resumes, what an interrupt saved and how to go on."""

import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from tests.train.test_signals import Signal, _interrupts_are_heard, _one_step_a_call  # noqa: F401

X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
OBJECTIVE = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())


def fit(*callbacks: fnn.Callback, **options: Any) -> Any:
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(0)} | options
    return fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, X), callbacks=callbacks, **options)


def printed(capfd: pytest.CaptureFixture) -> list[str]:
    """The lines of ``fit``, without those that XLA writes beside them."""
    return [line for line in capfd.readouterr().err.splitlines() if line.startswith("training")]


def said(capfd: pytest.CaptureFixture) -> list[str]:
    return [line for line in printed(capfd) if "epoch " not in line]


def test_a_run_says_where_it_was_saved_and_from_where_it_resumes(tmp_path: Path, capfd: pytest.CaptureFixture):
    fit(Signal(4, signal.SIGINT), checkpoint=tmp_path, resume=True)
    (path,) = tmp_path.glob("*.safetensors")
    assert said(capfd) == [
        f"training begins at the first step: there is no checkpoint in {tmp_path} yet",
        "training ended after 4 steps: interrupted",
        f"training is saved in {path}: the same call with resume=True goes on from there",
    ]
    fit(checkpoint=tmp_path, resume=True)
    lines = printed(capfd)
    assert lines[0] == f"training resumes after epoch 1 of 3 and 1 step (4 in all), from {path}"
    fit(checkpoint=tmp_path, resume=True)
    last = max(tmp_path.glob("*.safetensors"))
    expected = f"training resumes after epoch 3 of 3 (9 in all), from {last}; no epoch is left to train"
    assert printed(capfd)[0] == expected
    fit(checkpoint=tmp_path, resume=True, progress=False)
    assert not printed(capfd)


def test_without_a_checkpoint_an_interrupt_says_that_nothing_is_saved(capfd: pytest.CaptureFixture):
    fit(Signal(2, signal.SIGINT))
    assert said(capfd) == [
        "training ended after 2 steps: interrupted; what it learned is returned and not saved; checkpoint= saves it,"
        " and resume=True then goes on"
    ]


@pytest.mark.full
def test_a_run_that_ends_by_its_own_rule_says_nothing_of_going_on(tmp_path: Path, capfd: pytest.CaptureFixture):
    fit(early_stopping=fnn.EarlyStopping(1, monitor="loss", min_delta=1e9), checkpoint=tmp_path)
    assert said(capfd) == ["training ended after 6 steps: no better loss in 1 epochs"]
