"""A run that is killed at any moment and resumed ends with the bits of one that was not."""

import functools
import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.metrics import Metric
from tests.comparing import same
from tests.drawing import drawn
from tests.train.stop_at import StopAt

ROOT = Path(__file__).parents[2]
X = drawn("inputs of runs that are resumed", 20, 3).astype(np.float32)
Y = X @ np.array([[1.0], [2.0], [-1.0]], np.float32)
VALIDATED = {"validation": (X, Y)}
OBJECTIVE = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Dropout(0.1), fnn.Dense(1)), fnn.MeanSquaredError())


@pytest.fixture(autouse=True)
def _one_step_a_call(monkeypatch):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)


def fit(checkpoint=None, *callbacks, data=(X, Y), **options):
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(1), "progress": False} | options
    optimizer = options.pop("optimizer", fnn.optim.momentum(0.03))
    return fnn.fit(OBJECTIVE, optimizer, data, callbacks=callbacks, checkpoint=checkpoint, **options)


@functools.cache
def undisturbed(*, validated=False):
    return fit(**(VALIDATED if validated else {}))


def always(folder, **options):
    return fnn.Checkpoints(folder, every_seconds=0.0, **options)


def killed_runs(folder, kind, steps, by=signal.SIGKILL):
    """The result's file of a run that is killed after each of these steps, and how many kills it took."""
    kills, result = 0, folder / "result.safetensors"
    for step in [*steps, sys.maxsize]:
        script = Path(__file__).with_name("killed_run.py")
        command = [sys.executable, script, folder / "run", kind, step, result, by.name]
        process = subprocess.run(
            list(map(str, command)), cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True
        )
        assert process.returncode in (0, -by), process.stderr
        kills += process.returncode != 0
        if process.returncode == 0:
            break
    return result.read_bytes(), kills


@pytest.mark.full
@pytest.mark.parametrize(("kind", "by"), [("arrays", signal.SIGTERM), ("batches", signal.SIGKILL)])
def test_a_killed_run_ends_with_the_same_bits(tmp_path, kind, by):
    undisturbed, none = killed_runs(tmp_path / "undisturbed", kind, [])
    content, kills = killed_runs(tmp_path / "killed", kind, [2, 15], by)
    assert (none, kills) == (0, 2)
    assert content == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["arrays", "batches"])
def test_a_run_killed_at_twenty_random_steps_ends_with_the_same_bits(tmp_path, kind, by):
    undisturbed, _ = killed_runs(tmp_path / "undisturbed", kind, [])
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    generator, total = random.Random(seed), 0
    for chain in range(4):  # four runs, each killed up to seven times: the next kill is later than the one before
        steps = sorted(generator.sample(range(1, 34), 7))
        content, kills = killed_runs(tmp_path / f"killed_{chain}", kind, steps, by)
        total += kills
        assert content == undisturbed
    print(f"{total} kills")
    assert total >= 20


# After the first step, after an epoch, inside the second and the third.
@pytest.mark.parametrize("at", [pytest.param(at, marks=() if at == 4 else pytest.mark.full) for at in (1, 3, 4, 8)])
def test_a_stopped_run_goes_on_where_it_stood(tmp_path, at):
    folder = tmp_path / "run"
    fit(folder, StopAt(at), **VALIDATED)
    same(fit(folder, resume=True, **VALIDATED), undisturbed(validated=True))


def test_an_interrupt_saves(tmp_path):
    fit(tmp_path, StopAt(5, KeyboardInterrupt()))
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors"] == ["step_000000005.safetensors"]
    same(fit(tmp_path, resume=True), undisturbed())


def test_a_finished_run_is_resumed_for_more_epochs(tmp_path):
    fit(tmp_path, epochs=2)
    same(fit(tmp_path, resume=True, epochs=3), undisturbed())
    again = fit(tmp_path, StopAt(0, AssertionError("no step is left")), resume=True)
    same(again, undisturbed())


@pytest.mark.full
def test_early_stopping_goes_on_with_its_patience(tmp_path):
    options = {"epochs": 9, "early_stopping": fnn.EarlyStopping(3, min_delta=100.0, monitor="loss")}
    fit(tmp_path, StopAt(7), **options)
    resumed = fit(tmp_path, resume=True, **options)
    assert resumed.epochs_run == 4
    same(resumed, fit(**options))


@pytest.mark.full
def test_the_best_epochs_stay(tmp_path):
    worse = fnn.optim.sgd(lambda step: jnp.where(step < 9, 0.1, -0.01))  # up the slope from there on
    result = fit(always(tmp_path, keep_last=1, keep_best=2, monitor="loss"), epochs=6, optimizer=worse)
    best = np.argsort(result.history["loss"])[:2]
    assert 5 not in best
    steps = {int(path.stem.removeprefix("step_")) for path in tmp_path.glob("step_*")}
    assert steps == {18, *(3 * (int(epoch) + 1) for epoch in best)}


def test_nothing_is_saved_before_its_time(tmp_path):
    class Count(fnn.Callback):
        def on_epoch(self, run):
            assert not list(tmp_path.glob("step_*"))

    fit(fnn.Checkpoints(tmp_path, every_seconds=1e6), Count())
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".safetensors"] == ["step_000000009.safetensors"]


def augment(key, inputs):
    return inputs + jax.random.normal(key, inputs.shape)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    fit(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=r"holds checkpoints of a run, step_000000003.* the last: write resume=True"):
        fit(tmp_path)
    with pytest.raises(ValueError, match="of a run with another key"):
        fit(tmp_path, resume=True, key=jax.random.key(2))
    for options, line in (
        ({"batch_size": 5}, "batch_size: 8, now 5"),
        ({"validation": (X, Y)}, "validation data: None, now 20 samples of .*"),
        ({"optimizer": fnn.optim.momentum(0.01)}, r"optimizer: momentum\(0.03\), now momentum\(0.01\)"),
        ({"optimizer": fnn.optim.nesterov(0.03)}, r"optimizer: momentum\(0.03\), now nesterov\(0.03\)"),
        ({"data": (X + 1, Y)}, "data: the values of inputs differ"),
        ({"data": (X[:19], Y[:19])}, "data: 20 samples of .*, now 19 samples of .*"),
        ({"shuffle": False}, "shuffle: True, now False"),
        ({"method": "auto"}, "method: .*manual.*, now .*auto.*"),
        ({"evaluate_averaged": False}, "evaluate_averaged: True, now False"),
        ({"metrics": [fnn.R2()]}, r"metrics: .*, now .*R2.*"),
        ({"validate_every": 2}, "validate_every: 1, now 2"),
        ({"early_stopping": fnn.EarlyStopping(2, monitor="loss")}, "early_stopping: None, now EarlyStopping.*"),
        ({"augment": augment}, "augment: None, now .*"),
    ):
        with pytest.raises(ValueError, match=rf"of another run \({line}\); .*resume='force' resumes it anyway"):
            fit(tmp_path, resume=True, **options)
    fit(tmp_path / "two", epochs=2)
    with pytest.raises(ValueError, match="was saved after 2 epochs, more than the 1 of this run"):
        fit(tmp_path / "two", resume=True, epochs=1)


def test_another_loss_or_another_activation_is_refused(tmp_path):
    fit(tmp_path, epochs=1)
    other = fnn.Objective(OBJECTIVE.model, fnn.MeanAbsoluteError())
    with pytest.raises(ValueError, match=r"\(loss: MeanSquaredError\(\), now MeanAbsoluteError\(\)\)"):
        fnn.fit(
            other, fnn.optim.momentum(0.03), (X, Y), epochs=3, batch_size=8, key=jax.random.key(1),
            checkpoint=tmp_path, resume=True, progress=False,
        )  # fmt: skip


def test_force_goes_on_with_another_run_and_says_so(tmp_path):
    fit(tmp_path, StopAt(4))
    changed = {"optimizer": fnn.optim.momentum(0.01), "validation": (X, Y), "key": jax.random.key(2)}
    with pytest.warns(UserWarning, match=r"of another run: optimizer: .*; validation data: .*history/validation_loss"):
        result = fit(tmp_path, resume="force", **changed)
    assert result.epochs_run == 3
    assert np.isnan(result.history["validation_loss"]).tolist() == [True, False, False]
    assert np.isfinite(result.history["loss"]).all()


@pytest.mark.full
def test_force_takes_other_metrics_and_says_so(tmp_path):
    fit(tmp_path, StopAt(4))  # in the second epoch
    with pytest.warns(UserWarning, match=r"of another run: metrics: .*; not restored: .*totals/r2/mean/high"):
        result = fit(tmp_path, resume="force", metrics=[fnn.R2()])
    assert np.isnan(result.history["r2"]).tolist() == [True, False, False]


@pytest.mark.full
def test_the_sums_of_metrics_go_on_where_they_were(tmp_path):
    metrics = [fnn.R2(), fnn.AUC(5)]
    data = (X, (Y > 0).astype(np.float32))
    fit(tmp_path, StopAt(5), data=data, metrics=metrics)
    same(fit(tmp_path, resume=True, data=data, metrics=metrics), fit(data=data, metrics=metrics))


def test_force_does_not_take_another_model(tmp_path):
    fit(tmp_path, StopAt(4))
    with pytest.raises(ValueError, match=r"does not hold what this run learns: opt_state/"):
        fit(tmp_path, resume="force", optimizer=fnn.optim.adam(0.1))
    with pytest.raises(ValueError, match="resume is True, False or 'force', got 'yes'"):
        fit(tmp_path, resume="yes")


def test_a_checkpoint_of_an_earlier_fnn_is_refused_by_version_and_can_be_forced(tmp_path):
    def place(run):
        return {"epoch": run.epoch, "step": run.step, "steps": run.steps, "setting": {"learning_rate": 0.03}}

    def tree(run):
        rest = {"totals": run.standing.totals, "watch": None, "history": run.history if run.epoch else {}}
        return {"key": run.key, "learned": run.learned, **rest}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fnn.train.saving.place_of", place)
        patch.setattr("fnn.train.saving.tree_of", tree)
        fit(tmp_path, StopAt(4))
    with pytest.raises(ValueError, match=r"was saved by an earlier fnn.*resume='force' resumes it anyway"):
        fit(tmp_path, resume=True)
    with pytest.warns(UserWarning, match="format None, now 2"):
        same(fit(tmp_path, resume="force"), undisturbed())


def test_what_cannot_be_compared_is_told_once(tmp_path):
    import threading

    lock = threading.Lock()

    def locked(key, inputs):
        with lock:
            return inputs

    fit(tmp_path, StopAt(4), augment=locked)
    with pytest.warns(UserWarning, match=r"could not be checked for augment: 'lock'.*_thread.lock") as caught:
        fit(tmp_path, resume=True, augment=locked)
    assert len(caught) == 1


class Interrupt(fnn.Callback):
    def __init__(self, epoch):
        self.at = epoch

    def on_epoch(self, run):
        if run.epoch == self.at:
            raise KeyboardInterrupt


class HalveTheRate(fnn.Callback):
    def on_epoch(self, run):
        rate = fnn.optim.hyperparams(run.opt_state)["learning_rate"]
        run.opt_state = fnn.optim.set_hyperparams(run.opt_state, learning_rate=rate / 2)


def test_an_interrupt_among_callbacks_is_made_up_for(tmp_path):
    lines = [tmp_path / "one.jsonl", tmp_path / "other.jsonl"]
    fit(tmp_path / "run", Interrupt(2), HalveTheRate(), fnn.JsonLines(lines[0]))
    resumed = fit(tmp_path / "run", HalveTheRate(), fnn.JsonLines(lines[0]), resume=True)
    same(resumed, fit(None, HalveTheRate(), fnn.JsonLines(lines[1])))
    rows = [[json.loads(line) for line in path.read_text().splitlines()] for path in lines]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]


def test_what_a_callback_changes_at_the_end_is_saved(tmp_path):
    class Seven(fnn.Callback):
        def on_end(self, run):
            run.params = jax.tree.map(lambda leaf: jnp.full_like(leaf, 7), run.params)

    result = fit(tmp_path, Seven())
    assert (result.params["dense_0"]["kernel"] == 7).all()
    same(fit(tmp_path, resume=True), result)


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        fit(tmp_path / "file" / "run", StopAt(1, AssertionError("a step was taken")))
    with pytest.raises(NotADirectoryError, match=r"checkpoint is a folder, but .*file is a file"):
        fit(tmp_path / "file", StopAt(1, AssertionError("a step was taken")))


def test_a_save_that_fails_is_a_warning(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr("fnn.checkpoint.folder.save", full)
    with pytest.warns(UserWarning, match="step 9 of the run could not be saved: no space left"):
        same(fit(tmp_path), undisturbed())


def test_checkpoints_are_no_callback(tmp_path):
    with pytest.raises(ValueError, match=r"write fit\(…, checkpoint=Checkpoints\(…\)\)"):
        fit(None, fnn.Checkpoints(tmp_path))


def test_a_file_that_fit_did_not_write_is_refused(tmp_path):
    fnn.save(tmp_path / "step_000000001.safetensors", {"a": jnp.ones(3)})
    with pytest.raises(ValueError, match=r"step_000000001.safetensors was not saved by fit"):
        fit(tmp_path, resume=True)


def test_a_damaged_last_checkpoint_is_passed_over(tmp_path):
    fit(always(tmp_path, keep_last=3), StopAt(5))
    last = tmp_path / "step_000000005.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="step_000000005.safetensors"):
        resumed = fit(tmp_path, resume=True)
    same(resumed, undisturbed())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"resume": True}, "resume needs a checkpoint to resume from: give checkpoint="),
        (
            {"checkpoint": lambda folder: fnn.Checkpoints(folder, keep_best=1)},
            "chosen by 'validation_loss', but the numbers in the history are",
        ),
        ({"checkpoint": lambda folder: fnn.Checkpoints(folder, roll_back_after=2)}, "needs fnn.optim.skip_nonf"),
        ({"checkpoint": lambda folder: fnn.Checkpoints(folder, roll_back_after=0)}, "roll_back_after is at least 1"),
        ({"checkpoint": lambda folder: fnn.Checkpoints(folder, every_seconds=-1)}, "every_seconds is at least 0, got"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        fit(**{name: make(tmp_path) if callable(make) else make for name, make in options.items()})


class Spoil(fnn.Callback):
    """Makes what was learned finite but useless at a step: every later step overflows."""

    def __init__(self, at):
        self.at = at

    def on_steps(self, run):
        if run.steps in self.at:
            run.params = jax.tree.map(lambda leaf: leaf + 1e30, run.params)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:the loss of epoch")
@pytest.mark.parametrize("at", [5, 6, 7])
def test_bad_steps_in_a_row_roll_the_run_back(tmp_path, at):
    skipping = {"optimizer": fnn.optim.skip_nonfinite(fnn.optim.sgd(0.1)), "epochs": 6}
    rolled = fit(always(tmp_path, roll_back_after=2), Spoil({at}), **skipping)
    without = fit(None, Spoil({at}), **skipping)
    assert not np.isfinite(without.history["loss"][-1]) or abs(without.params["dense_0"]["kernel"]).max() > 1e29
    assert abs(rolled.params["dense_0"]["kernel"]).max() < 10
    assert np.isfinite(rolled.history["loss"][-1])
    assert int(rolled.opt_state.in_a_row) == 0


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:the loss of epoch")
def test_a_run_that_no_checkpoint_mends_is_given_up(tmp_path):
    skipping = {"optimizer": fnn.optim.skip_nonfinite(fnn.optim.sgd(0.1)), "epochs": 6}
    with pytest.raises(RuntimeError, match="2 steps in a row were not finite, and there is no earlier checkpoint"):
        fit(always(tmp_path, roll_back_after=2), Spoil(set(range(1, 30))), **skipping)


def test_an_epoch_that_was_not_validated_is_never_the_best_checkpoint(tmp_path):
    """A count has no NaN: the -1 that stood for it was the best of all."""

    class Mistakes(Metric):
        name = "mistakes"
        higher_is_better = False

        def update(self, outputs, targets, weights=None):
            return (abs(outputs - targets) > 1e-3).sum()

        def value(self, sums):
            return sums

    x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    best = fnn.Checkpoints(tmp_path, keep_best=1, keep_last=1, monitor="validation_mistakes")
    fnn.fit(
        fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError()), fnn.optim.sgd(0.1), (x, x), epochs=3, batch_size=4,
        key=jax.random.key(0), validation=(x, x), validate_every=2, metrics=[Mistakes()], checkpoint=best,
        progress=False,
    )  # fmt: skip
    path = fnn.CheckpointFolder(tmp_path).best()
    assert path is not None
    assert path.name == "step_000000004.safetensors"
