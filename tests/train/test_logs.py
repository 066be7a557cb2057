"""Logs show every epoch once, of the run that was last begun or resumed, and destroy no file of another kind."""

import itertools
import json
import re
import time

import jax
import numpy as np
import pytest

import fnn
from tests.drawing import drawn
from tests.train.stop_at import StopAt

X = drawn("inputs of runs with logs", 20, 3).astype(np.float32)
Y = X @ np.array([[1.0], [2.0], [-1.0]], np.float32)
OBJECTIVE = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())


@pytest.fixture(autouse=True)
def _one_step_a_call(monkeypatch):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)


def fit(*callbacks, data=(X, Y), rate=0.1, **options):
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(1), "progress": False} | options
    return fnn.fit(OBJECTIVE, fnn.optim.sgd(rate), data, callbacks=callbacks, **options)


def rows_of(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def losses_of(path):
    return np.array([row["loss"] for row in rows_of(path)], np.float32)


class Last(fnn.Callback):
    """Stands after a log and ends the run, by an interrupt, when it was told of an epoch and nobody else was."""

    def __init__(self, epoch):
        self.at = epoch

    def on_epoch(self, run):
        if run.epoch == self.at:
            raise KeyboardInterrupt


# ---- lines of JSON


class TestJsonLines:
    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "logs" / "metrics.jsonl"

    def test_they_hold_the_values_of_every_epoch(self, path):
        result = fit(fnn.JsonLines(path), validation=(X, Y))
        rows = rows_of(path)
        assert [(row["epoch"], row["steps"]) for row in rows] == [(1, 3), (2, 6), (3, 9)]
        for name, values in result.history.items():
            np.testing.assert_array_equal(np.array([row[name] for row in rows], np.float32), values)
        assert list(path.parent.iterdir()) == [path]

    def test_a_new_run_replaces_those_of_an_earlier_one_and_nan_is_null(self, path):
        fit(fnn.JsonLines(path), epochs=5)
        with pytest.warns(RuntimeWarning, match=r"the loss of epoch 1 is not finite: .*skip_nonfinite may help"):
            fit(fnn.JsonLines(path), rate=1e30)
        rows = rows_of(path)
        assert len(rows) == 3
        assert rows[-1]["loss"] is None

    def test_a_resumed_run_goes_on_with_its_own(self, path, tmp_path):
        fit(StopAt(3), fnn.JsonLines(path), checkpoint=tmp_path / "run")
        first = path.read_text()
        path.write_text(first + '{"epoch": 2, "loss": 0.5}\n{"epo')  # of an epoch that was not saved
        result = fit(fnn.JsonLines(path), checkpoint=tmp_path / "run", resume=True)
        assert path.read_text().startswith(first)
        assert [row["epoch"] for row in rows_of(path)] == [1, 2, 3]
        np.testing.assert_array_equal(losses_of(path), result.history["loss"])

    @pytest.mark.filterwarnings("ignore:the loss of epoch")
    @pytest.mark.parametrize("rate", [0.1, 1e30])
    def test_lines_that_are_missing_are_made_up_from_the_history(self, path, tmp_path, rate):
        fit(StopAt(6), fnn.JsonLines(path), checkpoint=tmp_path / "run", rate=rate)
        path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
        fit(fnn.JsonLines(path), checkpoint=tmp_path / "run", resume=True, rate=rate)
        whole = tmp_path / "whole.jsonl"
        fit(fnn.JsonLines(whole), rate=rate)
        timeless = [[row | {"time": 0} for row in rows_of(each)] for each in (path, whole)]
        assert timeless[0] == timeless[1]
        assert [row["time"] is None for row in rows_of(path)] == [True, False, False]

    def test_the_steps_of_a_missing_line_are_null_where_they_are_not_known(self, path, tmp_path):
        options = {"data": lambda epoch: iter([(X, Y)] * (1 + epoch)), "batch_size": 20, "checkpoint": tmp_path / "run"}
        fit(epochs=2, **options)
        fit(fnn.JsonLines(path), resume=True, **options)
        assert [row["steps"] for row in rows_of(path)] == [None, None, 6]

    def test_a_run_that_died_before_its_first_checkpoint_begins_its_lines_anew(self, path, tmp_path):
        with pytest.raises(ZeroDivisionError):
            fit(fnn.JsonLines(path), StopAt(8, ZeroDivisionError()), checkpoint=tmp_path / "run")
        assert len(rows_of(path)) == 2
        fit(fnn.JsonLines(path), checkpoint=tmp_path / "run", resume=True)
        assert [row["epoch"] for row in rows_of(path)] == [1, 2, 3]

    def test_lines_of_another_run_are_refused_by_one_that_is_resumed(self, path, tmp_path):
        fit(checkpoint=tmp_path / "run", epochs=2)
        fit(fnn.JsonLines(path), key=jax.random.key(2))
        before = path.read_bytes()
        with pytest.raises(ValueError, match=r"metrics.jsonl holds lines of another run \(epoch 1: loss .*, and .*\)"):
            fit(fnn.JsonLines(path), checkpoint=tmp_path / "run", resume=True)
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            (b"of another kind\n", 1),
            (b"of another kind", 1),
            (b'{"epoch": 1}\n\n{"epoch": 2}\n', 2),
            (b'{"epoch": 1}\n{"step": 2}\n', 2),
            (b'{"epoch": 1}\n[1]\n{"epoch": 2}\n', 2),
            (b'{"epoch": "1"}\n', 1),
            (b"\xff\xfe\n", 1),
            (b"[" * 100_000, 1),
            (b"\n", 1),
        ],
        ids=itertools.count(),
    )
    def test_a_file_of_another_kind_is_left_as_it_is(self, path, content, line):
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"line {line} of .*metrics.jsonl was not written by Json.*not changed"):
            fit(fnn.JsonLines(path))
        assert path.read_bytes() == content
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.parametrize(
        "content", [b"", b'{"ep', b'{"epoch": 1, "lo', b'{"epoch": 1}\n\0\0\0', b'{"epoch": 1}\n{"epoch": 2'], ids=str
    )
    def test_a_file_that_a_kill_has_cut_short_is_replaced(self, path, content):
        path.parent.mkdir()
        path.write_bytes(content)
        fit(fnn.JsonLines(path))
        assert [row["epoch"] for row in rows_of(path)] == [1, 2, 3]

    def test_what_killed_runs_left_of_unfinished_files_is_removed(self, path):
        path.parent.mkdir()
        (path.parent / f".fnn-{'0' * 16}.tmp").write_bytes(b'{"epoch"')
        fit(fnn.JsonLines(path))
        assert list(path.parent.iterdir()) == [path]


# ---- event files


def events_of(folder):
    """The events in the order in which TensorBoard reads them, checksums of their lengths aside."""
    from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
    from tensorboardX.record_writer import masked_crc32c

    found = []
    for path in sorted(path for path in folder.iterdir() if "tfevents" in path.name):
        content, at = path.read_bytes(), 0
        while at < len(content):  # length, its checksum, the event, its checksum
            length = int.from_bytes(content[at : at + 8], "little")
            record = content[at + 12 : at + 12 + length]
            assert int.from_bytes(content[at + 12 + length : at + 16 + length], "little") == masked_crc32c(record)
            found.append(Event.FromString(record))
            at += 16 + length
    return found


def shown(folder, tag="training/loss"):
    """The steps and values that TensorBoard shows: the start of a session drops all from its step on, if not the first.

    As plugin_event_accumulator.py of TensorBoard 2.21 does.
    """
    kept, sessions = [], 0
    for event in events_of(folder):
        if event.session_log.status == event.session_log.START:
            sessions += 1
            kept = [(step, value) for step, value in kept if sessions == 1 or step < event.step]
        kept += [(event.step, value.simple_value) for value in event.summary.value if value.tag == tag]
    return kept


class TestTensorBoard:
    def same(self, folder, result):
        steps = [3 * (epoch + 1) for epoch in range(result.epochs_run)]
        assert shown(folder) == list(zip(steps, result.history["loss"].tolist(), strict=True))

    def test_event_files_hold_the_values_of_every_epoch(self, tmp_path):
        result = fit(fnn.TensorBoard(tmp_path / "logs"), validation=(X, Y), metrics=[fnn.R2()])
        (path,) = (tmp_path / "logs").iterdir()
        assert re.fullmatch(r"events\.out\.tfevents\.\d{10}\..+", path.name)
        events = events_of(tmp_path / "logs")
        assert events[0].file_version == "brain.Event:2"
        assert all(abs(event.wall_time - time.time()) < 600 for event in events)
        names = {"loss": "training/loss", "r2": "training/r2"}
        names |= {f"validation_{name}": tag.replace("training", "validation") for name, tag in names.items()}
        assert {value.tag for event in events for value in event.summary.value} == set(names.values())
        for name, tag in names.items():
            steps, values = zip(*shown(tmp_path / "logs", tag), strict=True)
            assert steps == (3, 6, 9)
            np.testing.assert_array_equal(np.array(values, np.float32), result.history[name])

    def test_a_new_run_hides_an_earlier_one(self, tmp_path):
        fit(fnn.TensorBoard(tmp_path), epochs=4)
        self.same(tmp_path, fit(fnn.TensorBoard(tmp_path), epochs=2, key=jax.random.key(2)))
        assert len(list(tmp_path.iterdir())) == 2

    def test_a_run_that_died_before_its_first_checkpoint_is_hidden(self, tmp_path):
        with pytest.raises(ZeroDivisionError):
            fit(fnn.TensorBoard(tmp_path), StopAt(8, ZeroDivisionError()), checkpoint=tmp_path / "run")
        self.same(tmp_path, fit(fnn.TensorBoard(tmp_path), checkpoint=tmp_path / "run", resume=True))

    def test_events_of_other_programs_are_hidden_but_for_those_before_the_first_step(self, tmp_path):
        from tensorboardX import SummaryWriter

        with SummaryWriter(str(tmp_path)) as writer:
            for step in (0, 3, 12):
                writer.add_scalar("training/loss", -1.0, step)
        result = fit(fnn.TensorBoard(tmp_path), epochs=1)
        assert shown(tmp_path) == [(0, -1.0), (3, float(result.history["loss"][0]))]

    @pytest.mark.parametrize("at", [2, 3, 5, 6])
    def test_a_resumed_run_shows_every_epoch_once(self, tmp_path, at):
        fit(fnn.TensorBoard(tmp_path), StopAt(at), checkpoint=tmp_path / "run")
        self.same(tmp_path, fit(fnn.TensorBoard(tmp_path), checkpoint=tmp_path / "run", resume=True))

    def test_an_epoch_that_was_written_but_not_saved_is_shown_once(self, tmp_path):
        """The run is saved after the last step of the epoch, and not yet at its end."""
        fit(fnn.TensorBoard(tmp_path), Last(2), checkpoint=tmp_path / "run")
        assert [step for step, _ in shown(tmp_path)] == [3, 6]
        self.same(tmp_path, fit(fnn.TensorBoard(tmp_path), checkpoint=tmp_path / "run", resume=True))

    def test_an_epoch_is_on_the_disk_when_the_next_callback_is_told_of_it(self, tmp_path):
        """A queue in between would lose it if the process were killed, though a checkpoint counts it."""
        seen = []

        class Look(fnn.Callback):
            def on_epoch(self, run):
                seen.append([step for step, _ in shown(tmp_path)])

        fit(fnn.TensorBoard(tmp_path), Look())
        assert seen == [[3], [3, 6], [3, 6, 9]]

    def test_files_are_read_in_the_order_of_the_runs_whatever_the_clock_says(self, tmp_path, monkeypatch):
        """Many runs in a second, one when the clock was ahead, and one on a host whose name comes first."""
        for key, (clock, host) in enumerate([(1.5e9, "b"), (1.5e9, "b"), (1.9e9, "b"), (1.5e9, "b"), (1.5e9, "a")]):
            monkeypatch.setattr("fnn.train.logs.time.time", lambda clock=clock: clock)
            monkeypatch.setattr("fnn.train.logs.socket.gethostname", lambda host=host: host)
            self.same(tmp_path, fit(fnn.TensorBoard(tmp_path), epochs=1, key=jax.random.key(key)))
            assert len(list(tmp_path.iterdir())) == key + 1

    def test_it_says_what_it_needs(self, monkeypatch, tmp_path):
        monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
        with pytest.raises(ImportError, match=r'pip install "fnn\[tensorboard\]"'):
            fit(fnn.TensorBoard(tmp_path))


# ---- both


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="files cannot be locked")
@pytest.mark.parametrize("log", [fnn.JsonLines, fnn.TensorBoard])
def test_two_runs_at_once_do_not_write_one_log(tmp_path, log):
    class Another(fnn.Callback):
        def on_epoch(self, run):
            with pytest.raises(RuntimeError, match="log is in use by another run"):
                fit(log(tmp_path / "log"), epochs=1)

    fit(log(tmp_path / "log"), Another(), epochs=2)
    with pytest.raises(ZeroDivisionError):
        fit(log(tmp_path / "log"), StopAt(2, ZeroDivisionError()))
    fit(log(tmp_path / "log"))
