"""Signals that end a run: Ctrl-C, and SIGTERM, by which a machine is taken away."""

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

HEARD = "\ninterrupted: the step under way is finished and kept; once more ends at once\n"


class Stops:
    """A context in which the first Ctrl-C, or SIGTERM, asks a run to stop: ``reason`` says so.

    A second Ctrl-C raises ``KeyboardInterrupt`` where it meets the program. On leaving, the earlier handlers stand
    again, and a SIGTERM is raised anew, so that a process ends as if it had not been held up. Only the main thread may
    set handlers: elsewhere nothing is asked. A signal that was ignored stays ignored.
    """

    def __init__(self) -> None:
        self.reason, self._terminated, self._earlier = "", False, dict[int, Any]()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number, handler in ((signal.SIGINT, self._interrupted), (signal.SIGTERM, self._told_to_end)):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._earlier[number] = signal.signal(number, handler)
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        if self._terminated:
            signal.raise_signal(signal.SIGTERM)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.reason:
            raise KeyboardInterrupt
        self.reason = "interrupted"
        _say(HEARD)

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
