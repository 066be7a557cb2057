"""A save that fails or dies at any point leaves the previous checkpoint, or the whole new one.

Three ways to interrupt it, each at every point there is: every call of the system that the C library makes for it (the
call fails, or the process is killed before, during or after it); every length at which the file may stop growing; and
every line of Python that it runs (Ctrl-C, or an error). Last, what is on the disk is cut and altered itself.
"""

import collections
import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fnn.checkpoint import durable
from fnn.checkpoint import folder as folders
from fnn.checkpoint.file import load, read_metadata, save
from fnn.checkpoint.folder import CheckpointFolder

HERE = Path(__file__).parent
DRIVER = HERE / "interrupted_saves.py"
CHANGING = {"mkdir", "open", "flock", "write", "fsync", "rename", "unlink", "close"}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="processes are forked")


def drive(*arguments, **environment):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), **environment}
    command = [sys.executable, str(DRIVER), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def totals(outcomes):
    counts = collections.Counter()
    for name, count in outcomes.items():
        counts[name.split(": ")[-1]] += count
    return dict(counts)


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler")
def test_every_call_of_the_system_may_fail_or_be_the_last(quick_folder):
    library = quick_folder / "interrupted_saves.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", HERE / "interrupted_saves.c", "-o", library, "-ldl"], check=True)
    over, first, kept = drive("calls", quick_folder, LD_PRELOAD=str(library))

    writing = ["open", "flock", "write", "write", "write", "write", "fsync", "rename", "close"]
    syncing = ["open", "fsync", "close"]
    cleaning = ["open", "flock", "unlink", "close"]
    verifying = ["open", "close"]
    for result, expected in [
        (over, ["mkdir", *writing, *syncing]),
        # Two folders are made, the inner one at the second attempt, and three have a new entry.
        (first, ["mkdir", "mkdir", "mkdir", *writing, *syncing, *syncing, *syncing]),
        (kept, [*cleaning, "mkdir", *writing, *syncing, *verifying, "unlink"]),
    ]:
        calls, outcomes = result["calls"], totals(result["outcomes"])
        assert [name for name in calls if name in CHANGING] == expected
        # Each call fails, dies before and dies after; each write moreover writes half, and dies having done so.
        points = 3 * len(calls) + 2 * 4
        assert sum(outcomes.values()) == points
        print(f"{result['scenario']}: {points} points, {len(calls)} calls: {outcomes}")
        assert result["faults"] == []
        assert set(outcomes) == {"OSError, old", "OSError, new", "killed, old", "killed, new", "done, new"}


@pytest.mark.parametrize("step", [pytest.param(2048, marks=pytest.mark.full), pytest.param(16, marks=pytest.mark.slow)])
def test_the_file_may_stop_growing_at_any_length(quick_folder, step):
    """As on a full disk; then with the signal that kills the process in the middle of a write."""
    for result, outcome in zip(drive("limits", quick_folder, step), ("OSError, old", "killed, old"), strict=True):
        assert result["faults"] == []
        count = len(range(0, result["size"] - 3, step)) + 3
        assert result["outcomes"] == {outcome: count, "done, new": 2}
        assert count > 40
        print(f"{result['action']}: {count} lengths of {result['size']} bytes: {outcome}")


class TestEveryLine:
    """Of Python: an exception is raised before it runs, as Ctrl-C does, and as an error in it would."""

    FILES = (durable.__file__, folders.__file__)

    def run(self, work, fail_at, exception):
        """The functions whose lines were run, until the exception was raised at one of them."""
        names, this_thread = [], []

        def trace(frame, event, _):
            if frame.f_code.co_filename not in self.FILES:
                return None
            if event == "line" and not this_thread:
                names.append(frame.f_code.co_name)
                if len(names) - 1 == fail_at:
                    this_thread.append("raised")  # the lines that clean up run undisturbed
                    raise exception
            return trace

        previous = sys.gettrace()
        sys.settrace(trace)
        try:
            work()
        finally:
            sys.settrace(previous)
        return names

    # Between the end of a with block and its exit nothing but the collection of the file closes it.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("exception", [KeyboardInterrupt, OSError], ids=["interrupt", "error"])
    def test_the_previous_checkpoint_or_the_new_one_is_whole(self, quick_folder, exception):
        old, new = ({"a": np.full(3, n), "n": n} for n in (1, 2))
        folder = CheckpointFolder(quick_folder / "whole", keep_last=1)
        folder.save(1, old)
        names = self.run(lambda: folder.save(2, new), -1, exception)
        assert {"save", "remove_abandoned", "write", "_replacing", "_locked", "_sync_folder"} <= set(names)
        assert len(names) > 80
        found = collections.Counter()
        for fail_at in range(len(names)):
            place = quick_folder / str(fail_at)
            folder = CheckpointFolder(place, keep_last=1)
            folder.save(1, old)
            folder = CheckpointFolder(place, keep_last=1)
            folder._scores[folders._key(folder.paths()[0])] = folders.Score(float("nan"))
            raised = False
            try:
                self.run(lambda folder=folder: folder.save(2, new), fail_at, exception("here"))
            except (exception, UserWarning):
                raised = True
            latest = CheckpointFolder(place).latest()
            assert latest is not None
            n = load(latest, old)["n"]
            np.testing.assert_array_equal(load(latest, old)["a"], np.full(3, n))
            assert raised or n == 2, fail_at
            assert [path for path in place.iterdir() if path.name.startswith(".")] == []
            found[n, raised] += 1
        gc.collect()  # here, where it is known, and not in another test
        print(f"{exception.__name__}: {sum(found.values())} lines: {dict(found)}")
        assert found[1, True] > 30
        assert found[2, True] > 10


class TestOnTheDisk:
    def test_cut_at_every_512_bytes(self, quick_folder, random):
        tree = {f"layer_{n}": random(60, 100 + n) for n in range(8)}
        folder = CheckpointFolder(quick_folder)
        for step in (1, 2):
            path = folder.save(step, tree)
        content = path.read_bytes()
        lengths = range(0, len(content), 512)
        assert len(content) > 390_000
        assert len(lengths) > 760
        for length in lengths:
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match=r"^checkpoint .*step_000000002\.safetensors is damaged: "):
                load(path, tree)
            if length % (512 * 64) == 0:
                with pytest.warns(UserWarning, match="step_000000002"):
                    assert folder.latest() == folder.paths()[0]
        path.write_bytes(content)
        assert folder.latest() == path

    def test_every_byte_altered_in_every_way(self, quick_folder):
        path = save(quick_folder / "model", {"é": np.arange(2, dtype=np.int16)}, {"a": 1})
        content = path.read_bytes()
        seen = 0
        with open(path, "r+b", buffering=0) as file:
            for position, byte in enumerate(content):
                for other in set(range(256)) - {byte} if position % 8 == 0 else {byte ^ 1, byte ^ 0x20, byte ^ 0x80}:
                    file.seek(position)
                    file.write(bytes([other]))
                    with pytest.raises(ValueError, match=r"^checkpoint .*model is damaged: "):
                        read_metadata(path)
                    seen += 1
                file.seek(position)
                file.write(bytes([byte]))
        assert read_metadata(path) == {"a": 1}
        assert seen == 255 * len(range(0, len(content), 8)) + 3 * (len(content) - len(range(0, len(content), 8)))
