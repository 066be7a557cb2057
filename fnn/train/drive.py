"""The loop of ``fit``: calls of compiled steps, the end of every epoch, and the callbacks in between."""

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fnn.layer import named_key
from fnn.train.callbacks import Callback, Run, Standing
from fnn.train.early_stopping import EarlyStopping
from fnn.train.feed import Feed
from fnn.train.loops import missing
from fnn.train.step import Learned, Totals, with_validation


@dataclasses.dataclass(frozen=True)
class Drive:
    """A run and what moves it.

    ``values`` makes the values of an epoch of its totals, ``evaluate`` those of validation after ``every`` epochs.
    """

    run: Run
    feed: Feed
    values: Callable[[Totals], dict[str, Any]]
    evaluate: Callable[[Learned], dict[str, Any]] | None
    every: int
    callbacks: Sequence[Callback]
    stopping: EarlyStopping | None

    def to_the_end(self) -> None:
        """Runs until the last epoch, or until the run is stopped, and tells the callbacks."""
        run, started = self.run, []
        try:
            for callback in self.callbacks:
                callback.on_start(run)
                started.append(callback)
            while run.epoch < run.epochs and not run.ending:
                if self.stopping is not None and run.watch is not None and self.stopping.stops(run.watch):
                    run.stop(f"no better {self.stopping.monitor} in {self.stopping.patience} epochs")
                elif self._steps():
                    self._end_of_epoch()
        except KeyboardInterrupt:
            run.stop("interrupted")
        except BaseException:
            run.failed = True
            raise
        finally:
            with contextlib.ExitStack() as ends:  # the last pushed comes first; an error keeps none from its turn
                for callback in reversed(started):
                    ends.callback(callback.on_end, run)
                ends.callback(self.feed.close)

    def _steps(self) -> bool:
        """The steps of the epoch that are left; False if a callback stops the run before they are done."""
        run = self.run
        self.feed.begin(run.epoch, jax.random.fold_in(named_key(run.key, "epochs"), run.epoch), run.step)
        while True:
            learned, totals, taken = self.feed.advance(run.learned, run.totals)
            if not taken:
                return True
            self._go_on_to(
                run.standing._replace(learned=learned, totals=totals, step=run.step + taken, steps=run.steps + taken),
                "on_steps",
            )
            if run.ending:
                return False

    def _end_of_epoch(self) -> None:
        run = self.run
        values, watch = self.values(run.totals), run.watch
        if self.evaluate is not None and ((run.epoch + 1) % self.every == 0 or run.epoch + 1 == run.epochs):
            values = with_validation(values, self.evaluate(run.learned))
        if self.stopping is not None and watch is not None and self.stopping.monitor in values:
            sign = self.stopping.sign(run.metrics)
            watch = self.stopping.update(watch, values[self.stopping.monitor], run.learned, sign)
        values = {name: missing(entry.shape, entry.dtype) for name, entry in run.entries.items()} | values
        row = jax.device_get(values)
        row = {name: row[name] for name in run.names}  # JAX sorts its dicts
        totals = self.feed.no_totals(run.learned)
        if not np.isfinite(row["loss"]) and all(np.isfinite(before["loss"]) for before in run.standing.rows):
            warnings.warn(
                f"the loss of epoch {run.epoch + 1} is not finite: smaller steps, fnn.optim.clip_by_global_norm or"
                f" fnn.optim.skip_nonfinite may help",
                RuntimeWarning,
                stacklevel=2,
            )
        rows = (*run.standing.rows, row)
        ended = run.standing._replace(totals=totals, watch=watch, epoch=run.epoch + 1, step=0, rows=rows)
        self._go_on_to(ended, "on_epoch")

    def _go_on_to(self, standing: Standing, moment: str) -> None:
        """Tells the callbacks of a new standing: all of them, or, interrupted, it is as if it had not come to that."""
        before, self.run.standing = self.run.standing, standing
        try:
            for callback in self.callbacks:
                getattr(callback, moment)(self.run)
        except KeyboardInterrupt:
            self.run.standing = before
            raise
