"""The loop of ``fit``: calls of compiled steps, the end of every epoch, and the callbacks in between."""

import contextlib
import warnings
from collections.abc import Sequence

import jax
import numpy as np

from fnn.layer import named_key
from fnn.optim.nonfinite import skipped_in_a_row
from fnn.train.callbacks import Callback, Run, Standing
from fnn.train.compiled import compiled, compiled_ending
from fnn.train.data import Stretch
from fnn.train.evaluate import Judge
from fnn.train.pace import Pace, wait
from fnn.train.record import Ending, missing, with_validation
from fnn.train.scoring import loss_of, zeros
from fnn.train.signals import INTERRUPTED, Stops
from fnn.train.source import Source
from fnn.train.step import Learned, Training
from fnn.train.usable import BATCHES


class Loop:
    """Runs the compiled steps of a run, and calls the callbacks."""

    def __init__(
        self,
        training: Training,
        source: Source,
        judge: Judge | None,
        ending: Ending,
        key: jax.Array,
    ) -> None:
        self.training, self.source, self.judge, self.ending, self.key = training, source, judge, ending, key
        self._functions = compiled(training)
        self._end_of_epoch, self._pace, self._stops = compiled_ending(ending).end_of_epoch, Pace(), Stops()

    def drive(self, run: Run, callbacks: Sequence[Callback]) -> None:
        """Runs until the last epoch, or until the run is stopped, and calls the callbacks."""
        self._callbacks, told = callbacks, list[Callback]()
        with self._stops:
            try:
                for callback in callbacks:
                    callback.on_start(run)
                    told.append(callback)
                while run.epoch < run.epochs and not self._stopped(run):
                    stopping = self.ending.early_stopping
                    if stopping is not None and self.ending.over(run.standing.record):
                        run.stop(f"no better {stopping.monitor} in {stopping.patience} epochs")
                    elif self._steps(run):
                        self._end(run)
            except BaseException:
                run.failed = True
                raise
            finally:
                with contextlib.ExitStack() as ends:  # last in, first out; an error stops none of them
                    for callback in reversed(told):
                        ends.callback(callback.on_end, run)

    def usable(self, standing: Standing, *, epoch_ends: bool = False) -> Learned:
        """The weights to use at a standing; ``epoch_ends``: the end of the epoch is still to come."""
        if not standing.steps:
            return standing.learned
        number = standing.epoch - (standing.step == 0)
        key = self._key(number)
        batches, count = self.source.beginning(number, key, standing.step)
        last = standing.epoch + epoch_ends == self.ending.epochs
        return self._functions.usable(standing.learned, batches, min(count, BATCHES), key, last)

    def _key(self, epoch: int) -> jax.Array:
        """The key of an epoch."""
        return jax.random.fold_in(named_key(self.key, "epochs"), epoch)

    def _stopped(self, run: Run) -> bool:
        if self._stops.reason:
            run.stop(self._stops.reason)
        return bool(run.ending)

    def _steps(self, run: Run) -> bool:
        """Runs the remaining steps of the epoch; False if the run is stopped before they are done."""
        key = self._key(run.epoch)
        with contextlib.closing(self.source.epoch(run.epoch, key, run.step)) as stretches:
            for stretch in stretches:
                for steps in self._pace.calls(stretch):
                    self._call(run, steps, key)
                    self._tell("on_steps", run)
                    if self._stopped(run):
                        return False
                if self._stopped(run):
                    return False
        return True

    def _call(self, run: Run, steps: Stretch, key: jax.Array) -> None:
        standing, (batches, start, stop) = run.standing, steps
        finite = np.isfinite(loss_of(standing.totals)["sum"])
        with self._pace.call(steps):
            learned, totals = self._functions.steps(run.taken(), standing.totals, batches, key, start, stop)
            wait(totals)
        if finite and not np.isfinite(loss_of(totals)["sum"]):
            self.source.explain(self.training.objective, learned.params, learned.state, steps)
        taken = stop - start
        run.standing = standing._replace(
            learned=learned, totals=totals, step=standing.step + taken, steps=standing.steps + taken
        )

    def _end(self, run: Run) -> None:
        standing, epoch = run.standing, run.epoch
        values, usable = self._functions.values(standing.totals), standing.learned
        values = values | self.training.spent(epoch + 1)
        if run.apart and self.ending.needs_usable(epoch):
            usable = self.usable(standing, epoch_ends=True)
        if self.judge is not None and self.ending.validates(epoch):
            judged = self.judge(usable.params, usable.state, lambda: self._stops.reason)
            if judged is None:  # interrupted: the epoch ends when the run is resumed
                return
            values = with_validation(values, judged)
        if not np.isfinite(values["loss"]):
            self._warn(run, weighed=bool(loss_of(standing.totals)["weight"]))
        values = {name: missing(entry.shape, entry.dtype) for name, entry in run.entries.items()} | values
        record, row = self._end_of_epoch(standing.record, values, usable), jax.device_get(values)
        run.standing = standing._replace(
            totals=zeros(standing.totals),
            record=record,
            epoch=epoch + 1,
            step=0,
            values={name: row[name] for name in run.names},  # JAX sorts its dicts
        )
        if usable is not standing.learned:
            run.now_usable(usable)
        self._tell("on_epoch", run)

    def _warn(self, run: Run, *, weighed: bool) -> None:
        """Warns the first time that a loss is not finite."""
        if not np.isfinite(run.history["loss"]).all():
            return
        why = "smaller steps, fnn.optim.clip_by_global_norm or fnn.optim.skip_nonfinite may help"
        if not weighed:
            skipped = skipped_in_a_row(run.standing.learned.opt_state)
            why = "skip_nonfinite skipped all of its steps" if skipped else "all of its weights are 0"
        warnings.warn(f"the loss of epoch {run.epoch + 1} is not finite: {why}", RuntimeWarning, stacklevel=5)

    def _tell(self, moment: str, run: Run) -> None:
        """Calls all callbacks; if one raises ``KeyboardInterrupt``, the run ends after the others were called."""
        for callback in self._callbacks:
            try:
                getattr(callback, moment)(run)
            except KeyboardInterrupt:
                if self._stops.reason:  # the second interrupt
                    raise
                run.stop(INTERRUPTED)
