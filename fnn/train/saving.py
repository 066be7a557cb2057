"""Checkpoints of a run: everything its next step depends on, so that a run that was killed goes on as if it had not."""

import math
import os
import tempfile
import time
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from fnn.checkpoint.folder import CheckpointFolder
from fnn.checkpoint.lock import FolderLock
from fnn.errors import positive
from fnn.guards.options import path_of
from fnn.guards.ranges import AT_LEAST_ZERO, in_range
from fnn.optim.nonfinite import skipped_in_a_row
from fnn.train.callbacks import Callback, Run, Standing
from fnn.train.early_stopping import direction
from fnn.train.record import missing
from fnn.train.snapshot import learned_of, place_of, read, tree_of, usable_of

VALIDATION_LOSS = "validation_loss"


class Checkpoints(Callback):
    """Saves a run in a folder: between two calls of compiled steps once ``every_seconds`` have passed, and at its end.

    A checkpoint holds the weights to use as of then (``params`` and ``state``: ``fnn.load(path, like={"params": params,
    "state": state}, ignore="*")`` has them), what training goes on with, the key, the sums of the epoch under way,
    early stopping, the history and the place in the data. A run that is killed at any moment and begun again with
    ``fit(…, resume=True)`` ends with the bits of one that was not, on the same machine: when it is saved changes
    nothing, and arrays are read from where it stood. A loader is gone through again up to there, epochs that are
    skipped included, and must begin each as it did; give a list, or a function of the epoch, to save the reading.
    Callbacks keep what they know themselves. ``params`` and ``state`` that ``fit`` is given are where a run begins, not
    where it goes on.

    Only more ``epochs`` and other callbacks can be given to a run that goes on. All else is compared as it was written
    down: layers, loss, optimiser and schedules with their numbers, functions with their code and what they capture,
    every byte of arrays (of other iterables the first batch of each epoch). ``ValueError`` names the part that differs.
    What cannot be compared is told of in a warning. One run at a time saves in a folder: ``RuntimeError`` for a second.
    A save that fails while the run goes on, or at its end, is a warning: what was learned is not lost to a full disk.

    The last ``keep_last`` files stay, and the ``keep_best`` ends of epochs by ``monitor``, an entry of the history (a
    loss is best when low, a metric as it says itself). Saving before the next epoch is then not left out for time.

    ``roll_back_after`` goes with ``skip_nonfinite``: after so many steps in a row that were not finite (seen between
    calls) the run takes what it had learned at the last checkpoint, which is saved after a finite step only, and goes
    on with the next data; if no step is finite then either, at the checkpoint before. ``RuntimeError`` if none is left.

    >>> Checkpoints("runs/digits", keep_last=3, keep_best=1)
    Checkpoints('runs/digits', every_seconds=60.0, keep_last=3, keep_best=1, monitor='validation_loss')
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        every_seconds: float = 60.0,
        keep_last: int = 2,
        keep_best: int = 0,
        monitor: str = VALIDATION_LOSS,
        roll_back_after: int | None = None,
    ) -> None:
        folder = path_of("folder", folder)
        in_range("every_seconds", every_seconds, AT_LEAST_ZERO)
        if not isinstance(monitor, str):
            raise TypeError(f"monitor is the name of an entry of the history, got {monitor!r}")
        if roll_back_after is not None:
            positive("roll_back_after", roll_back_after)
        self._files = CheckpointFolder(folder, keep_last=keep_last, keep_best=keep_best)
        if monitor != VALIDATION_LOSS and not keep_best:
            raise ValueError(
                f"monitor={monitor!r} says which checkpoints are the best: give keep_best, how many to keep"
            )
        self._opened = self._forced = False
        self.every_seconds, self.keep_last, self.keep_best = every_seconds, keep_last, keep_best
        self.folder, self.monitor, self.roll_back_after = folder, monitor, roll_back_after

    def __repr__(self) -> str:
        options = f"every_seconds={self.every_seconds}, keep_last={self.keep_last}, keep_best={self.keep_best}"
        rolls_back = f", roll_back_after={self.roll_back_after}" if self.roll_back_after else ""
        return f"Checkpoints({str(self.folder)!r}, {options}, monitor={self.monitor!r}{rolls_back})"

    def held(self) -> FolderLock:
        """A context in which no other run saves in the folder: ``RuntimeError`` if one does already."""
        return FolderLock(self.folder)

    def open(self, run: Run, *, resume: bool | str) -> None:
        """Puts the run where its last checkpoint was, if it is to be resumed and there is one."""
        if self.keep_best and (self.monitor not in run.names or run.entries[self.monitor].shape):
            numbers = [name for name, entry in run.entries.items() if not entry.shape]
            raise ValueError(
                f"checkpoints are to be the best by {self.monitor!r}, but the numbers in the history are {numbers}"
            )
        if self.roll_back_after and skipped_in_a_row(run.standing.learned.opt_state) is None:
            raise ValueError("roll_back_after goes with fnn.optim.skip_nonfinite(…), which counts the steps left out")
        self._files = CheckpointFolder(
            self.folder,
            keep_last=self.keep_last,
            keep_best=self.keep_best,
            higher_is_better=direction(self.monitor, run.metrics) > 0,
        )
        self._opened, self._saved, self._forced = True, None, resume == "force"
        self._when, self._rolled_back = time.monotonic(), None
        if self.keep_best:
            self._files.check_direction()
        latest = self._files.latest()
        if latest is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()  # raises now, not after the first hour, if it cannot
            return
        if not resume:
            raise ValueError(
                f"{self.folder} holds checkpoints of a run, {latest.name} the last: write resume=True to go on with it,"
                f" or give another folder"
            )
        self._restore(run, latest)

    def on_start(self, run: Run) -> None:
        if not self._opened:
            raise ValueError("Checkpoints are no callback of their own: write fit(…, checkpoint=Checkpoints(…))")

    def on_steps(self, run: Run) -> None:
        if self.roll_back_after and not self._all_is_well(run):
            return
        if time.monotonic() - self._when >= self.every_seconds:
            self._save(run)

    def on_epoch(self, run: Run) -> None:
        if self.keep_best or time.monotonic() - self._when >= self.every_seconds:
            self._save(run)

    def on_end(self, run: Run) -> None:
        if not run.failed:
            self._save(run)

    def _save(self, run: Run) -> None:
        streak = skipped_in_a_row(run.standing.learned.opt_state)
        unsound = self.roll_back_after and streak is not None and int(streak)
        # The end of an epoch is another place than its last step, though no step lies between.
        place = (run.steps, run.epoch)
        rolled_back = self._rolled_back is not None and self._rolled_back[0] == run.steps
        if place == self._saved or unsound or rolled_back:
            return
        ended = run.epoch and run.step == 0 and self.monitor in run.names
        score = None
        if ended and self.keep_best:  # an epoch whose loss is not finite is never the best
            value, entry = run.values[self.monitor], run.entries[self.monitor]
            judged = not self.monitor.startswith("validation_") or value != np.asarray(missing((), entry.dtype))
            score = float(value) if judged and np.isfinite(run.values["loss"]) else math.nan
        try:
            self._files.save(run.steps, tree_of(run), place_of(run), score)
            self._saved = place
        except OSError as error:
            warnings.warn(f"step {run.steps} of the run could not be saved: {error}", stacklevel=2)
        self._when = time.monotonic()

    def _restore(self, run: Run, path: Path) -> None:
        place, tree = read(path, run, forced=self._forced)
        epoch, record = place["epoch"], run.standing.record
        history = {name: whole.at[:epoch].set(tree["history"][name]) for name, whole in record.history.items() if epoch}
        record = record._replace(epoch=jnp.array(epoch, jnp.int32), watch=tree["watch"])
        record = record._replace(history=history or record.history)
        values = {name: np.asarray(history[name][epoch - 1]) for name in run.names} if epoch else {}
        run.standing = Standing(learned_of(tree), tree["totals"], record, epoch, place["step"], place["steps"], values)
        # The remainder of micro-batches is in them only at the end of a run, which may be another one now.
        flushed = "opt_state" in tree.get("training", {})
        if run.apart and not self._forced and (not flushed or place["over"] == (epoch == run.epochs)):
            run.now_usable(usable_of(tree))
        run.expect([] if self._forced else place["firsts"])
        self._saved = (run.steps, run.epoch)

    def _all_is_well(self, run: Run) -> bool:
        """Whether few enough of the last steps were left out; rolls the run back if not."""
        streak = int(skipped_in_a_row(run.standing.learned.opt_state))  # pyright: ignore[reportArgumentType]
        if streak < self.roll_back_after:  # pyright: ignore[reportOperatorIssue]
            return True
        # No step was finite since the last time: that checkpoint was spoiled before it was saved. Try the one before.
        again = self._rolled_back is not None and streak == run.steps - self._rolled_back[0]
        older = [path for path in self._files.paths() if path < self._rolled_back[1]] if again else []
        path = (older or [None])[-1] if again else self._files.latest()
        if path is None:
            raise RuntimeError(
                f"{streak} steps in a row were not finite, and there is no{' earlier' if again else ''} checkpoint to"
                f" roll back to: the data are at fault, or what was learned was spoiled before; smaller steps may help"
            )
        run.standing = run.standing._replace(learned=learned_of(read(path, run, forced=self._forced)[1]))
        self._rolled_back = (run.steps, path)
        return False
