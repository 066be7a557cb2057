"""Progress: a bar with the remaining time and the latest values on a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Any, Self

import numpy as np

from fnn.train.callbacks import Callback, Run
from fnn.train.going_on import interrupted

NOT_SAVED = "what it learned is returned and not saved; checkpoint= saves it, and resume=True then goes on"


class ProgressBar:
    """A context that shows how far a run is.

    On a terminal it is a bar that moves with every step; elsewhere (a log, a pipe) it prints about ten lines per run.

    >>> with ProgressBar("training", epochs=2, shown=False) as bar:
    ...     bar.epoch(0, {"loss": 1.25})
    """

    def __init__(self, title: str, *, epochs: int, steps: int = 1, shown: bool = True, console: Any = None) -> None:
        # Imported here, so that importing fnn does not import rich.
        from rich import progress
        from rich.console import Console

        self.console = console or Console(stderr=True)
        self.title, self.epochs, self.steps, self.shown = title, epochs, steps, shown
        columns, self.room = _columns(self.console.width, len(f"{title} {epochs}/{epochs} epochs"))
        self.bar = progress.Progress(
            *columns,
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task(title, total=epochs, values="", rate="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def step(self, epoch: int, steps_done: int, rate: str = "") -> None:
        """Shows progress within an epoch, and the rate."""
        self.bar.update(self.task, completed=epoch + min(steps_done / self.steps, 1), rate=rate)

    def epoch(self, epoch: int, values: dict[str, Any], rate: str = "") -> None:
        """Shows the end of an epoch (counted from 0) with its values; arrays are left out."""
        words = [f"{name} {float(value):.4g}" for name, value in values.items() if np.ndim(value) == 0]
        fitting = next((n for n in range(len(words), 0, -1) if len("  ".join(words[:n])) <= self.room), 0)
        self.bar.update(self.task, completed=epoch + 1, values="  ".join(words[:fitting]))
        text = "  ".join(words)
        every = -(-self.epochs // 10)
        if self.shown and not self.console.is_terminal and ((epoch + 1) % every == 0 or epoch + 1 == self.epochs):
            line = "  ".join(part for part in (f"{self.title}  epoch {epoch + 1}/{self.epochs}", rate, text) if part)
            self.console.print(line, soft_wrap=True)


def _columns(width: int, words: int) -> tuple[list[Any], int]:
    """The columns that a terminal of that width has room for, none squeezed, and the room for the epoch's values.

    ``words`` is the room of the title and the epochs, which always stand there. The values have first claim to the
    rest, then the remaining time, the rate, the bar and the time that has passed: whichever still fits.
    """
    from rich import progress
    from rich.table import Column

    def text(content: str) -> Any:
        return progress.TextColumn(content, table_column=Column(no_wrap=True))

    room = width - words
    times = [text("left"), progress.TimeRemainingColumn(table_column=Column(no_wrap=True))]
    wanted = {  # the most wanted first, each with the room that it takes, a blank included
        "values": (36 if width >= 80 else 26, [text("{task.fields[values]}")]),
        "times": (13, times),
        "rate": (20, [text("{task.fields[rate]}")]),
        "bar": (11, [progress.BarColumn(10)]),
        "elapsed": (8, [progress.TimeElapsedColumn(table_column=Column(no_wrap=True))]),
    }
    shown: dict[str, list[Any]] = {}
    for name, (size, columns) in wanted.items():
        fits = size <= room
        room -= size * fits
        shown[name] = columns * fits
    epochs = [progress.MofNCompleteColumn(table_column=Column(no_wrap=True)), text("epochs")]
    order = (shown["bar"], epochs, shown["elapsed"], shown["times"], shown["rate"], shown["values"])
    for_values = wanted["values"][0] - 1 + room if shown["values"] else 0
    return [text("{task.description}"), *(column for columns in order for column in columns)], for_values


class ShowProgress(Callback):
    """The progress bar of ``fit``, with the samples per second of the current epoch, compilation not counted.

    ``saved``: what is learned goes into checkpoints, which say themselves how to go on after an interrupt.
    """

    def __init__(self, *, saved: bool = True) -> None:
        self._saved = saved

    def on_start(self, run: Run) -> None:
        self._bar = ProgressBar("training", epochs=run.epochs, steps=run.count or 1)
        self._bar.__enter__()
        self._began = self._start = None

    def on_steps(self, run: Run) -> None:
        if self._began is None:  # the first call of the run compiles: count from here
            self._count_from(run)
        if run.count:
            self._bar.step(run.epoch, run.step, self._rate(run))

    def on_epoch(self, run: Run) -> None:
        self._bar.epoch(run.epoch - 1, run.values, self._rate(run))
        self._count_from(run)

    def on_end(self, run: Run) -> None:
        self._bar.__exit__(None, None, None)
        if run.ending:
            lost = "" if self._saved or not interrupted(run) else f"; {NOT_SAVED}"
            ended = f"{self._bar.title} ended after {run.steps} steps: {run.ending}{lost}"
            self._bar.console.print(ended, soft_wrap=True)

    def _count_from(self, run: Run) -> None:
        self._began, self._start = time.perf_counter(), run.steps

    def _rate(self, run: Run) -> str:
        if self._began is None or self._start is None or run.steps == self._start:
            return ""
        return f"{(run.steps - self._start) * run.batch_size / (time.perf_counter() - self._began):,.0f} samples/s"
