"""A run is traced by JAX's profiler, says which steps and where, and refuses what is no folder."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.train.profile import Profile

X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]


def fit(folder: Any, **options: Any) -> Any:
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(0)} | options
    return fnn.fit(objective, fnn.optim.sgd(0.1), (X, X), profile=folder, **options)


def said(capfd: pytest.CaptureFixture) -> str:
    return capfd.readouterr().err.splitlines()[-1]


@pytest.mark.full
def test_the_second_epoch_is_traced(tmp_path: Path, capfd: pytest.CaptureFixture):
    fit(tmp_path / "trace")
    (path,) = (tmp_path / "trace").rglob("*.trace.json.gz")
    assert path.stat().st_size
    folder = tmp_path / "trace"
    assert said(capfd) == (
        f"training steps 4 to 6 are traced in {folder}: open the .trace.json.gz in there at https://ui.perfetto.dev, or"
        f" run tensorboard --logdir {folder} (with xprof installed)"
    )


def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the profiler is told, which is not started."""
    calls: list[Any] = []
    monkeypatch.setattr(jax.profiler, "start_trace", calls.append)
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stop"))
    return calls


def test_a_single_epoch_is_traced_after_its_first_call_of_steps(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)
    calls = recorded(monkeypatch)
    fit(tmp_path, epochs=1)
    assert calls == [tmp_path, "stop"]
    assert said(capfd).startswith(f"training steps 2 to 3 are traced in {tmp_path}")


def test_a_long_epoch_is_traced_for_some_seconds(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)
    monkeypatch.setattr("fnn.train.profile.SECONDS", 0.0)
    calls = recorded(monkeypatch)
    fit(tmp_path)
    assert calls == [tmp_path, "stop"]
    assert said(capfd).startswith("training steps 4 to 4 are traced in")


def test_a_run_that_cannot_be_traced_is_trained_all_the_same(
    tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def start(folder: Any) -> None:
        raise RuntimeError("Profile has already been started.")

    monkeypatch.setattr(jax.profiler, "start_trace", start)
    with pytest.warns(RuntimeWarning, match=r"the run is not traced: Profile has already been started\."):
        assert fit(tmp_path).epochs_run == 3
    assert said(capfd) == f"training left no trace in {tmp_path}"


def test_what_is_no_folder_raises(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match=r"profile is a folder, but .*file is a file"):
        fit(tmp_path / "file")
    with pytest.raises(TypeError, match="profile is the name of a file or folder, got True"):
        Profile(True)  # type: ignore[arg-type]
