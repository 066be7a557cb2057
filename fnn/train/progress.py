"""Progress on the terminal: a bar with the remaining time and the last values, or plain lines where there is none."""

from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressBar:
    """A context that shows how far a run is.

    On a terminal it is one bar that moves with every step; elsewhere (a log, a pipe) a line about ten times a run.

    >>> with ProgressBar("training", epochs=2, shown=False) as bar:
    ...     bar.epoch(0, {"loss": 1.25})
    """

    def __init__(self, title: str, *, epochs: int, steps: int = 1, shown: bool = True, console: Any = None) -> None:
        self.console = console or Console(stderr=True)
        self.title, self.epochs, self.steps, self.shown = title, epochs, steps, shown
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}"),
            console=self.console,
            disable=not (shown and self.console.is_terminal),
        )
        self.task = self.bar.add_task(title, total=epochs, values="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()

    def step(self, epoch: int, steps_done: int) -> None:
        """After some steps of an epoch."""
        self.bar.update(self.task, completed=epoch + steps_done / self.steps)

    def epoch(self, epoch: int, values: dict[str, Any]) -> None:
        """After an epoch (counted from 0), with the values of which to show the numbers; arrays are left out."""
        text = "  ".join(f"{name} {float(value):.4g}" for name, value in values.items() if np.ndim(value) == 0)
        self.bar.update(self.task, completed=epoch + 1, values=text)
        every = -(-self.epochs // 10)
        if self.shown and not self.console.is_terminal and ((epoch + 1) % every == 0 or epoch + 1 == self.epochs):
            self.console.print(f"{self.title}  epoch {epoch + 1}/{self.epochs}  {text}", soft_wrap=True)
