"""A folder, or a file, that one run at a time may use.

A lock is ``flock`` on a hidden file. The system drops it when its holder dies, whatever killed it: so a file that stays
behind blocks nobody, and nothing is guessed from its age or from the process id in it, which is there for the error
message alone.

``flock`` belongs to the open file, which a forked process shares: a worker that outlives a killed run would go on
holding its folder. So the descriptor is closed in every forked child (which leaves the parent's lock alone, as
unlocking there would not); Python itself closes it in every program that is started.
"""

import contextlib
import json
import os
import socket
import threading
import time
import warnings
from pathlib import Path
from typing import Any, Self

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_held: set["Lock"] = set()
_forking = threading.RLock()
"""Held while a lock is taken or given back, so that no process is forked when its descriptor is open and not known."""


class Lock:
    """Holds ``place`` by a lock on the hidden ``file``, from ``acquire`` to ``release`` or in a ``with`` block.

    Meanwhile any other lock on the file, in this process or in another one, is refused with ``RuntimeError``, which
    names the holder. Where files cannot be locked (Windows, some network drives) there is a warning, and no lock.
    """

    def __init__(self, place: Path, file: Path) -> None:
        self.place, self.file, self._descriptor = place, file, None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.place)!r})"

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self) -> None:
        """Takes the place or raises, and never waits for another run to end. Missing folders are made."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        while not self._acquire():
            pass  # its holder has just removed the file that was opened

    def release(self) -> None:
        """Gives the place back, if it is held; the hidden file is removed."""
        with _forking:
            if self._descriptor is None:
                return
            descriptor, self._descriptor = self._descriptor, None
            _held.discard(self)
            with contextlib.suppress(OSError):
                if self._stands(descriptor):  # still locked: nobody else can have made another one in its place
                    self.file.unlink()
            os.close(descriptor)

    def _acquire(self) -> bool:
        """Whether the file that was locked is the one that stands in the folder, and not one that was removed."""
        if fcntl is None:
            self._warn("this system has no locks")
            return True
        with _forking:
            descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise RuntimeError(
                        f"{self.place} is in use by another run{_holder(descriptor)}: wait for its end or stop"
                        f" it, or give another path"
                    ) from error
                except OSError as error:
                    self._warn(str(error))
                    return True
                if not self._stands(descriptor):
                    return False
                with contextlib.suppress(OSError):  # a full disk: the error message will name no holder
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, json.dumps(_this_process()).encode(), 0)
                _held.add(self)
                self._descriptor = descriptor
                return True
            finally:
                if self._descriptor != descriptor:
                    os.close(descriptor)

    def _stands(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.file))
        except FileNotFoundError:
            return False

    def _warn(self, why: str) -> None:
        warnings.warn(f"{self.place} could not be locked ({why}): see to it that no other run uses it", stacklevel=4)


class FolderLock(Lock):
    """A lock on a folder: the hidden file is ``.fnn-lock`` in it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder):
    ...     FolderLock(folder).acquire()
    Traceback (most recent call last):
    RuntimeError: ... is in use by another run (of this process, since ...): ...
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        super().__init__(Path(folder), Path(folder) / ".fnn-lock")


class FileLock(Lock):
    """A lock on a file, which need not be there and may be replaced: the hidden file is ``.NAME.fnn-lock`` beside."""

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__(Path(path), Path(path).with_name(f".{Path(path).name}.fnn-lock"))


def _this_process() -> dict[str, Any]:
    return {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}


def _holder(descriptor: int) -> str:
    """Who holds a locked file, in brackets; nothing if it has not said so yet."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        process, host, since = int(found["process"]), str(found["host"]), time.localtime(found["since"])
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return ""
    here = (process, host) == (os.getpid(), socket.gethostname())
    who = "of this process" if here else f"process {process} on {host}"
    return f" ({who}, since {time.strftime('%Y-%m-%d %H:%M:%S', since)})"


def _forget() -> None:
    """In a forked child: what the parent holds stays the parent's, also when this process ends or releases it."""
    try:
        while _held:
            lock = _held.pop()
            descriptor, lock._descriptor = lock._descriptor, None
            if descriptor is not None:
                os.close(descriptor)
    finally:
        _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_forget)
