"""Locks on a folder or a file that only one run at a time may use.

A lock is ``flock`` on a hidden file. The system drops it when its holder dies, however it dies. A file left behind
blocks nobody, and nothing is guessed from its age or from the process id in it, which only the error message uses.

``flock`` belongs to the open file, which a forked process shares: a worker that outlives a killed run would keep its
folder locked. The descriptor is therefore closed in every forked child (unlocking there would release the parent's lock
too); Python itself closes it in every program that is started.
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
"""Held while a lock is acquired or released, so that no fork can happen while a descriptor is open but not recorded."""


class Lock:
    """Locks ``place`` through the hidden ``file``, from ``acquire`` to ``release`` or for a ``with`` block.

    Until then, any other lock on the file, in this process or another, raises ``RuntimeError`` and names the holder.
    Where files cannot be locked (Windows, some network drives), it warns and does not lock.
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
        """Takes the lock or raises; never waits for another run to end. Creates missing folders."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        while not self._acquire():
            pass  # its holder has just removed the file that was opened

    def release(self) -> None:
        """Releases the lock, if it is held, and removes the hidden file."""
        with _forking:
            if self._descriptor is None:
                return
            descriptor, self._descriptor = self._descriptor, None
            _held.discard(self)
            with contextlib.suppress(OSError):
                if self._stands(descriptor):  # still locked: nobody can have replaced it
                    self.file.unlink()
            os.close(descriptor)

    def _acquire(self) -> bool:
        """Locks the file; False if another process removed it meanwhile, so that the lock is on a deleted file."""
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
                        f"{self.place} is in use by another run{_holder(descriptor)}: wait until it ends, stop it,"
                        f" or give another path"
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
        warnings.warn(f"{self.place} could not be locked ({why}): make sure that no other run uses it", stacklevel=4)


class FolderLock(Lock):
    """A lock on a folder, through the hidden file ``.fnn-lock`` in it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, FolderLock(folder):
    ...     FolderLock(folder).acquire()
    Traceback (most recent call last):
    RuntimeError: ... is in use by another run (of this process, since ...): ...
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        super().__init__(Path(folder), Path(folder) / ".fnn-lock")


class FileLock(Lock):
    """A lock on a file, which need not exist and may be replaced, through ``.NAME.fnn-lock`` in the same folder."""

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__(Path(path), Path(path).with_name(f".{Path(path).name}.fnn-lock"))


def _this_process() -> dict[str, Any]:
    return {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}


def _holder(descriptor: int) -> str:
    """Who holds a locked file, in parentheses; empty if the holder has not written it yet."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        process, host, since = int(found["process"]), str(found["host"]), time.localtime(found["since"])
    except (OSError, OverflowError, ValueError, KeyError, TypeError):
        return ""
    here = (process, host) == (os.getpid(), socket.gethostname())
    who = "of this process" if here else f"process {process} on {host}"
    return f" ({who}, since {time.strftime('%Y-%m-%d %H:%M:%S', since)})"


def _forget() -> None:
    """In a forked child: drops the parent's locks without releasing them, whatever this process does later."""
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
