"""Learning curves: which entries have a panel, and pictures of one run and of several."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.train.history import History
from fnn.train.plot import panels, save_curves

KEY = jax.random.key(0)
X, Y = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32), np.arange(12) % 2


def history(**entries: Any) -> History:
    return History({name: np.asarray(values) for name, values in entries.items()}, ("accuracy",))


def is_picture(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


def test_the_loss_comes_first_and_validation_has_no_panel_of_its_own():
    found = history(accuracy=[0.5], validation_accuracy=[0.4], loss=[1.0], validation_loss=[1.1], epsilon=[2.0])
    assert panels(found) == ["loss", "accuracy", "epsilon"]


@pytest.mark.full
def test_a_run_and_several_runs_draw_their_curves(tmp_path: Path):
    objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    train = fnn.make_train(
        objective, fnn.optim.sgd(0.1), epochs=3, batch_size=6, validate_every=2, metrics=[fnn.Accuracy()]
    )

    def run(key: jax.Array) -> fnn.TrainResult:
        return train(key, (X, Y), validation=(X, Y))

    jax.jit(run)(KEY).plot(tmp_path / "one.png")
    jax.jit(jax.vmap(run))(jax.random.split(KEY, 2)).plot(tmp_path / "several.png")
    assert is_picture(tmp_path / "one.png")
    assert is_picture(tmp_path / "several.png")


def test_epochs_that_were_not_validated_and_entries_that_are_no_numbers_are_left_out(tmp_path: Path):
    matrices = np.zeros((3, 2, 2))
    found = history(loss=[3.0, 2.0, np.nan], validation_loss=[np.nan, 2.5, np.nan], confusion=matrices)
    save_curves(found, tmp_path / "curves.png")
    assert is_picture(tmp_path / "curves.png")


@pytest.mark.parametrize("found", [history(), history(loss=[]), history(confusion=np.zeros((3, 2, 2)))])
def test_nothing_to_draw_is_an_error(found: History, tmp_path: Path):
    with pytest.raises(ValueError, match="there is nothing to draw: the history holds"):
        save_curves(found, tmp_path / "curves.png")
