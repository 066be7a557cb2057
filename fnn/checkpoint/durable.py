"""A file that is written whole or not at all.

What is being written stands beside its place under a hidden name, ``.fnn-*.tmp``, and is locked until it takes that
place. The system drops the lock of a process that is killed, whatever killed it and on whichever machine: so a file of
that name which nobody holds was abandoned, and can be removed without guessing from its age or from a process id.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

TEMPORARY = re.compile(r"\.fnn-[0-9a-f]{16}\.tmp")


def write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Writes the parts one after the other under a hidden name beside, syncs them, and renames the file onto ``path``.

    Missing folders are made. Whatever fails before the renaming, the previous file stays and the new one is removed. If
    only the last step fails, the sync of the folder, the new file stands in its place and the error says that a power
    cut may still undo the renaming.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _replacing(path) as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        error.add_note(f"{path} was not written")
        raise
    for folder in [path.parent, *(folder.parent for folder in missing)]:
        _sync_folder(folder)


def remove_abandoned(folder: Path) -> None:
    """Removes what killed processes left of their unfinished files; a file that is being written is left alone.

    Where files cannot be locked (Windows, some network drives), nothing is removed.
    """
    if fcntl is None:
        return
    for name in os.listdir(folder):
        if TEMPORARY.fullmatch(name):
            with contextlib.suppress(OSError), open(folder / name, "r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / name).unlink()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes its place at ``path`` when the block is left, and vanishes if the block raises."""
    temporary = path.with_name(f".fnn-{secrets.token_hex(8)}.tmp")
    try:
        with _locked(temporary) as file:
            yield file
            if os.name != "nt":
                os.replace(temporary, path)  # before the file is closed, and with it unlocked
        if os.name == "nt":
            os.replace(temporary, path)  # Windows renames no open file
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """A new file, held until the block is left."""
    while True:
        with open(path, "xb") as file:
            if fcntl is not None:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():
                yield file
                return
        # In the instant before the lock it was taken for abandoned and removed.


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
