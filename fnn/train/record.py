"""The record of a run, and its update at the end of an epoch: one pure function for ``make_train`` and ``fit``."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.train.early_stopping import EarlyStopping, Watch
from fnn.train.step import Learned
from fnn.values import Value


class Record(NamedTuple):
    """A run after ``epoch`` epochs: ``history`` has room for all epochs, with missing values for those to come."""

    epoch: jax.Array
    history: dict[str, jax.Array]
    watch: Watch | None = None


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Ending(Value):
    """What happens at the end of an epoch, in a run of ``epochs`` epochs whose history has these ``names``."""

    epochs: int
    names: tuple[str, ...]
    validate_every: int = 1
    early_stopping: EarlyStopping | None = None
    sign: int = -1
    private: bool = False
    """Whether nothing may be chosen by the training loss, not even by its being finite."""

    def __post_init__(self) -> None:
        if self.early_stopping is not None:
            self.early_stopping.check(self.names)

    def start(self, entries: dict[str, Any], usable: Learned) -> Record:
        """The record before the first epoch. ``entries`` holds the shapes and dtypes of an epoch's values."""
        history = {name: missing((self.epochs, *entries[name].shape), entries[name].dtype) for name in self.names}
        watch = None if self.early_stopping is None else self.early_stopping.start(usable)
        return Record(jnp.array(0, jnp.int32), history, watch)

    def validates(self, epoch: Any) -> Any:
        """Whether to validate after an epoch (counted from 0): every ``validate_every`` epochs, and after the last."""
        return ((epoch + 1) % self.validate_every == 0) | (epoch + 1 == self.epochs)

    def judges(self, epoch: Any) -> Any:
        """Whether early stopping judges an epoch: one that has the monitored entry."""
        if self.early_stopping is None:
            return False
        watches = self.early_stopping.monitor.startswith("validation_")
        return self.validates(epoch) if watches and self.validate_every > 1 else True

    def needs_usable(self, epoch: Any) -> Any:
        """Whether the end of an epoch needs the weights to use."""
        validated = any(name.startswith("validation_") for name in self.names)
        return self.judges(epoch) | self.validates(epoch) if validated else self.judges(epoch)

    def end_of_epoch(self, record: Record, values: dict[str, Any], usable: Learned) -> Record:
        """The record with the values of one more epoch; ``usable`` holds its weights to use."""
        values = {name: jnp.asarray(values[name], record.history[name].dtype) for name in self.names}
        history = {name: entries.at[record.epoch].set(values[name]) for name, entries in record.history.items()}
        watch = record.watch
        if self.early_stopping is not None and watch is not None:
            stopping, sign = self.early_stopping, self.sign

            loss = 0.0 if self.private else values["loss"]

            def look(watch: Watch) -> Watch:
                return stopping.update(watch, values[stopping.monitor], usable, sign, loss)

            judges = self.judges(record.epoch)
            watch = look(watch) if judges is True else jax.lax.cond(judges, look, lambda watch: watch, watch)
        return Record(record.epoch + 1, history, watch)

    def over(self, record: Record) -> Any:
        """Whether early stopping ends the run."""
        if self.early_stopping is None or record.watch is None:
            return False
        return self.early_stopping.stops(record.watch)

    def result(self, record: Record, usable: Learned) -> Learned:
        """What the run returns: with early stopping the weights of its best epoch, else ``usable``, the last."""
        if self.early_stopping is None or record.watch is None:
            return usable
        return self.early_stopping.result(record.watch, usable)


def missing(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """The entries of an epoch that was not run or not validated: NaN, or -1 for integers, which have no NaN."""
    return jnp.full(shape, jnp.nan if jnp.issubdtype(dtype, jnp.inexact) else -1).astype(dtype)


def with_validation(values: dict[str, Any], validation: dict[str, Any]) -> dict[str, Any]:
    """The values of an epoch: those of training, and those of validation under ``validation_…``."""
    return values | {f"validation_{name}": value for name, value in validation.items()}


def where(condition: Any, yes: Callable[..., Any], no: Callable[..., Any], *operands: Any) -> Any:
    """``lax.cond``, or a plain Python ``if`` when the condition is already known during tracing."""
    if isinstance(condition, bool):
        return yes(*operands) if condition else no(*operands)
    return jax.lax.cond(condition, yes, no, *operands)
