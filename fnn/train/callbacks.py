"""Callbacks, called between the steps of ``fit``: they can look at the run, change it, and stop it."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.guards.signatures import check_methods
from fnn.guards.spelling import closest, unread
from fnn.metrics import Metric
from fnn.train.record import Record
from fnn.train.scoring import Totals
from fnn.train.step import Learned

HOOKS = ["on_start", "on_steps", "on_epoch", "on_end"]
"""The methods of a callback that a run calls."""

CHANGED = Learned._fields
"""The attributes of a run that a callback can set."""

MOMENTS = re.compile(
    "(on|before|after|at|(train|training|fit|validation|epoch|batch|step)(e?s)?|starts?|begins?|ends?|done|finished)"
)
"""The words that hook names are made of, in this library and others."""


class Standing(NamedTuple):
    """Where a run stands: everything that its next step depends on, except the settings."""

    learned: Learned
    totals: Totals
    record: Record
    epoch: int = 0
    step: int = 0
    steps: int = 0
    values: Any = MappingProxyType({})


@dataclasses.dataclass
class Run:
    """A run between two calls of compiled steps.

    ``epoch`` counts the finished epochs, ``step`` the finished steps of the current one, ``steps`` those of the whole
    run. ``params``, ``state`` and ``opt_state`` are those of training, and can be replaced by others of the same
    shapes; ``usable`` holds the weights to use. ``values`` holds the values of the last epoch by name (``{}`` in the
    first), ``history`` those of all epochs. ``count`` is the number of steps in an epoch (``None`` if not known),
    ``batch_size`` the number of samples in a full step. ``entries`` holds the shapes and dtypes of an epoch's values,
    ``fingerprint`` what a resumed run must match, ``firsts(epochs)`` digests of the data of that many epochs. ``apart``
    says whether the weights to use can differ from those that training changes. ``stored_model`` is the model as a
    checkpoint holds it: its text, and why there is none, one of them empty. ``shown`` says whether progress is.
    """

    key: jax.Array
    epochs: int
    batch_size: int
    count: int | None
    metrics: Sequence[Metric]
    entries: dict[str, jax.ShapeDtypeStruct]
    fingerprint: dict[str, Any]
    standing: Standing
    apart: bool
    make_usable: Callable[[Standing], Learned]
    firsts: Callable[[int], list[str]]
    expect: Callable[[list[str]], None]
    stored_model: tuple[str, str] = ("", "it was not asked for")
    shown: bool = False
    ending: str = ""
    failed: bool = False
    _seen: bool = False
    _usable: tuple[Any, bool, Learned] | None = None

    epoch = property(lambda self: self.standing.epoch)
    step = property(lambda self: self.standing.step)
    steps = property(lambda self: self.standing.steps)
    names = property(lambda self: list(self.entries))
    values = property(lambda self: self.standing.values)
    params = property(lambda self: self.learned.params, lambda self, new: self._learn(params=new))
    state = property(lambda self: self.learned.state, lambda self, new: self._learn(state=new))
    opt_state = property(lambda self: self.learned.opt_state, lambda self, new: self._learn(opt_state=new))

    @property
    def learned(self) -> Learned:
        self._seen = True  # the caller may keep it
        return self.standing.learned

    @property
    def usable(self) -> Learned:
        """The weights to use: the averaged ones, if any, with their batch statistics; else ``learned``."""
        learned = self.learned  # it shares arrays with the weights to use
        if not self.apart:
            return learned
        kept = self._usable
        if kept is not None and kept[0] is learned and kept[1] == self._over:
            return kept[2]
        usable = self.make_usable(self.standing)
        self.now_usable(usable)
        return usable

    def now_usable(self, usable: Learned) -> None:
        """Stores the weights to use at this standing."""
        self._usable = (self.standing.learned, self._over, usable)

    @property
    def _over(self) -> bool:
        """Whether no epoch is left: the weights to use are computed differently at the end of a run."""
        return self.epoch == self.epochs

    @property
    def history(self) -> dict[str, np.ndarray]:
        """The values of all finished epochs: one array per name, one entry per epoch."""
        return {name: np.asarray(self.standing.record.history[name])[: self.epoch] for name in self.entries}

    def taken(self) -> Learned:
        """What was learned, for the next step to overwrite: a copy if a caller may have kept it."""
        learned = copied(self.standing.learned) if self._seen else self.standing.learned
        self._seen = False
        return learned

    def stop(self, reason: str) -> None:
        """Ends the run before its next step."""
        self.ending = self.ending or reason

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "stop" or (name not in dir(self) and closest(name, [*CHANGED, "stop", "stop_training"])):
            raise AttributeError(
                f"run.{name} has no effect: a callback can set {', '.join(CHANGED)}, and run.stop(reason) ends the run"
            )
        super().__setattr__(name, value)

    def _learn(self, **changed: Any) -> None:
        for name, new in changed.items():
            check_replacement(name, new, getattr(self.standing.learned, name))
        self.standing = self.standing._replace(learned=self.learned._replace(**changed))


def check_replacement(name: str, new: Any, old: Any) -> None:
    """Raises if a replaced part of what was learned has another structure or other shapes than before."""
    shapes = [
        {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (new, old)
    ]
    if shapes[0] != shapes[1]:
        other = [path for path in {**shapes[1], **shapes[0]} if shapes[0].get(path) != shapes[1].get(path)]
        raise ValueError(
            f"run.{name} takes arrays with the same paths and shapes as before; they differ at {', '.join(other[:5])}"
        )


def _is_moment(name: str) -> bool:
    """Whether a name is made of two or more words for a moment of a run: ``epoch_ends``, ``after_step``."""
    words = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")
    return len(words) > 1 and all(MOMENTS.fullmatch(word) for word in words)


def copied(tree: Any) -> Any:
    """A copy of every array."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)


class Callback:
    """The base class of callbacks: override the hooks you need. They are called on the host, in the order given.

    An error in a hook ends the run; ``on_end`` is always called for callbacks whose ``on_start`` was. The first
    keyboard interrupt ends the run after the callbacks were called; a ``KeyboardInterrupt`` raised by one ends it after
    the others were called. What a callback reads from a run does not change later: the next step works on a copy.

    Errors: ``TypeError``, where the class is defined, for a method that would never be called although its name says
    when (``on_epoch_end``, ``after_epoch``), and for a hook with other arguments than ``run``; ``AttributeError``
    for setting an attribute that has no effect (``run.stop_training``), ``ValueError`` for arrays of other shapes.

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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_methods(cls, **dict.fromkeys(HOOKS, ("run",)))
        for name in unread(cls):
            if re.match("on(_|[A-Z])", name) or _is_moment(name):
                raise TypeError(
                    f"nothing calls {cls.__name__}.{name}: the hooks of a callback are {', '.join(HOOKS)}; a"
                    f" method that is not a hook needs a name that does not look like one"
                )

    def on_start(self, run: Run) -> None:
        """Before the first step; a resumed run already has epochs and steps."""

    def on_steps(self, run: Run) -> None:
        """After every call of compiled steps: about five times a second, or after every step if steps take longer."""

    def on_epoch(self, run: Run) -> None:
        """After every epoch and its validation; ``run.values`` holds its values."""

    def on_end(self, run: Run) -> None:
        """When the run is over; ``run.ending`` says why, if it ended before its last epoch."""
