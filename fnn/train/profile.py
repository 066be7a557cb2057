"""A trace of a few seconds of training, made by JAX's profiler."""

import os
import tempfile
import time
import warnings

import jax

from fnn.guards.options import path_of
from fnn.train.callbacks import Callback, Run
from fnn.train.going_on import say

SECONDS = 10.0
"""About how long a trace may become: every operation is an event, and viewers open no more than some million."""


class Profile(Callback):
    """Traces the second epoch of a call of ``fit``, or its first ten seconds, into a folder.

    By then everything is compiled. If the call has a single epoch, its steps after the first call of steps are traced.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = path_of("profile", folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"profile is a folder, but {self.folder} is a file")
        self.folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=self.folder).close()  # raises now, not after the first epoch

    def on_start(self, run: Run) -> None:
        self._begun, self._from, self._until, self._when = run.epoch, -1, -1, 0.0

    def on_steps(self, run: Run) -> None:
        if run.epochs - self._begun == 1:
            self._start(run)
        if self._when and time.monotonic() - self._when > SECONDS:
            self._stop(run)

    def on_epoch(self, run: Run) -> None:
        self._stop(run)
        if run.epoch == self._begun + 1 < run.epochs:
            self._start(run)

    def on_end(self, run: Run) -> None:
        self._stop(run)
        if self._until <= max(self._from, 0):
            say(run, f"left no trace in {self.folder}")
        else:
            say(
                run,
                f"steps {self._from + 1} to {self._until} are traced in {self.folder}: open the .trace.json.gz in there"
                f" at https://ui.perfetto.dev, or run tensorboard --logdir {self.folder} (with xprof installed)",
            )

    def _start(self, run: Run) -> None:
        if self._from >= 0:
            return
        self._from = self._until = run.steps
        try:
            jax.profiler.start_trace(self.folder)
        except RuntimeError as error:  # another trace is being made
            warnings.warn(f"the run is not traced: {error}", RuntimeWarning, stacklevel=2)
            return
        self._when = time.monotonic()

    def _stop(self, run: Run) -> None:
        if self._when:
            jax.profiler.stop_trace()
            self._when, self._until = 0.0, run.steps
