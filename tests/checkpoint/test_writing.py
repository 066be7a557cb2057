"""A save leaves one whole file, the one before until then, and says what it could not do."""

import os
import re

import pytest

from fnn.checkpoint import durable
from fnn.checkpoint.file import load, read_metadata, save
from tests.checkpoint.stored_trees import assert_same


class TestWriting:
    def test_save_returns_the_path_and_makes_folders(self, tmp_path, tree):
        path = tmp_path / "runs" / "one" / "model.safetensors"
        assert save(str(path), tree) == path
        assert list(path.parent.iterdir()) == [path]
        assert_same(load(str(path), tree), tree)

    def test_every_folder_with_a_new_entry_is_synced(self, tmp_path, monkeypatch):
        opened, system_open = [], durable.os.open

        def noting_open(folder, *args):
            opened.append(folder)
            return system_open(folder, *args)

        monkeypatch.setattr(durable.os, "open", noting_open)
        save(tmp_path / "a" / "b" / "model", {})
        assert opened == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]

    def test_a_save_replaces_the_previous_file(self, path):
        save(path, {"a": 1}, {"epoch": 1})
        save(path, {"a": 2}, {"epoch": 2})
        assert load(path, {"a": 0}) == {"a": 2}
        assert read_metadata(path) == {"epoch": 2}

    def test_a_folder_in_the_way(self, path, tree):
        path.mkdir()
        with pytest.raises(OSError, match=re.escape(str(path))):
            save(path, tree)
        assert list(path.parent.iterdir()) == [path]

    @pytest.mark.skipif(os.name == "nt", reason="no permission bits")
    def test_the_file_has_the_permissions_of_any_new_file(self, path):
        save(path, {"a": 1})
        other = path.with_name("other")
        other.touch()
        assert path.stat().st_mode == other.stat().st_mode

    def test_a_failed_sync_of_the_folder_says_what_holds(self, path, monkeypatch):
        calls = []

        def fsync(descriptor):
            calls.append(descriptor)
            if len(calls) == 2:
                raise OSError("no")

        monkeypatch.setattr(durable.os, "fsync", fsync)
        with pytest.raises(OSError) as error:
            save(path, {"a": 1})
        assert "the checkpoint is in place, but a power cut may undo its rename" in error.value.__notes__[0]

    def test_the_temporary_file_staying_does_not_hide_the_error(self, path, monkeypatch):
        def fail(message):
            raise OSError(message)

        monkeypatch.setattr(durable.Path, "unlink", lambda _: fail("unlink"))
        monkeypatch.setattr(durable.os, "replace", lambda *_: fail("replace"))
        with pytest.raises(OSError, match="replace"):
            save(path, {"a": 1})
        (left,) = path.parent.iterdir()
        assert re.fullmatch(r"\.fnn-[0-9a-f]{16}\.tmp", left.name)
