"""Signals that end a run: Ctrl-C, and SIGTERM, by which a machine is taken away."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

HEARD = "\ninterrupted: the step under way is finished and kept; once more ends at once, without saving\n"


class Stops:
    """A context in which the first Ctrl-C, or SIGTERM, asks a run to stop: ``reason`` says so.

    A first one is acknowledged at once, by a thread: Python itself handles a signal only when it is back from a
    compilation, say. A second Ctrl-C raises ``KeyboardInterrupt`` where it meets the program. On leaving, the earlier
    handlers stand again, and a SIGTERM is raised anew, so that a process ends as if it had not been held up. Only the
    main thread may set handlers: elsewhere nothing is asked. A signal that was ignored stays ignored.
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
                os.write(self._woken, b"\0")  # closing is no end for the thread: a forked process may hold it open
                self._thread.join()
                os.close(self._woken)
                self._woken = -1
        finally:
            for number, handler in self._earlier.items():
                signal.signal(number, handler)
        if self._terminated:
            signal.raise_signal(signal.SIGTERM)

    def _listen(self) -> None:
        """Has the system tell a thread of signals, unless it tells somebody else already (asyncio, a run outside)."""
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
            numbers = b"\1"  # no signal is 0, which ends it
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
        self.reason = "interrupted"
        self._say_once()

    def _told_to_end(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.reason, self._terminated = self.reason or "told to end by SIGTERM", True


def _say(words: str) -> None:
    """To where errors go, past Python's own buffers: a handler may have come in the middle of a line."""
    with contextlib.suppress(Exception):
        try:
            os.write(sys.stderr.fileno(), words.encode())
        except (AttributeError, OSError, ValueError):  # no file: a notebook, say
            sys.stderr.write(words)
