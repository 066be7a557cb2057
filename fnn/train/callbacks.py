"""What a program can do between the steps of ``fit``: look at the run, change it, stop it."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.metrics import Metric
from fnn.train.early_stopping import Watch
from fnn.train.step import Learned, Totals


class Standing(NamedTuple):
    """How far a run has come, and with what; everything that its next step depends on but for its settings."""

    learned: Learned
    totals: Totals
    watch: Watch | None = None
    epoch: int = 0
    step: int = 0
    steps: int = 0
    rows: tuple[dict[str, Any], ...] = ()


@dataclasses.dataclass
class Run:
    """A run between two calls of compiled steps.

    ``epoch`` counts the whole epochs done, ``step`` the steps done of the next one, ``steps`` those of the whole run.
    ``params``, ``state`` and ``opt_state`` can be replaced by others of the same shapes. ``values`` are those of the
    last epoch by name (``{}`` in the first), ``history`` those of all. ``count`` is the number of steps in an epoch
    (``None``: not known), ``batch_size`` that of samples in a full step. ``entries`` are the shapes and dtypes of an
    epoch's values, ``setting`` is what a run that goes on with this one must share.
    """

    key: jax.Array
    epochs: int
    batch_size: int
    count: int | None
    metrics: Sequence[Metric]
    entries: dict[str, jax.ShapeDtypeStruct]
    setting: dict[str, Any]
    standing: Standing
    ending: str = ""
    failed: bool = False

    epoch = property(lambda self: self.standing.epoch)
    step = property(lambda self: self.standing.step)
    steps = property(lambda self: self.standing.steps)
    totals = property(lambda self: self.standing.totals)
    watch = property(lambda self: self.standing.watch)
    names = property(lambda self: list(self.entries))
    values = property(lambda self: self.standing.rows[-1] if self.standing.rows else {})
    params = property(lambda self: self.learned.params, lambda self, new: self._learn(params=new))
    state = property(lambda self: self.learned.state, lambda self, new: self._learn(state=new))
    opt_state = property(lambda self: self.learned.opt_state, lambda self, new: self._learn(opt_state=new))

    @property
    def learned(self) -> Learned:
        return self.standing.learned

    @property
    def history(self) -> dict[str, np.ndarray]:
        """One array a name, with an entry an epoch."""
        return {name: np.array([row[name] for row in self.standing.rows]) for name in self.entries}

    def stop(self, reason: str) -> None:
        """Ends the run before its next step."""
        self.ending = self.ending or reason

    def _learn(self, **changed: Any) -> None:
        self.standing = self.standing._replace(learned=self.learned._replace(**changed))


class Callback:
    """The base of callbacks: a subclass overrides what it needs. All are called on the host, in the order given.

    An error in one ends the run; ``on_end`` is called whatever happens, for those whose ``on_start`` was. An interrupt
    from the keyboard while they are called takes the run back to before the call of steps, or the end of the epoch, of
    which they were to be told: resumed, it is told to all.

    >>> class HalveTheRate(Callback):
    ...     def on_epoch(self, run):
    ...         rate = fnn.optim.hyperparams(run.opt_state)["learning_rate"]
    ...         run.opt_state = fnn.optim.set_hyperparams(run.opt_state, learning_rate=rate / 2)
    >>> import fnn, jax, jax.numpy as jnp
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> result = fnn.fit(
    ...     fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError()), fnn.optim.sgd(0.8), (x, 3 * x + 1),
    ...     epochs=3, batch_size=8, key=jax.random.key(0), callbacks=[HalveTheRate()], progress=False,
    ... )
    >>> print(fnn.optim.hyperparams(result.opt_state)["learning_rate"])
    0.1
    """

    def on_start(self, run: Run) -> None:
        """Before the first step; a run that is resumed has epochs and steps behind it."""

    def on_steps(self, run: Run) -> None:
        """After every call of compiled steps: from one step to some hundreds, about five times a second."""

    def on_epoch(self, run: Run) -> None:
        """After every epoch, validation included: ``run.values`` are its values."""

    def on_end(self, run: Run) -> None:
        """When the run is over; ``run.ending`` says why if it ended before its last epoch."""
