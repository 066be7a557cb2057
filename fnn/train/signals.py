"""Signals that end a run: Ctrl-C, and SIGTERM, which comes before a machine is taken away."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

HEARD = "\ninterrupted: finishing and keeping the current step; a second interrupt ends at once, without saving\n"


INTERRUPTED, TERMINATED = "interrupted", "stopped by SIGTERM"
"""Why a run was stopped, in the words of ``run.ending``."""


class Stops:
    """A context in which the first Ctrl-C, or SIGTERM, asks a run to stop: ``reason`` then says why.

    A thread acknowledges the first Ctrl-C at once, because Python handles a signal only when it is back from native
    code, such as a compilation. A second Ctrl-C raises ``KeyboardInterrupt`` wherever the program is. On exit the
    earlier handlers are restored and a SIGTERM is raised again, so that the process still ends. Only the main thread
    may set handlers; in other threads this does nothing. Signals that were ignored stay ignored.
    """

    def __init__(self) -> None:
        self.reason, self._terminated, self._earlier = "", False, dict[int, Any]()
        self._unsaid, self._woken = [HEARD], -1

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGINT, self._interrupted), (signal.SIGTERM, self._told_to_end)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._earlier[number] = signal.signal(number, handler)
            if signal.SIGINT in self._earlier:
                self._listen()
        return self

    def __exit__(self, *raised: object) -> None:
        try:
            if self._woken >= 0:
                signal.set_wakeup_fd(-1)
                os.write(self._woken, b"\0")  # closing would not end it: a forked process may hold the pipe open
                self._thread.join()
                os.close(self._woken)
                self._woken = -1
        finally:
            for number, handler in self._earlier.items():
                signal.signal(number, handler)
        if self._terminated:
            signal.raise_signal(signal.SIGTERM)

    def _listen(self) -> None:
        """Starts a thread that is told of signals, unless another reader is set (asyncio, an outer run)."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        if (other := signal.set_wakeup_fd(writing, warn_on_full_buffer=False)) >= 0:
            signal.set_wakeup_fd(other)
            os.close(reading)
            os.close(writing)
            return
        self._woken = writing
        self._thread = threading.Thread(target=self._acknowledge, args=(reading,), daemon=True, name="fnn signals")
        self._thread.start()

    def _acknowledge(self, reading: int) -> None:
        with open(reading, "rb", buffering=0) as signals:
            numbers = b"\1"  # no signal has number 0, so a 0 ends the thread
            while numbers and 0 not in numbers:
                numbers = signals.read(64)
                if signal.SIGINT in numbers:
                    self._say_once()

    def _say_once(self) -> None:
        with contextlib.suppress(IndexError):
            _say(self._unsaid.pop())

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.reason:
            raise KeyboardInterrupt
        self.reason = INTERRUPTED
        self._say_once()

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.reason, self._terminated = self.reason or TERMINATED, True


def _say(words: str) -> None:
    """Writes to stderr past Python's buffers: the handler may have interrupted a write."""
    with contextlib.suppress(Exception):
        try:
            os.write(sys.stderr.fileno(), words.encode())
        except (AttributeError, OSError, ValueError):  # stderr is not a file: a notebook, say
            sys.stderr.write(words)
