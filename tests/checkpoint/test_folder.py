"""What a folder of checkpoints keeps, what it finds again, and what it never touches."""

import math
import re
from typing import Any

import numpy as np
import pytest

from fnn.checkpoint import durable
from fnn.checkpoint import folder as folders
from fnn.checkpoint.file import load, read_metadata, save
from fnn.checkpoint.folder import CheckpointFolder


def tree_of(step):
    return {"weights": np.full(5, step, np.float32), "step": step}


def steps(folder):
    return [load(path, tree_of(0))["step"] for path in folder.paths()]


def newest(folder):
    path = folder.latest()
    assert path is not None
    return path


def damage(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def fill(folder, scores):
    for step, score in scores.items():
        folder.save(step, tree_of(step), score=score)


class TestKept:
    def test_the_last(self, tmp_path):
        for keep_last in (1, 2, 3):
            folder = CheckpointFolder(tmp_path / str(keep_last), keep_last=keep_last)
            for step in range(1, 6):
                assert folder.save(step, tree_of(step)) == folder.latest()
                assert steps(folder) == list(range(max(1, step - keep_last + 1), step + 1))

    @pytest.mark.parametrize(
        ("options", "kept", "best"),
        [
            ({"keep_best": 1}, [2, 6], 2),
            ({"keep_best": 2}, [2, 4, 6], 2),
            ({"keep_best": 3}, [1, 2, 4, 6], 2),
            ({"keep_best": 9}, [1, 2, 4, 5, 6], 2),
            ({"keep_best": 1, "higher_is_better": True}, [5, 6], 5),
            ({"keep_best": 2, "higher_is_better": True}, [1, 5, 6], 5),
            ({"keep_best": 0}, [6], None),
        ],
        ids=str,
    )
    @pytest.mark.parametrize(("restart", "not_finite"), [(False, math.nan), (True, math.inf), (True, -math.inf)])
    def test_the_best(self, tmp_path, options, kept, best, restart, not_finite):
        """Step 4 has the score of step 2, step 3 none that is finite, step 6 none at all."""
        scores = {1: 0.5, 2: 0.1, 3: not_finite, 4: 0.1, 5: 0.9, 6: None}
        folder = CheckpointFolder(tmp_path, keep_last=1, **options)
        for step, score in scores.items():
            folder = CheckpointFolder(tmp_path, keep_last=1, **options) if restart else folder
            folder.save(step, tree_of(step), score=score)
        assert steps(folder) == kept
        found = CheckpointFolder(tmp_path, **options).best()
        assert (found and load(found, tree_of(0))["step"]) == best

    def test_a_step_saved_again_replaces_its_checkpoint_and_score(self, tmp_path):
        folder = CheckpointFolder(tmp_path, keep_last=1, keep_best=1)
        fill(folder, {1: 0.1, 2: 0.2})
        assert steps(folder) == [1, 2]
        folder.save(2, tree_of(2) | {"weights": np.zeros(5, np.float32)}, score=0.05)
        assert steps(folder) == [2]
        assert load(newest(folder), tree_of(2))["weights"].sum() == 0

    def test_a_new_one_is_durable_before_an_old_one_goes(self, tmp_path, monkeypatch):
        folder, calls = CheckpointFolder(tmp_path, keep_last=1), []
        folder.save(1, tree_of(1))

        def noting(name, function):
            return lambda *args, **options: (calls.append(name), function(*args, **options))[1]

        for module, name in [(durable.os, "fsync"), (durable.os, "replace"), (folders.Path, "unlink")]:
            monkeypatch.setattr(module, name, noting(name, getattr(module, name)))
        folder.save(2, tree_of(2))
        assert calls == ["fsync", "replace", "fsync", "unlink"]

    def test_a_removal_that_fails_is_a_warning(self, tmp_path, monkeypatch):
        folder = CheckpointFolder(tmp_path, keep_last=1)
        folder.save(1, tree_of(1))

        def fail(path, missing_ok=False):
            raise PermissionError(13, "no", str(path))

        with monkeypatch.context() as patch:
            patch.setattr(folders.Path, "unlink", fail)
            with pytest.warns(UserWarning, match=r"step_000000001\.safetensors could not be removed: .*no"):
                path = folder.save(2, tree_of(2))
        assert folder.latest() == path
        assert steps(folder) == [1, 2]
        folder.save(3, tree_of(3))
        assert steps(folder) == [3]

    def test_a_save_that_fails_removes_nothing(self, tmp_path, monkeypatch):
        folder = CheckpointFolder(tmp_path, keep_last=1)
        first = folder.save(1, tree_of(1))
        monkeypatch.setattr(durable.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match=r"full: .*step_000000002\.safetensors"):
            folder.save(2, tree_of(2))
        assert list(tmp_path.iterdir()) == [first]

    def test_metadata_comes_back_with_the_score(self, tmp_path):
        folder = CheckpointFolder(tmp_path)
        metadata = {"epoch": 3}
        assert read_metadata(folder.save(1, tree_of(1), metadata, score=float(np.float32(0.5)))) == {
            "epoch": 3,
            "score": 0.5,
            "higher_is_better": False,
        }
        assert read_metadata(folder.save(2, tree_of(2), metadata)) == metadata == {"epoch": 3}
        assert read_metadata(folder.save(3, tree_of(3))) == {}

    def test_files_are_verified_once_and_not_at_every_save(self, tmp_path, monkeypatch):
        fill(CheckpointFolder(tmp_path, keep_last=3), {1: 0.1, 2: 0.2})
        folder, read = CheckpointFolder(tmp_path, keep_last=3), []
        monkeypatch.setattr(folders, "read_metadata", lambda path: read.append(path.name) or {})
        for step in (3, 4, 5):
            folder.save(step, tree_of(step))
        assert read == ["step_000000001.safetensors", "step_000000002.safetensors"]


class TestDirections:
    """Which way is better is asked of whoever saves, and read from the files by whoever looks for the best."""

    def by_hand(self, folder, **metadata_by_step):
        for step, metadata in metadata_by_step.items():
            save(folder / f"step_00000000{step[1:]}.safetensors", tree_of(int(step[1:])), metadata)

    @pytest.mark.parametrize(("higher", "best"), [(True, 2), (False, 1), (None, 1)])
    def test_the_best_is_so_as_it_was_saved(self, tmp_path, higher, best):
        fill(CheckpointFolder(tmp_path, keep_last=3, higher_is_better=higher), {1: 0.1, 2: 0.9, 3: None})
        metadata = [read_metadata(path) for path in CheckpointFolder(tmp_path).paths()]
        assert metadata == [{"score": score, "higher_is_better": bool(higher)} for score in (0.1, 0.9)] + [{}]
        found = CheckpointFolder(tmp_path).best()
        assert found == tmp_path / f"step_00000000{best}.safetensors"

    def test_one_who_goes_on_saving_keeps_to_it(self, tmp_path):
        fill(CheckpointFolder(tmp_path, keep_best=1, higher_is_better=True), {1: 0.9, 2: 0.1})
        fill(CheckpointFolder(tmp_path, keep_last=1, keep_best=1), {3: 0.2, 4: 0.3})
        folder = CheckpointFolder(tmp_path)
        assert steps(folder) == [1, 4]
        assert folder.best() == folder.paths()[0]
        assert read_metadata(newest(folder))["higher_is_better"] is True

    def test_files_that_do_not_say_so_are_ranked_as_before_and_as_the_others_do(self, tmp_path):
        self.by_hand(tmp_path, _1={"score": 0.5}, _2={"score": 0.9}, _3={"higher_is_better": True})
        folder = CheckpointFolder(tmp_path)
        first, second, _ = folder.paths()
        assert folder.best() == first
        assert CheckpointFolder(tmp_path, higher_is_better=True).best() == second
        CheckpointFolder(tmp_path, keep_last=9, higher_is_better=True).save(4, tree_of(4), score=0.1)
        assert CheckpointFolder(tmp_path).best() == second

    def test_what_the_reader_says_counts(self, tmp_path):
        fill(CheckpointFolder(tmp_path), {1: 0.1, 2: 0.9})
        folder = CheckpointFolder(tmp_path, higher_is_better=True)
        assert folder.best() == folder.paths()[1]

    def test_a_score_of_the_other_direction_goes_to_another_folder(self, tmp_path):
        fill(CheckpointFolder(tmp_path), {1: 0.1, 2: 0.9})
        folder = CheckpointFolder(tmp_path, higher_is_better=True)
        words = (
            r"a higher score is better here, but not in the checkpoints that .* holds,"
            r" step_000000001\.safetensors, step_000000002.*"
        )
        with pytest.raises(ValueError, match=words + "save these scores in another folder"):
            folder.save(3, tree_of(3), score=0.5)
        with pytest.raises(ValueError, match=words):
            folder.check_direction()
        assert steps(folder) == [1, 2]
        folder.save(3, tree_of(3))  # it has no score, so no direction
        assert read_metadata(newest(folder)) == {}

    def test_where_files_contradict_each_other_it_must_be_said(self, tmp_path):
        self.by_hand(
            tmp_path, _1={"score": 0.5, "higher_is_better": False}, _2={"score": 0.9, "higher_is_better": True}
        )
        words = "have two directions: higher is better in step_000000002.* and worse in step_000000001.*; give h"
        for refused in (CheckpointFolder.best, CheckpointFolder.check_direction):
            with pytest.raises(ValueError, match=words):
                refused(CheckpointFolder(tmp_path))
        with pytest.raises(ValueError, match=words):
            CheckpointFolder(tmp_path, keep_best=1).save(3, tree_of(3))
        assert len(CheckpointFolder(tmp_path).paths()) == 2
        assert CheckpointFolder(tmp_path, higher_is_better=False).best() == tmp_path / "step_000000001.safetensors"


class TestGoingBack:
    def test_later_checkpoints_are_moved_aside(self, tmp_path):
        folder = CheckpointFolder(tmp_path, keep_last=2, keep_best=1)
        fill(folder, {10: 0.1, 20: 0.2, 30: 0.3})
        expected = (
            r"saved in .* before step_000000020\.safetensors, step_000000030\.safetensors: moved to .*superseded_1"
        )
        with pytest.warns(UserWarning, match=expected):
            folder.save(15, tree_of(15), score=0.4)
        assert steps(folder) == [10, 15]
        aside = CheckpointFolder(tmp_path / "superseded_1")
        assert steps(aside) == [20, 30]
        assert aside.best() == aside.paths()[0]
        folder.save(20, tree_of(20), score=0.5)
        with pytest.warns(UserWarning, match="moved to .*superseded_2"):
            folder.save(16, tree_of(16))
        assert steps(folder) == [10, 15, 16]
        assert steps(aside) == [20, 30]
        assert steps(CheckpointFolder(tmp_path / "superseded_2")) == [20]

    def test_a_move_that_fails_is_a_warning(self, tmp_path):
        folder = CheckpointFolder(tmp_path)
        folder.save(10, tree_of(10))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(folders.Path, "rename", lambda *_: (_ for _ in ()).throw(OSError("no")))
            with pytest.warns(UserWarning, match=r"could not be moved aside: step_000000010\.safetensors: no"):
                folder.save(5, tree_of(5))
        assert steps(folder) == [5, 10]


class TestDamaged:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = CheckpointFolder(tmp_path, keep_last=3, keep_best=1)
        fill(folder, {1: 0.1, 2: 0.2, 3: 0.3})
        return folder

    def test_the_newest_whole_one_is_found(self, folder):
        first, second, third = folder.paths()
        damage(third)
        with pytest.warns(UserWarning, match=r"passed over: checkpoint .*step_000000003\.safetensors is damaged"):
            assert folder.latest() == second
        second.write_bytes(second.read_bytes()[:-1])
        with pytest.warns(UserWarning, match="passed over") as warned:
            assert folder.latest() == first
        assert [re.findall(r"step_0*(\d)", str(each.message)) for each in warned] == [["3"], ["2"]]
        first.write_bytes(b"")
        with pytest.warns(UserWarning, match="passed over") as warned:
            assert (folder.latest(), folder.best()) == (None, None)
        assert len(warned) == 6
        assert folder.paths() == [first, second, third]

    def test_the_best_whole_one_is_found(self, folder):
        first, second, _ = folder.paths()
        assert folder.best() == first
        damage(first)
        with pytest.warns(UserWarning, match="passed over"):
            assert folder.best() == second

    def test_damaged_ones_do_not_count_and_stay(self, folder, tmp_path):
        damage(folder.paths()[2])
        again = CheckpointFolder(tmp_path, keep_last=2)
        with pytest.warns(UserWarning, match="passed over") as warned:
            fill(again, {4: None, 5: None})
        assert len(warned) == 1
        assert [path.name[-13:-12] for path in again.paths()] == ["3", "4", "5"]

    def test_saving_the_step_of_a_damaged_one_mends_it(self, folder):
        damage(folder.paths()[2])
        folder.save(3, tree_of(3))
        assert steps(folder) == [1, 2, 3]

    def test_a_file_that_vanishes_is_passed_over_without_a_word(self, folder, monkeypatch):
        first, second, _ = folder.paths()
        monkeypatch.setattr(CheckpointFolder, "paths", lambda _: [first, second, first.with_name("gone")])
        assert folder.latest() == second


class TestForeign:
    def test_other_files_are_no_checkpoints_and_stay(self, tmp_path):
        names = ["step_1.safetensors", "step_0000000001.safetensors", "step_000000001.safetensors.bak", "notes.txt"]
        names += ["step_٠٠٠٠٠٠٠٠١.safetensors", ".fnn-x.tmp", ".tmpabc", "xstep_000000001.safetensors"]
        for name in names:
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "step_000000007.safetensors").mkdir()
        folder = CheckpointFolder(tmp_path, keep_last=1)
        assert folder.paths() == []
        assert folder.latest() is None
        fill(folder, {1: None, 2: None})
        assert steps(folder) == [2]
        assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
            [*names, "step_000000002.safetensors", "step_000000007.safetensors"]
        )

    def test_steps_of_ten_digits_come_after(self, tmp_path):
        folder = CheckpointFolder(tmp_path)
        fill(folder, {999_999_999: None, 10**9: None})
        assert steps(folder) == [999_999_999, 10**9]

    def test_a_checkpoint_put_there_by_hand(self, tmp_path):
        save(tmp_path / "step_000000001.safetensors", tree_of(1), {"score": "high"})
        folder = CheckpointFolder(tmp_path, keep_best=1)
        assert folder.best() is None
        assert folder.latest() == folder.paths()[0]

    def test_no_folder(self, tmp_path):
        folder = CheckpointFolder(tmp_path / "a" / "b")
        assert (folder.paths(), folder.latest(), folder.best()) == ([], None, None)
        folder.save(0, tree_of(0))
        assert steps(folder) == [0]

    @pytest.mark.skipif(durable.fcntl is None, reason="files cannot be locked")
    def test_what_a_killed_process_left_is_removed_and_what_is_being_written_is_not(self, tmp_path):
        folder = CheckpointFolder(tmp_path)
        abandoned = tmp_path / f".fnn-{'0' * 16}.tmp"
        abandoned.write_bytes(b"half")
        with durable._replacing(tmp_path / "other") as file:
            file.write(b"whole")
            (living,) = set(tmp_path.iterdir()) - {abandoned}
            folder.save(1, tree_of(1))
            assert not abandoned.exists()
            assert living.exists()
        assert (tmp_path / "other").read_bytes() == b"whole"
        assert len(list(tmp_path.iterdir())) == 2

    @pytest.mark.skipif(durable.fcntl is None, reason="files cannot be locked")
    def test_a_file_taken_for_abandoned_before_it_was_locked_is_made_anew(self, tmp_path, monkeypatch):
        flock, taken = durable.fcntl.flock, []

        def late(file, how):
            if not taken and how == durable.fcntl.LOCK_EX:
                taken.append(file.name)
                durable.remove_abandoned(tmp_path)
                assert list(tmp_path.iterdir()) == []
            return flock(file, how)

        monkeypatch.setattr(durable.fcntl, "flock", late)
        path = save(tmp_path / "model", tree_of(1))
        assert len(taken) == 1
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("system", ["no module", "no locks"])
    def test_where_files_cannot_be_locked_all_works_and_nothing_is_removed(self, tmp_path, monkeypatch, system):
        def fail(*_):
            raise OSError("no locks here")

        if system == "no module":
            monkeypatch.setattr(durable, "fcntl", None)
        else:
            pytest.importorskip("fcntl")
            monkeypatch.setattr(durable.fcntl, "flock", fail)
        left = tmp_path / f".fnn-{'0' * 16}.tmp"
        left.write_bytes(b"half")
        folder = CheckpointFolder(tmp_path)
        folder.save(1, tree_of(1))
        assert left.exists()
        assert steps(folder) == [1]


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"keep_last": 0}, ValueError, "keep_last is at least 1, got 0"),
            ({"keep_last": 1.5}, TypeError, "keep_last is an integer, got 1.5"),
            ({"keep_best": -1}, ValueError, "keep_best is at least 0, got -1"),
            ({"keep_best": "1"}, TypeError, "keep_best is an integer, got '1'"),
            ({"higher_is_better": 1}, TypeError, "higher_is_better is True, False or None, got 1"),
        ],
    )
    def test_options(self, tmp_path, options, error, message):
        with pytest.raises(error, match=message):
            CheckpointFolder(tmp_path, **options)

    @pytest.mark.parametrize(
        ("step", "error", "message"),
        [
            (-1, ValueError, "a step is at least 0, got -1"),
            (1.0, TypeError, "a step is an integer, got 1.0"),
            (True, TypeError, "a step is an integer, got True"),
        ],
    )
    def test_steps(self, tmp_path, step, error, message):
        with pytest.raises(error, match=message):
            CheckpointFolder(tmp_path).save(step, tree_of(0))
        assert list(tmp_path.iterdir()) == []

    def test_metadata(self, tmp_path):
        with pytest.raises(ValueError, match=r"'score', which the folder writes itself; give score=\.\.\. instead"):
            CheckpointFolder(tmp_path).save(1, tree_of(1), {"score": 1.0})
        with pytest.raises(ValueError, match=r"'higher_is_better', which .* give it to the CheckpointFolder instead"):
            CheckpointFolder(tmp_path).save(1, tree_of(1), {"higher_is_better": True}, score=1.0)
        with pytest.raises(TypeError, match="the metadata is a dict, got list"):
            CheckpointFolder(tmp_path).save(1, tree_of(1), [1], score=0.5)  # pyright: ignore[reportArgumentType]

    def test_an_integer_of_numpy_is_a_step(self, tmp_path):
        step: Any = np.int64(3)
        assert CheckpointFolder(tmp_path).save(step, tree_of(3)).name == "step_000000003.safetensors"

    def test_its_text_says_what_it_keeps(self, tmp_path):
        text = repr(CheckpointFolder("runs", keep_best=1))
        assert text == "CheckpointFolder('runs', keep_last=2, keep_best=1)"
        text = repr(CheckpointFolder("runs", higher_is_better=True))
        assert text == "CheckpointFolder('runs', keep_last=2, keep_best=0, higher_is_better=True)"
