"""One run at a time: the second is refused while the first lives, and let in when it is dead, whatever it left."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fnn.checkpoint import lock
from fnn.checkpoint.folder import CheckpointFolder
from fnn.checkpoint.lock import FileLock, FolderLock

HOLDER = Path(__file__).with_name("lock_holder.py")

locks = pytest.mark.skipif(lock.fcntl is None, reason="files cannot be locked")


@contextlib.contextmanager
def held_by_another(folder, child="none"):
    """A process that holds the folder, and its child's id; both are killed at the end."""
    command = [sys.executable, str(HOLDER), lock.__file__, str(folder), child]
    process, its_child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True), 0
    assert process.stdout is not None
    try:
        its_child = int(process.stdout.readline())
        yield process, its_child
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if its_child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(its_child, signal.SIGKILL)


def refused(folder):
    with pytest.raises(RuntimeError, match="is in use by another run"):
        FolderLock(folder).acquire()
    return True


@locks
class TestProcesses:
    @pytest.mark.parametrize("child", ["none", "forked", "worker", "program"])
    def test_a_folder_is_held_while_its_holder_lives_and_not_by_its_children(self, tmp_path, child):
        with held_by_another(tmp_path, child) as (process, its_child):
            assert refused(tmp_path)
            process.kill()
            process.wait()
            if its_child:
                os.kill(its_child, 0)  # alive
            deadline = time.monotonic() + 20  # a child lets go at its first instruction, which a busy machine puts off
            lock = FolderLock(tmp_path)
            while time.monotonic() < deadline:
                with contextlib.suppress(RuntimeError):
                    lock.acquire()  # though the file is still there
                    break
                time.sleep(0.01)
            assert refused(tmp_path)
            lock.release()

    def test_a_forked_child_that_releases_the_lock_leaves_it_to_its_parent(self, tmp_path):
        with held_by_another(tmp_path, "forked, and releases the lock") as (_, child):
            file = tmp_path / ".fnn-lock"
            before = file.stat().st_ino
            for _ in range(20):
                assert refused(tmp_path)
                time.sleep(0.01)
            os.kill(child, 0)
            assert file.stat().st_ino == before

    def test_the_refusal_names_the_process_and_says_what_to_do(self, tmp_path):
        with held_by_another(tmp_path) as (process, _):
            expected = (
                rf"^{re.escape(str(tmp_path))} is in use by another run \(process {process.pid} on \S+,"
                r" since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\): wait until it ends, stop it, or give another path$"
            )
            with pytest.raises(RuntimeError, match=expected):
                FolderLock(tmp_path).acquire()

    @pytest.mark.parametrize("content", [b"", b"{", b'{"process": 1}', b"[]", b'{"process":1,"host":"a","since":1e99}'])
    def test_a_holder_that_has_not_said_who_it_is_is_respected(self, tmp_path, content):
        with FolderLock(tmp_path):
            (tmp_path / ".fnn-lock").write_bytes(content)
            with pytest.raises(RuntimeError, match="in use by another run: wait"):
                FolderLock(tmp_path).acquire()


@locks
class TestThreads:
    def test_of_many_at_once_one_gets_in(self, tmp_path):
        inside, most, stop = [], [], time.monotonic() + 0.5

        def enter():
            while time.monotonic() < stop:
                with contextlib.suppress(RuntimeError), FolderLock(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()

        threads = [threading.Thread(target=enter) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(most) > 5
        assert set(most) == {1}
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("another", [False, True], ids=["removed", "removed and made anew"])
    def test_a_file_that_its_holder_removes_before_it_is_locked_does_not_count(self, tmp_path, monkeypatch, another):
        flock, file, taken = lock.fcntl.flock, tmp_path / ".fnn-lock", []

        def late(descriptor, how):
            if not taken:
                taken.append(descriptor)
                file.unlink()
                if another:
                    file.touch()
            return flock(descriptor, how)

        monkeypatch.setattr(lock.fcntl, "flock", late)
        with FolderLock(tmp_path):
            assert taken
            assert refused(tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_the_refusal_says_that_it_is_this_process(self, tmp_path):
        with FolderLock(tmp_path), pytest.raises(RuntimeError, match=r"another run \(of this process, since 2"):
            FolderLock(tmp_path).acquire()

    def test_the_same_lock_is_not_taken_twice(self, tmp_path):
        with FolderLock(tmp_path) as held:
            with pytest.raises(RuntimeError, match="in use"):
                held.acquire()
            assert refused(tmp_path)


@locks
class TestRelease:
    def test_the_file_goes_and_the_folder_is_free(self, tmp_path):
        held = FolderLock(tmp_path / "a" / "b")
        for _ in range(2):
            held.acquire()
            assert [path.name for path in held.place.iterdir()] == [".fnn-lock"]
            held.release()
            held.release()
            assert list(held.place.iterdir()) == []

    def test_after_an_error(self, tmp_path):
        with pytest.raises(ZeroDivisionError), FolderLock(tmp_path):
            raise ZeroDivisionError
        with FolderLock(tmp_path):
            pass

    def test_no_descriptor_is_left(self, tmp_path):
        before = os.dup(0)
        os.close(before)
        with FolderLock(tmp_path):
            for _ in range(3):
                assert refused(tmp_path)
        after = os.dup(0)
        os.close(after)
        assert after == before

    def test_a_file_that_is_no_longer_its_own_stays(self, tmp_path):
        held, file = FolderLock(tmp_path), tmp_path / ".fnn-lock"
        held.acquire()
        file.unlink()
        with FolderLock(tmp_path):
            held.release()
            assert refused(tmp_path)

    def test_a_folder_that_is_gone(self, tmp_path):
        held = FolderLock(tmp_path / "a")
        held.acquire()
        held.place.rename(tmp_path / "b")
        held.release()
        assert not held.place.exists()


@locks
def test_it_is_no_checkpoint_and_saving_leaves_it(tmp_path):
    folder = CheckpointFolder(tmp_path, keep_last=1)
    with FolderLock(tmp_path):
        for step in (1, 2):
            folder.save(step, {"a": 1})
        assert [path.name for path in folder.paths()] == ["step_000000002.safetensors"]
        assert refused(tmp_path)


@locks
def test_files_beside_each_other_are_locked_apart(tmp_path):
    with FileLock(tmp_path / "a"), FileLock(tmp_path / "b"), FolderLock(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".a.fnn-lock", ".b.fnn-lock", ".fnn-lock"}
        with pytest.raises(RuntimeError, match=r"a is in use"):
            FileLock(tmp_path / "a").acquire()


@locks
@pytest.mark.parametrize("system", ["no module", "no locks"])
def test_where_files_cannot_be_locked_there_is_a_warning_and_no_lock(tmp_path, monkeypatch, system):
    if system == "no module":
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(95, "no locks here")))
    message = f"{re.escape(str(tmp_path))} could not be locked .*: make sure that no other run uses it"
    with pytest.warns(UserWarning, match=message) as warned, FolderLock(tmp_path):
        pass
    assert len(warned) == 1
    with pytest.warns(UserWarning, match=message), FolderLock(tmp_path), FolderLock(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        FolderLock(tmp_path / "file" / "run").acquire()
    assert repr(FolderLock("runs")) == "FolderLock('runs')"
