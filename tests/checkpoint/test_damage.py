"""No damage of a file is unseen, and no file from elsewhere is taken for a checkpoint."""

import hashlib
import json
import os
import pickle
import re

import jax
import numpy as np
import pytest
import safetensors.numpy

from fnn.checkpoint import tensor_file
from fnn.checkpoint.file import load, read_metadata, save
from fnn.checkpoint.tensor_file import DIGITS
from tests.checkpoint.stored_trees import assert_same


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def change_notes(header, name):
    notes = json.loads(header["__metadata__"]["fnn_checkpoint"])
    del notes[name]
    header["__metadata__"]["fnn_checkpoint"] = json.dumps(notes)


class TestDamage:
    """No altered byte and no missing or added one is ever accepted, by load or by read_metadata."""

    @pytest.fixture
    def small(self, quick_folder):
        path = quick_folder / "model.safetensors"
        tree = {"a": np.arange(3, dtype=np.float32), "é": True, "key": jax.random.key(1), "none": np.zeros((0, 2))}
        save(path, tree, {"epoch": 1, "é": "☃"})
        return path, tree, path.read_bytes()

    def refused(self, path, tree, content, message=""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"^checkpoint .* is damaged: {message}"):
            load(path, tree)
        with pytest.raises(ValueError, match=rf"^checkpoint .* is damaged: {message}"):
            read_metadata(path)

    def test_every_flipped_bit_is_seen(self, small):
        path, tree, content = small
        for position in range(len(content)):
            for bit in range(8):
                damaged = bytearray(content)
                damaged[position] ^= 1 << bit
                path.write_bytes(damaged)
                with pytest.raises(ValueError, match=r"^checkpoint .* is damaged: "):
                    load(path, tree) if bit == position % 8 else read_metadata(path)
        path.write_bytes(content)
        assert_same(load(path, tree), tree)

    def test_every_byte_can_be_any_other_only_by_damage(self, small, draw):
        path, tree, content = small
        for position, byte in enumerate(content):
            for other in {0, 0x09, 0x20, 0xFF, int(draw.integers(256))} - {byte}:
                self.refused(path, tree, content[:position] + bytes([other]) + content[position + 1 :])

    def test_every_truncation_is_seen(self, small):
        path, tree, content = small
        for length in range(len(content)):
            self.refused(path, tree, content[:length])

    def test_added_lost_and_swapped_bytes_are_seen(self, small):
        path, tree, content = small
        self.refused(path, tree, content + b"\0")
        self.refused(path, tree, b"\0" + content)
        self.refused(path, tree, content + content)
        for position in range(len(content)):
            self.refused(path, tree, content[:position] + content[position + 1 :])
        self.refused(path, tree, content[:-4] + content[-2:] + content[-4:-2])

    @pytest.mark.parametrize(
        "change",
        [
            lambda header: header["a"].update(shape=[-3]),
            lambda header: header["a"].update(shape=[2**40]),
            lambda header: header["a"].update(shape="abc"),
            lambda header: header["a"].update(data_offsets=[0, 2**62]),
            lambda header: header["a"].update(data_offsets=[-12, 0]),
            lambda header: header["a"].update(data_offsets=[10**6, 10**6 + 12]),
            lambda header: header["a"].update(dtype="F13"),
            lambda header: header.update(a=3),
            lambda header: header.pop("a"),
            lambda header: header["__metadata__"].update(fnn_checkpoint='{"sha256": "' + "0" * 64),
            lambda header: header["__metadata__"].update(fnn_checkpoint='{"sha256": "' + "0" * 64 + '"}'),
            *[lambda header, name=name: change_notes(header, name) for name in ("random_keys", "float8", "metadata")],
        ],
    )
    def test_a_forged_header_is_refused(self, path, change):
        """The checksum is no signature: a header that contradicts itself under a checksum that holds is refused too."""
        tree = {"a": np.arange(3, dtype=np.float32)}
        content = save(path, tree).read_bytes()
        header = json.loads(content[8:-12])
        self.forge(path, header, content[-12:])
        assert_same(load(path, tree), tree)
        change(header)
        self.forge(path, header, content[-12:])
        self.refused(path, tree, path.read_bytes(), "its checksum is right, its content is not")

    def forge(self, path, header, data):
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        content = len(text).to_bytes(8, "little") + text + data
        content = content[: DIGITS.start] + b"0" * 64 + content[DIGITS.stop :]
        digest = hashlib.sha256(content).hexdigest().encode()
        path.write_bytes(content[: DIGITS.start] + digest + content[DIGITS.stop :])

    def test_an_empty_file(self, path):
        path.write_bytes(b"")
        with pytest.raises(ValueError, match="is damaged: the file is empty"):
            load(path, {})

    def test_a_safetensors_file_from_elsewhere(self, path):
        for metadata in (None, {"format": "pt"}):
            safetensors.numpy.save_file({"a": np.ones(3)}, path, metadata=metadata)
            for function in (read_metadata, lambda path: load(path, {"a": np.ones(3)})):
                with pytest.raises(
                    ValueError, match=r"safetensors is not a checkpoint of fnn \(.*\); other safetensors files are read"
                ):
                    function(path)

    def test_a_save_while_a_file_is_read_does_not_matter(self, path, monkeypatch):
        save(path, {"a": np.ones(3)})
        self.meanwhile(monkeypatch, lambda: save(path, {"a": np.zeros(3)}))
        np.testing.assert_array_equal(load(path, {"a": np.zeros(3)})["a"], np.ones(3))
        monkeypatch.undo()
        np.testing.assert_array_equal(load(path, {"a": np.ones(3)})["a"], np.zeros(3))

    @pytest.mark.parametrize(
        "change", [lambda file: file.truncate(), lambda file: file.write(b"x")], ids=["cut", "write"]
    )
    def test_a_file_written_over_while_it_is_read(self, path, monkeypatch, change):
        """A file mapped into memory and cut by another process would take this process with it."""
        save(path, {"a": np.ones(1000)})
        os.utime(path, (0, 0))

        def overwrite():
            with open(path, "r+b") as file:
                file.seek(4096)
                change(file)

        self.meanwhile(monkeypatch, overwrite)
        with pytest.raises(ValueError, match=r"^checkpoint .* was overwritten while it was read; load it again"):
            load(path, {"a": np.ones(1000)})

    def meanwhile(self, monkeypatch, happens):
        """Lets something happen after the checksum, before the arrays are read."""
        parsed = tensor_file._parsed

        def slow(head):
            monkeypatch.setattr(tensor_file, "_parsed", parsed)
            happens()
            return parsed(head)

        monkeypatch.setattr(tensor_file, "_parsed", slow)

    def test_a_truth_value_that_is_none(self, path):
        content = save(path, {"a": True}).read_bytes()
        self.forge(path, json.loads(content[8:-1]), b"\2")
        with pytest.raises(ValueError, match="'a' holds a byte that is neither 0 nor 1"):
            load(path, {"a": True})

    def test_a_layout_of_the_future(self, path):
        content = save(path, {"a": True}).read_bytes()
        header = json.loads(content[8:-1])
        entry = header["__metadata__"]
        entry["fnn_checkpoint"] = entry["fnn_checkpoint"].replace('"version": 1', '"version": 2')
        self.forge(path, header, content[-1:])
        with pytest.raises(ValueError, match="layout 2 was written by a newer fnn; this one reads 1"):
            load(path, {"a": True})

    def test_a_pickle_is_not_executed(self, path):
        class Trap:
            def __reduce__(self):
                return exec, ("raise SystemExit('executed')",)

        path.write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ValueError, match="does not begin like a file that"):
            load(path, {})

    def test_a_missing_file_and_a_folder(self, path):
        for function in (read_metadata, lambda path: load(path, {})):
            with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
                function(path)
            with pytest.raises(OSError, match=re.escape(str(path.parent))):
                function(path.parent)
