"""How far a comparison is: a line on the terminal, once the work has taken a while."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

DELAY = 1.0
"""Seconds of work before there is anything to see."""

T = TypeVar("T")


class Progress:
    """A context in which work goes on: where stderr is a terminal, a line says what is done now and how much is left.

    The line comes when the work has taken ``DELAY`` seconds, in the middle of a long compilation too, and goes when the
    work ends. ``total`` is the number of its pieces, if known.

    >>> with Progress("comparing", total=2, shown=False) as progress:
    ...     list(progress.over("forward", ["kernel", "bias"]))
    ['kernel', 'bias']
    """

    def __init__(self, title: str, *, total: int | None, shown: bool = True) -> None:
        self.title, self.total, self.done, self.now = title, total, 0, ""
        self.shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._lock, self._bar = threading.Lock(), None
        self._due, self.timer = time.monotonic() + DELAY, threading.Timer(DELAY, self._show)
        self.timer.daemon = True

    def __enter__(self) -> Self:
        if self.shown:
            self.timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.timer.cancel()
        with self._lock:
            self.shown = False
            if self._bar is not None:
                self._bar.stop()

    @contextmanager
    def piece(self, what: str) -> Iterator[None]:
        """One piece of the work."""
        self.now = what
        self._show()
        yield
        self.done += 1

    def over(self, what: str, pieces: Iterable[T]) -> Iterator[T]:
        """The pieces, one after the other."""
        for each in pieces:
            with self.piece(what):
                yield each

    def _show(self) -> None:
        with self._lock:
            if self._bar is None and self.shown and time.monotonic() >= self._due:
                self._bar = _bar(self.title, self.total)
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self.done, now=self.now)


def _bar(title: str, total: int | None) -> Any:
    # Imported where it is used: importing fnn does not pay for rich.
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[now]}"),
        progress.TimeElapsedColumn(),
    )
    # The streams stay what they are: what a model prints meanwhile goes where it would go.
    alone: dict[str, Any] = {"transient": True, "redirect_stdout": False, "redirect_stderr": False}
    bar = progress.Progress(*columns, console=Console(stderr=True), **alone)
    bar.add_task(title, total=total, now="")
    bar.start()
    return bar
