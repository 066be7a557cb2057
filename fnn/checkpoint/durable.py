"""A file that is written whole or not at all.

A new file is written under a hidden name, ``.fnn-*.tmp``, in the target's folder, and stays locked until it is renamed
onto the target. The system drops the lock when its process dies, however it dies and on whatever machine: a temporary
file that nobody holds was abandoned, and can be removed without guessing from its age or from a process id.
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
    """Writes the parts to a temporary file in the same folder, syncs it, and renames it onto ``path``.

    Creates missing folders. If anything fails before the rename, the previous file stays and the temporary one is
    removed. If only the last step fails, the sync of the folder, the new file is in place and the error says that a
    power cut may still undo the rename.
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
    """Removes the unfinished files that killed processes left behind, and no file that is still being written.

    Removes nothing where files cannot be locked (Windows, some network drives).
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
    """Opens a temporary file that is renamed onto ``path`` when the block ends, and removed if the block raises."""
    temporary = path.with_name(f".fnn-{secrets.token_hex(8)}.tmp")
    try:
        with _locked(temporary) as file:
            yield file
            if os.name != "nt":
                os.replace(temporary, path)  # before the file is closed, and with it unlocked
        if os.name == "nt":
            os.replace(temporary, path)  # Windows cannot rename an open file
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Creates a file and holds its lock until the block ends."""
    while True:
        with open(path, "xb") as file:
            if fcntl is not None:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
            if path.exists():
                yield file
                return
        # Just before it was locked, another process took it for abandoned and removed it.


def _sync_folder(folder: Path) -> None:
    """Makes a rename durable. Windows cannot open a folder, and needs no such step."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.add_note(f"the checkpoint is in place, but a power cut may undo its rename: {folder} was not synced")
        raise
    finally:
        os.close(descriptor)
