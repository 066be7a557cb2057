"""Early stopping: watch a value, keep the best, stop when nothing better comes."""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import describe, positive
from fnn.guards.ranges import NOT_NEGATIVE, in_range
from fnn.metrics import Metric
from fnn.train.history import better_higher


class Watch(NamedTuple):
    """The state of early stopping after an epoch: the best value, what was learned by then, the epochs since."""

    best: jax.Array
    learned: Any
    waited: jax.Array


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops after ``patience`` epochs in a row that did not improve ``monitor`` by more than ``min_delta``.

    ``monitor`` names an entry of the history. A loss improves downwards; a metric declares its own direction. If
    validation does not follow every epoch, a validation entry is judged, and patience counted, only at the epochs that
    have one.

    The run returns what it had at the best epoch, or at the last one if no epoch was judged yet. An epoch whose loss or
    ``monitor`` is not finite is never the best: if that is true of all judged epochs, the run returns what it started
    with.

    Errors: ``ValueError`` for a patience below 1, a ``min_delta`` that is negative or not finite, a monitor that is not
    in the history or is an array there; ``TypeError`` for values of the wrong type.

    >>> EarlyStopping(5, monitor="validation_accuracy")
    EarlyStopping(patience=5, min_delta=0.0, monitor='validation_accuracy')
    """

    patience: int
    min_delta: float = 0.0
    monitor: str = "validation_loss"

    def __post_init__(self) -> None:
        positive("patience", self.patience)
        in_range("min_delta", self.min_delta, NOT_NEGATIVE)
        if not isinstance(self.monitor, str):
            raise TypeError(f"monitor is the name of an entry of the history, got {self.monitor!r}")

    def sign(self, metrics: Iterable[Metric]) -> int:
        """+1 if higher is better, −1 if lower is."""
        return direction(self.monitor, metrics)

    def check(self, names: Iterable[str]) -> None:
        """Raises if the history will not hold ``monitor``."""
        names = list(names)
        if self.monitor not in names:
            hint = "; give the run validation data" if self.monitor.startswith("validation_") else ""
            raise ValueError(f"early stopping watches {self.monitor!r}, but the history holds {names}{hint}")

    def start(self, learned: Any) -> Watch:
        """The state before the first epoch."""
        return Watch(jnp.array(-jnp.inf), learned, jnp.array(0, jnp.int32))

    def update(self, watch: Watch, value: jax.Array, learned: Any, sign: int, loss: Any) -> Watch:
        """The state after an epoch with this monitored value and this training loss."""
        if value.ndim:
            raise ValueError(f"early stopping watches a number, but {self.monitor!r} is an array, {describe(value)}")
        value = sign * value.astype(watch.best.dtype)
        better = value > watch.best + jnp.asarray(self.min_delta, watch.best.dtype)
        better &= jnp.isfinite(value) & jnp.isfinite(loss)
        return Watch(
            jnp.where(better, value, watch.best),
            jax.tree.map(lambda new, old: jnp.where(better, new, old), learned, watch.learned),
            jnp.where(better, 0, watch.waited + 1),
        )

    def found(self, watch: Watch) -> jax.Array:
        """Whether there is a best epoch: at least one judged epoch had a finite value."""
        return watch.best > -jnp.inf

    def result(self, watch: Watch, learned: Any) -> Any:
        """What a run returns: what it had learned at the best epoch, or the last, ``learned``, if none was judged yet.

        If no judged epoch was finite, it is what the watch started with.
        """
        judged = self.found(watch) | (watch.waited > 0)
        return jax.tree.map(lambda kept, last: jnp.where(judged, kept, last), watch.learned, learned)

    def stops(self, watch: Watch) -> jax.Array:
        """Whether to stop."""
        return watch.waited >= self.patience


def check_early_stopping(given: Any) -> None:
    """Raises ``TypeError`` unless given an ``EarlyStopping`` or ``None``."""
    if not isinstance(given, EarlyStopping | None):
        patience = given if type(given) is int and given > 0 else 5
        raise TypeError(
            f"early_stopping is an EarlyStopping or None, got {given!r}; write"
            f" early_stopping=EarlyStopping(patience={patience})"
        )


def direction(monitor: str, metrics: Iterable[Metric]) -> int:
    """+1 if this entry of a history is better when higher, −1 if lower: a loss is −1, a metric declares its own."""
    return 1 if monitor.removeprefix("validation_") in better_higher(metrics) else -1
