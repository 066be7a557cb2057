"""The hyper-parameters of a run: makes objective and optimiser from them, and checks that each one is read."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from fnn.guards.signatures import check_takes
from fnn.layer import Layer
from fnn.losses.loss import Loss
from fnn.objective import Objective
from fnn.optim.transform import is_optimizer

Step = Callable[[], Any]
"""A training step, to be traced."""


def made(objective: Any, optimizer: Any, hyperparams: Any) -> tuple[Objective, Any, Callable[[Step], None]]:
    """``(objective, optimizer, check)``: functions of hyper-parameters are called, ready ones returned as they are.

    Raises ``TypeError`` for anything else, or for a function if there are no hyper-parameters; ``ValueError`` for
    hyper-parameters that no function takes. Call ``check`` with a training step: it raises ``ValueError`` for an entry
    of a dict of hyper-parameters that neither the functions nor a schedule of theirs in the step reads.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    >>> made(objective, lambda h: fnn.optim.sgd(h["rate"]), {"rate": 0.1})[1]
    sgd(0.1)
    """
    given = Given(hyperparams) if type(hyperparams) is dict else hyperparams
    ready = isinstance(objective, Objective), is_optimizer(optimizer)
    if all(ready) and not isinstance(given, Given) and jax.tree.leaves(given):
        raise ValueError(
            "nothing in a run depends on hyperparams: give make_train its objective or optimizer as a function of"
            " hyperparams that uses them, such as lambda rate: fnn.optim.adam(rate)"
        )
    objective = objective if ready[0] else _called(objective, given)
    optimizer = optimizer if ready[1] else _called(optimizer, given)
    if isinstance(given, Given) and given.rehearsal:
        raise Rehearsed

    def check(step: Step) -> None:
        if isinstance(given, Given) and not given.read.issuperset(given):
            if not all(ready):
                jax.eval_shape(step)  # a schedule reads only now
            check_used(given, given.read)

    return objective, optimizer, check


def _called(part: Any, hyperparams: Any) -> Any:
    if not callable(part) or isinstance(part, Layer | Loss):
        raise TypeError(f"expected an objective and an optimizer, or functions of hyperparams, got {part!r}")
    if hyperparams is None:
        raise TypeError(
            f"{part!r} is taken for a function of hyperparams: call train(key, data, hyperparams), or give an objective"
            f" and an optimizer that are made already, such as adam(1e-3)"
        )
    check_takes("a function of hyperparams", part, "hyperparams")
    return part(hyperparams)


class Rehearsed(Exception):
    """Ends a rehearsal: objective and optimizer could be made."""


@jax.tree_util.register_pytree_with_keys_class
class Given(dict):
    """A dict of hyper-parameters that records which of them were read, and whose ``KeyError`` says what to do.

    To JAX it looks like a dict. ``missing`` says how to add an entry. With ``rehearsal``, a run raises ``Rehearsed``
    once its objective and its optimizer are made.
    """

    missing: str = "add it to the dict of hyperparams"

    def __init__(self, values: Any = (), missing: str = "", *, rehearsal: bool = False) -> None:
        super().__init__(values)
        self.missing = missing or self.missing
        self.rehearsal = rehearsal
        self.read: set[Any] = set()

    def __getitem__(self, name: Any) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def __missing__(self, name: Any) -> Any:
        raise KeyError(
            f"the run reads the hyper-parameter {name!r}, which is not given (given: {_listed(self)});"
            f" {self.missing.format(name)}"
        )

    def __iter__(self) -> Iterator[Any]:
        # With an __iter__ of its own, Python does not copy the values directly: ** and dict() call __getitem__.
        return super().__iter__()

    def get(self, name: Any, default: Any = None) -> Any:
        """The value or the default, as ``dict.get``."""
        self.read.add(name)
        return super().get(name, default)

    def pop(self, name: Any, *default: Any) -> Any:
        """Removes and returns the value, as ``dict.pop``."""
        self.read.add(name)
        return super().pop(name, *default)

    def values(self) -> Any:
        """The values, all of which count as read."""
        self.read.update(self)
        return super().values()

    def items(self) -> Any:
        """The items, all of which count as read."""
        self.read.update(self)
        return super().items()

    def copy(self) -> "dict[Any, Any]":
        """A plain dict; all values count as read."""
        return dict(self)

    def __or__(self, other: Any) -> Any:
        return dict(self) | other

    def tree_flatten_with_keys(self) -> tuple[tuple, tuple]:
        """Leaves under the keys of a dict."""
        names = tuple(sorted(self))
        return tuple((jax.tree_util.DictKey(name), self[name]) for name in names), (names, self.missing)

    @classmethod
    def tree_unflatten(cls, static: tuple, values: Iterable[Any]) -> "Given":
        names, missing = static
        return cls(zip(names, values, strict=True), missing)


def check_used(names: Iterable[Any], used: Iterable[Any]) -> None:
    """Raises ``ValueError`` for a hyper-parameter that is not used: all its values would give the same run."""
    names, used = list(names), set(used)
    unused = [name for name in names if name not in used]
    if unused:
        raise ValueError(
            f"nothing in a run depends on the hyper-parameter {unused[0]!r}: give make_train its objective or optimizer"
            f" as a function of hyperparams that uses hyperparams[{unused[0]!r}] (used:"
            f" {_listed(name for name in names if name in used)})"
        )


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names)) or "none"
