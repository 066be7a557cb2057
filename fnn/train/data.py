"""Data as arrays, cut into batches of static sizes."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array, positive
from fnn.guards.foreign import foreign, leaves
from fnn.objective import unpacked
from fnn.paths import named_leaves
from fnn.train.converted import NAMES, converted, is_named, named


class Plan(NamedTuple):
    """An epoch: ``steps`` batches of ``size`` samples, then one of ``rest`` (0: none). No sample is left out."""

    size: int
    steps: int
    rest: int

    @property
    def count(self) -> int:
        """The number of steps, the smaller last one included."""
        return self.steps + bool(self.rest)


def plan(samples: int, batch_size: int) -> Plan:
    """How an epoch is split into batches.

    The remainder is a smaller step, without padding, which would enter batch statistics. A remainder of one sample,
    which has no variance, joins the batch before it.

    >>> plan(100, 32), plan(97, 32), plan(20, 32)
    (Plan(size=32, steps=3, rest=4), Plan(size=32, steps=2, rest=33), Plan(size=32, steps=0, rest=20))
    """
    positive("batch_size", batch_size)
    positive("the number of samples", samples)
    steps, rest = divmod(samples, batch_size)
    if rest == 1 and steps and batch_size > 1:
        steps, rest = steps - 1, rest + batch_size
    return Plan(batch_size, steps, rest)


class Length(NamedTuple):
    """The length of a run: its epochs, and the steps of the last one if it is cut short."""

    epochs: int
    last: int | None = None


def length(plan: Plan, epochs: int | None, steps: int | None) -> Length:
    """The length of a run given by its epochs or by its steps.

    >>> length(plan(100, 32), None, 8), length(plan(100, 32), None, 10)  # four steps an epoch
    (Length(epochs=2, last=None), Length(epochs=3, last=2))
    """
    if epochs is not None:
        return Length(epochs)
    whole, last = divmod(steps or 0, plan.count)
    return Length(whole + 1, last) if last else Length(whole)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches of ``size`` samples for the steps from ``first`` on: a pytree that compiled steps take.

    Batches are consecutive pieces of ``order``, which holds indices into the arrays (``None``: of the arrays).
    """

    data: tuple
    order: jax.Array | None
    first: Any
    size: int = dataclasses.field(metadata={"static": True})

    def of(self, step: Any) -> tuple:
        """The batch of a step."""
        start = (step - self.first) * self.size
        if self.order is None:
            return jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, self.size), self.data)
        places = jax.lax.dynamic_slice_in_dim(self.order, start, self.size)
        return jax.tree.map(lambda leaf: jnp.take(leaf, places, axis=0, mode="clip"), self.data)


class Stretch(NamedTuple):
    """The steps of an epoch from ``start`` up to ``stop``, on batches of one size."""

    batches: Batches
    start: int
    stop: int


def stretches(data: tuple, plan: Plan, order: jax.Array | None = None) -> list[Stretch]:
    """The full-sized steps of an epoch, and the step on the remainder."""
    found, full = [], plan.size * plan.steps
    if plan.steps:
        found.append(Stretch(Batches(data, order, 0, plan.size), 0, plan.steps))
    if plan.rest:
        rest = data if order is not None else jax.tree.map(lambda leaf: leaf[full:], data)
        places = None if order is None else order[full:]
        found.append(Stretch(Batches(rest, places, plan.steps, plan.rest), plan.steps, plan.count))
    return found


def arrays(data: Any, convert: Callable[[Any], Any] = exact_array, name: str = "data") -> tuple:
    """Data as a tuple of pytrees of arrays, all of one length; ``convert`` is applied to what ``converted`` makes."""
    with of_data(name):
        return _arrays(data, convert)


def _arrays(data: Any, convert: Callable[[Any], Any]) -> tuple:
    inputs, targets, weights = unpacked(named(data))
    parts = (inputs, targets) if weights is None else (inputs, targets, weights)
    parts = tuple(converted(part, name) for name, part in zip(NAMES, parts, strict=False))
    for name, part in zip(NAMES, parts, strict=False):
        _check_leaves(name, part)
    parts = jax.tree.map(convert, parts)
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(parts)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(
            f"inputs, targets and weights have the same length (first axis), got"
            f" {describe(parts)}{odd_ones_out(dict(zip(NAMES, parts, strict=False)))}"
        )
    if lengths == {(0,)}:
        raise ValueError(f"the number of samples is at least 1, got {describe(parts)}")
    return parts


@contextlib.contextmanager
def of_data(name: str, misfit: str = "") -> Iterator[None]:
    """Makes errors begin with the name of the data, unless it is just ``data``, and with the ``misfit``, if given."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if (misfit or name != "data") and type(error) in (ValueError, TypeError) and len(error.args) == 1:
            error.args = (f"the {name}{misfit}: {error}",)
        raise


def _check_leaves(name: str, part: Any) -> None:
    """Raises ``TypeError`` unless all leaves are arrays of numbers."""
    if isinstance(part, dict):
        for key, each in part.items():
            _check_leaves(f"{name}[{key!r}]", each)
        return
    for leaf in leaves(part):
        if (other := foreign(leaf, name)) is not None:
            raise other.refusal(f"{name} are numbers")
        if not hasattr(leaf, "shape"):
            raise TypeError(f"{name} are arrays, got {type(part).__name__}; {_made_array(name, part)}")


def _made_array(name: str, part: Any) -> str:
    try:
        np.asarray(part)
    except ValueError:
        return "its rows have different lengths: pad them to one length, and give the lengths with them"
    return f"write numpy.asarray({name})"


def odd_ones_out(tree: Any) -> str:
    """A hint that names the arrays of a tree whose length is not that of most of them, by their paths."""
    lengths = {path: jnp.shape(leaf)[:1] for path, leaf in named_leaves(tree).items() if path}
    if not lengths:
        return ""
    usual, count = Counter(lengths.values()).most_common(1)[0]
    odd = {path: length for path, length in lengths.items() if length != usual}
    most = 2 * count > len(lengths) and usual
    shown = [f"{path} has {of[0]}" if of else f"{path} is a scalar" for path, of in (odd if most else lengths).items()]
    return f": {', '.join(shown)}{f', where others have {usual[0]}' if most else ''}"


def samples(data: Any) -> int:
    """The number of samples."""
    return jax.tree.leaves(data)[0].shape[0]


def is_arrays(data: Any) -> bool:
    """Whether data is ``(inputs, targets)`` or ``(inputs, targets, weights)``, rather than an iterable of batches."""
    if isinstance(data, list):  # a list of batches, or of arrays
        return any(hasattr(part, "shape") for part in data) and all(
            hasattr(part, "shape") or isinstance(part, dict) for part in data
        )
    return isinstance(data, tuple) or is_named(data)
