"""The part of the ``safetensors`` format that a checkpoint uses, with a checksum of the whole file.

    8 bytes      the length of the header, little-endian
    the header   JSON, padded with spaces to a multiple of 8 bytes: {"__metadata__": {"fnn_checkpoint": notes},
                 path: {"dtype": code, "shape": [...], "data_offsets": [start, stop]}, ...}
    the arrays   C order, little-endian, without gaps; wide dtypes first, so that each is aligned to its items

The notes are a JSON object that begins with the SHA-256 of the file, computed with 64 zeros in place of its digits.

Nothing is trusted before the checksum is verified. The checksum is not a signature: whoever changes a file can compute
it again. So the header must also be, byte for byte, what ``parts`` writes for its paths, dtypes, shapes and notes. That
rules out gaps, overlaps, duplicates and ambiguities. Nothing in a file is ever executed.

The safetensors library writes and reads the same bytes. It is not used here because it maps the file into memory, which
doubles the memory needed and kills the process if the file is truncated meanwhile, and because its temporary file stays
behind, under a name that fnn cannot recognise, if the process is killed.
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

CODES = {
    np.dtype(dtype): code
    for dtype, code in [
        (np.uint64, "U64"), (np.int64, "I64"), (np.float64, "F64"), (np.complex64, "C64"), (np.float32, "F32"),
        (np.uint32, "U32"), (np.int32, "I32"), (jnp.bfloat16, "BF16"), (np.float16, "F16"), (np.uint16, "U16"),
        (np.int16, "I16"), (np.int8, "I8"), (np.uint8, "U8"), (np.bool_, "BOOL"),
    ]
}  # fmt: skip
"""The format's name for each dtype, in the order in which a file holds its arrays."""

DTYPES = {code: dtype for dtype, code in CODES.items()}

ENTRY = "fnn_checkpoint"

START = b'{"__metadata__":{"fnn_checkpoint":"{\\"sha256\\": \\"'
"""What every header starts with; the digits of the checksum follow."""

DIGITS = slice(8 + len(START), 8 + len(START) + 64)
"""The position of these digits in the file."""

ZEROS = b"0" * 64

HEADER_LIMIT = 1 << 24
"""The longest header allowed, about a hundred thousand paths. Parsed JSON takes several times its size in memory."""


class Stored(NamedTuple):
    """The dtype and shape of one array, from the header."""

    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape)


def parts(arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> list[bytes | memoryview]:
    """The bytes of a file of C-contiguous arrays, in pieces; the arrays are not copied."""
    entries = {name: Stored(array.dtype, array.shape) for name, array in arrays.items()}
    head = _head(entries, json.dumps({"sha256": ZEROS.decode(), **notes}))
    if len(head) > HEADER_LIMIT:
        raise ValueError(
            f"the paths and the metadata take {len(head)} bytes, but a checkpoint has room for {HEADER_LIMIT};"
            f" store large values as arrays"
        )
    data = [arrays[name].reshape(-1).view(np.uint8).data for name in _in_order(entries)]
    digest = hashlib.sha256(head)
    for each in data:
        digest.update(each)
    return [head[: DIGITS.start] + digest.hexdigest().encode() + head[DIGITS.stop :], *data]


class TensorFile:
    """A verified file: ``entries`` describes the arrays, ``notes`` are its notes, ``read`` returns an array."""

    def __init__(self, path: Any, file: IO[bytes], size: int):
        self._path, self._file = path, file
        head = _verified_head(path, file, size)
        try:
            self.entries, self.notes = _parsed(head)
            self._starts, stop = {}, len(head)
            for name in _in_order(self.entries):
                self._starts[name] = stop
                stop += self.entries[name].nbytes
            if stop != size:
                raise ValueError(f"it describes {stop} bytes, the file has {size}")
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise contradicted(path, error) from error

    def read(self, name: str) -> np.ndarray:
        """An array in new memory, aligned to 64 bytes so that JAX on CPU uses it without a copy."""
        dtype, shape = self.entries[name]
        nbytes = self.entries[name].nbytes
        buffer = np.empty(nbytes + 64, np.uint8)
        offset = -buffer.ctypes.data % 64
        data = buffer[offset : offset + nbytes]
        self._file.seek(self._starts[name])
        if self._file.readinto(memoryview(data)) != nbytes:  # type: ignore[attr-defined]
            raise _changed(self._path)
        if dtype == np.bool_ and data.max(initial=0) > 1:
            raise contradicted(self._path, ValueError(f"{name!r} holds a byte that is neither 0 nor 1"))
        return data.view(dtype).reshape(shape)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[TensorFile]:
    """Opens a file and verifies its checksum.

    Replacing the file meanwhile does no harm. Raises ``ValueError`` if the file is damaged, was not written by fnn, or
    is written to while it is open.
    """
    with open(path, "rb") as file:
        before = os.fstat(file.fileno())
        yield TensorFile(path, file, before.st_size)
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise _changed(path)


def damaged(path: Any, how: str) -> ValueError:
    return ValueError(f"checkpoint {path} is damaged: {how}")


def contradicted(path: Any, error: Exception) -> ValueError:
    """The error for a file whose checksum is right but whose content ``parts`` would not have written."""
    # Not the error's repr: that of a UnicodeDecodeError holds all the bytes that it tried to decode.
    return damaged(path, f"its checksum is right, its content is not ({type(error).__name__}: {str(error)[:200]})")


def _in_order(entries: dict[str, Stored]) -> list[str]:
    ranks = {dtype: rank for rank, dtype in enumerate(CODES)}
    return sorted(entries, key=lambda name: (ranks[entries[name].dtype], name))


def _head(entries: dict[str, Stored], text: str) -> bytes:
    """Everything before the arrays."""
    header: dict[str, Any] = {"__metadata__": {ENTRY: text}}
    stop = 0
    for name in _in_order(entries):
        start, stop = stop, stop + entries[name].nbytes
        code, shape = CODES[entries[name].dtype], list(entries[name].shape)
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [start, stop]}
    encoded = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded


def _parsed(head: bytes) -> tuple[dict[str, Stored], dict[str, Any]]:
    """The entries and the notes of a head; raises unless ``parts`` would write the same bytes."""
    header = json.loads(str(memoryview(head)[8:], "utf-8"))
    text = header.pop("__metadata__")[ENTRY]
    entries = {name: Stored(DTYPES[entry["dtype"]], tuple(entry["shape"])) for name, entry in header.items()}
    for name, entry in entries.items():
        if not all(type(length) is int and 0 <= length < 2**63 for length in entry.shape):
            raise ValueError(f"{name!r} cannot have the shape {list(entry.shape)}")
    notes = json.loads(text)
    if _head(entries, text) != head or json.dumps(notes) != text:
        raise ValueError("fnn.save writes it differently")
    return entries, notes


def _verified_head(path: Any, file: IO[bytes], size: int) -> bytes:
    """Reads the whole file to verify its checksum, and returns the bytes before the arrays."""
    if size == 0:
        raise damaged(path, "the file is empty")
    start = file.read(DIGITS.stop)
    length = 8 + int.from_bytes(start[:8], "little")
    if start[8 : DIGITS.start] != START or not len(start) <= length <= min(size, 8 + HEADER_LIMIT):
        raise _not_ours(path, file, start, length, size)
    head = start + file.read(length - len(start))
    digest = hashlib.sha256(head[: DIGITS.start] + ZEROS)
    digest.update(memoryview(head)[DIGITS.stop :])
    hashlib.file_digest(file, lambda: digest)  # type: ignore[arg-type]
    if digest.hexdigest().encode() != start[DIGITS]:
        raise damaged(path, f"its checksum does not match its content ({size} bytes)")
    return head


def _not_ours(path: Any, file: IO[bytes], start: bytes, length: int, size: int) -> ValueError:
    """The error for a file that does not begin as fnn's do: it is damaged, or another program wrote it."""
    if not 8 < length <= size or start[8:9] != b"{":
        return damaged(path, "it does not begin like a file that fnn.save wrote")
    header = start + file.read(min(length, 1 << 20))
    # One altered byte can destroy one of these names, but not both.
    if ENTRY.encode() in header or b"random_keys" in header:
        return damaged(path, "its header is not what fnn.save wrote")
    return ValueError(
        f"{path} is not a checkpoint of fnn (it begins like a safetensors file that fnn.save did not write);"
        f" other safetensors files are read with the safetensors library"
    )


def _changed(path: Any) -> ValueError:
    return ValueError(f"checkpoint {path} was overwritten while it was read; load it again")
