"""A safetensors file that is written whole or not at all, and checked when it is read.

The format itself is written and read by the safetensors library. The ``__metadata__`` of the file has a single entry
(the library orders several at random, and the same content is to give the same bytes): a JSON object that opens with
the SHA-256 of the whole file, computed with 64 zeros in the place of its own digits. Nothing in a file is executed.
"""

import contextlib
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

ENTRY = "fnn_checkpoint"

MARK = b'"fnn_checkpoint":"{\\"sha256\\": \\"'
"""What comes before the digits of the checksum, near the beginning of the file."""

ZEROS = "0" * 64

CHUNK = 1 << 20

UNREADABLE = (safetensors.SafetensorError, AttributeError, KeyError, TypeError, ValueError, RecursionError)
"""What reading raises for a header, or for notes in it, that are not as they were written."""


class Checksum(NamedTuple):
    """The checksum of a file, the digits that stand in it, and where they begin."""

    computed: str
    written: str
    start: int


def write(path: Path, arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> None:
    """Writes C-contiguous arrays, with ``notes`` as JSON, under a hidden name beside, and renames it onto ``path``.

    Missing folders are made. Whatever fails before the renaming, the previous file stays and the new one is removed. If
    only the last step fails, the sync of the folder, the new file stands in its place and the error says that a power
    cut may still undo the renaming.
    """
    text = json.dumps({"sha256": ZEROS, **notes})
    temporary = path.with_name(f".fnn-{secrets.token_hex(8)}.tmp")
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(temporary, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode
        try:
            safetensors.numpy.save_file(arrays, temporary, {ENTRY: text})
        except safetensors.SafetensorError as error:
            raise OSError(f"checkpoint {path} could not be written: {error}") from error
        # The library makes files that nobody else may read.
        os.chmod(temporary, mode)
        with open(temporary, "r+b") as file:
            checksum = _checksum(file)
            if checksum is None:
                raise RuntimeError(
                    f"safetensors {safetensors.__version__} does not write its metadata first, as fnn needs it to;"
                    f" install another version"
                )
            file.seek(checksum.start)
            file.write(checksum.computed.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    for folder in [path.parent, *(folder.parent for folder in missing)]:
        _sync_folder(folder)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The file as ``safetensors.safe_open`` opens it, and its notes, after the checksum: no byte means anything before.

    Raises ``ValueError`` for a file that is damaged, that ``write`` did not write, or that is replaced meanwhile.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        checksum = _checksum(file)
    if size == 0:
        raise damaged(path, "the file is empty")
    if checksum is None:
        raise _unmarked(path)
    if checksum.written != checksum.computed:
        raise damaged(path, f"its checksum is not that of its content ({size} bytes)")
    try:
        content = safetensors.safe_open(path, framework="np")
        notes = json.loads(content.metadata()[ENTRY])
        digits = notes["sha256"]
    except UNREADABLE as error:
        raise contradicted(path, error) from error
    # The library opens the path anew: what it holds now must be what was verified.
    if digits != checksum.computed:
        raise ValueError(f"checkpoint {path} was replaced while it was read; load it again")
    with content:
        yield content, notes


def read(file: Any, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array of an opened file; what is stored as uint8 may be of any ``dtype`` of one byte.

    Its memory is aligned to 64 bytes and nobody else's, so that JAX on CPU takes it over instead of copying it. The
    library does not align; it is asked for pieces of about ``CHUNK`` bytes along the first axis that is longer than 1,
    lest a second copy of the whole array exist.
    """
    nbytes = dtype.itemsize * math.prod(shape)
    buffer = np.empty(nbytes + 64, np.uint8)
    offset = -buffer.ctypes.data % 64
    array = buffer[offset : offset + nbytes].view(dtype).reshape(shape)
    pieces = file.get_slice(name)
    stored = array.view(np.uint8) if pieces.get_dtype() == "U8" else array
    if not shape:
        stored[...] = file.get_tensor(name)
    elif nbytes:
        axis = next((n for n, length in enumerate(shape) if length > 1), 0)
        step = max(1, CHUNK * shape[axis] // nbytes)
        for start in range(0, shape[axis], step):
            piece = (slice(None),) * axis + (slice(start, min(start + step, shape[axis])),)
            stored[piece] = pieces[piece]
    return array


def damaged(path: Any, how: str) -> ValueError:
    return ValueError(f"checkpoint {path} is damaged: {how}")


def contradicted(path: Any, error: Exception) -> ValueError:
    """The checksum is no signature: whoever writes a header can write the checksum that fits."""
    return damaged(path, f"its checksum holds, but not its header ({error!r})")


def _checksum(file: Any) -> Checksum | None:
    """Reads a file from its beginning; None where no digits are marked."""
    head = file.read(256)
    start = head.find(MARK) + len(MARK)
    if start < len(MARK):
        return None
    digest = hashlib.sha256(head[:start] + ZEROS.encode() + head[start + 64 :])
    hashlib.file_digest(file, lambda: digest)
    return Checksum(digest.hexdigest(), head[start : start + 64].decode("latin-1"), start)


def _unmarked(path: Any) -> ValueError:
    """The error for a file without the mark, which one altered byte takes away, but not both names in the metadata."""
    try:
        with safetensors.safe_open(path, framework="np") as content:
            metadata = str(content.metadata())
    except safetensors.SafetensorError:
        return damaged(path, "it does not begin like a file that fnn.save wrote")
    if ENTRY in metadata or "random_keys" in metadata:
        return damaged(path, "its header is not as fnn.save wrote it")
    return ValueError(
        f"{path} is not a checkpoint of fnn (it is a safetensors file that fnn.save did not write);"
        f" other safetensors files are read with the safetensors library"
    )


def _sync_folder(folder: Path) -> None:
    """Makes a renaming durable. Windows cannot open a folder, and needs no such step."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.add_note(f"the checkpoint is in place, but a power cut may undo its renaming: {folder} was not synced")
        raise
    finally:
        os.close(descriptor)
