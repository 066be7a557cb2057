"""Checkpoints of a run: everything its next step depends on, so that a killed run resumes as if it had not stopped."""

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
from fnn.train.going_on import interrupted, resumed, say
from fnn.train.record import missing
from fnn.train.snapshot import learned_of, place_of, read, tree_of, usable_of

VALIDATION_LOSS = "validation_loss"


class Checkpoints(Callback):
    """Saves a run in a folder: between calls of compiled steps, every ``every_seconds``, and at the end of the run.

    A checkpoint holds the current weights to use (``params`` and ``state``, which ``fnn.load(path, like={"params":
    params, "state": state}, ignore="*")`` returns), what training continues with, the key, the sums of the current
    epoch, early stopping, the history and the position in the data. A run that is killed at any moment and resumed with
    ``fit(…, resume=True)`` ends with the same bits as one that was not, on the same machine, whenever it was saved.
    Arrays are read from the saved position. A loader is iterated again up to there, skipped epochs included, and must
    begin each epoch as before; a list, or a function of the epoch, saves the reading. Callbacks keep their own records.
    ``params`` and ``state`` given to ``fit`` are where a run begins, not where it resumes.

    A resumed run may have more ``epochs`` and other callbacks. Everything else is compared with what was saved: layers,
    loss, optimiser and schedules with their numbers, functions with their code and what they capture, every byte of
    arrays (for other iterables the first batch of each epoch). ``ValueError`` names the part that differs; a warning
    names what cannot be compared. Only one run at a time may save in a folder: a second one raises ``RuntimeError``. A
    save that fails during the run, or at its end, is a warning: a full disk does not lose what was learned.

    Keeps the last ``keep_last`` files, and the ``keep_best`` ends of epochs by ``monitor``, an entry of the history (a
    loss is best when low, a metric declares its direction). With ``keep_best`` every epoch is saved at its end.

    ``roll_back_after`` goes with ``skip_nonfinite``: after that many steps in a row that were not finite (checked
    between calls) the run goes back to what it had learned at the last checkpoint, which is only saved after a finite
    step, and continues with the next data; if no step is finite then either, to the checkpoint before. ``RuntimeError``
    if none is left.

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
        """A context in which no other run can save in the folder; ``RuntimeError`` if one already does."""
        return FolderLock(self.folder)

    def open(self, run: Run, *, resume: bool | str) -> None:
        """Restores the run from its last checkpoint, if it is to be resumed and there is one."""
        if self.keep_best and (self.monitor not in run.names or run.entries[self.monitor].shape):
            numbers = [name for name, entry in run.entries.items() if not entry.shape]
            raise ValueError(
                f"the best checkpoints are chosen by {self.monitor!r}, but the numbers in the history are {numbers}"
            )
        if self.roll_back_after and skipped_in_a_row(run.standing.learned.opt_state) is None:
            raise ValueError("roll_back_after needs fnn.optim.skip_nonfinite(…), which counts the skipped steps")
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
        if latest is None and resume:
            say(run, f"begins at the first step: there is no checkpoint in {self.folder} yet")
        if latest is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()  # raises now, not after the first hour
            return
        if not resume:
            raise ValueError(
                f"{self.folder} holds checkpoints of a run, {latest.name} the last: write resume=True to resume it, or"
                f" give another folder"
            )
        self._restore(run, latest)
        say(run, resumed(run, latest))

    def on_start(self, run: Run) -> None:
        if not self._opened:
            raise ValueError("Checkpoints do not go into callbacks: write fit(…, checkpoint=Checkpoints(…))")

    def on_steps(self, run: Run) -> None:
        if self.roll_back_after and not self._all_is_well(run):
            return
        if time.monotonic() - self._when >= self.every_seconds:
            self._save(run)

    def on_epoch(self, run: Run) -> None:
        if self.keep_best or time.monotonic() - self._when >= self.every_seconds:
            self._save(run)

    def on_end(self, run: Run) -> None:
        if run.failed:
            return
        self._save(run)
        if interrupted(run) and self._saved is not None and (path := self._files.latest()) is not None:
            say(run, f"is saved in {path}: the same call with resume=True goes on from there")

    def _save(self, run: Run) -> None:
        streak = skipped_in_a_row(run.standing.learned.opt_state)
        unsound = self.roll_back_after and streak is not None and int(streak)
        # The end of an epoch is a different position from its last step, although no step lies between.
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
        # Saved weights to use include leftover micro-batches only at the end of a run, and the end may have moved.
        flushed = "opt_state" in tree.get("training", {})
        if run.apart and not self._forced and (not flushed or place["over"] == (epoch == run.epochs)):
            run.now_usable(usable_of(tree))
        run.expect([] if self._forced else place["firsts"])
        self._saved = (run.steps, run.epoch)

    def _all_is_well(self, run: Run) -> bool:
        """Whether few enough of the last steps were skipped; if not, rolls the run back."""
        streak = int(skipped_in_a_row(run.standing.learned.opt_state))  # pyright: ignore[reportArgumentType]
        if streak < self.roll_back_after:  # pyright: ignore[reportOperatorIssue]
            return True
        # No step since then was finite: that checkpoint was spoiled before it was saved. Try the one before.
        again = self._rolled_back is not None and streak == run.steps - self._rolled_back[0]
        older = [path for path in self._files.paths() if path < self._rolled_back[1]] if again else []
        path = (older or [None])[-1] if again else self._files.latest()
        if path is None:
            raise RuntimeError(
                f"{streak} steps in a row were not finite, and there is no{' earlier' if again else ''} checkpoint to"
                f" roll back to: the data are bad, or the weights were spoiled before; a smaller rate may help"
            )
        run.standing = run.standing._replace(learned=learned_of(read(path, run, forced=self._forced)[1]))
        self._rolled_back = (run.steps, path)
        return False
