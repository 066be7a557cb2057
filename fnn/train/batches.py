"""Any data as batches on the host, epoch by epoch."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from fnn.errors import exact_numpy
from fnn.train.data import arrays, plan, samples


def as_given(
    data: Any, batch_size: int | None, order: Callable[[jax.Array, int], Any], times: int = 1
) -> "Batches | tuple":
    """Arrays for the device as they are, any other data as ``Batches``, which are gone through so many times."""
    if isinstance(data, Iterator) and times > 1:
        raise ValueError(
            f"the data are an iterator, which can be gone through once, not {times} times: give a list, a loader, or a"
            f" function of the epoch that returns its batches"
        )
    if not is_arrays(data):
        return Batches(data, batch_size, order)
    if batch_size is None:
        raise ValueError("arrays are cut into batches: give batch_size")
    return Batches(data, batch_size, order) if is_mapped(data) else arrays(data)


class Batches:
    """Any data as batches on the host, epoch by epoch; ``first`` is a batch to learn shapes from.

    Arrays (memory-mapped ones, say) are read at the places that ``order`` draws from the epoch's key, as those on the
    device are. Anything else gives its batches itself: an iterable that can be begun again for every epoch (a list, a
    loader), an iterator for a single one, or a function of the epoch that returns either.
    """

    def __init__(self, data: Any, batch_size: int | None, order: Callable[[jax.Array, int], Any]) -> None:
        self._data, self._order = data, order
        self._first_epoch: Iterator | None = None
        if is_arrays(data):
            arrays(data, lambda leaf: leaf)
            self._plan = plan(samples(data), batch_size)  # pyright: ignore[reportArgumentType]
            self.count = self._plan.count
            self.first = on_host(jax.tree.map(lambda leaf: leaf[: self._plan.size], data))
            return
        self.count = len(data) if hasattr(data, "__len__") else None
        self._first_epoch = iter(self._given(0))
        first = next(self._first_epoch, None)
        if first is None:
            raise _empty()
        self.first = on_host(first)
        if batch_size is not None and samples(self.first) > batch_size:
            raise ValueError(
                f"the batches of an iterable are taken as they come, here of {samples(self.first)} samples, which is"
                f" not batch_size={batch_size}; leave it out, or make smaller batches"
            )

    def epoch(self, number: int, key: jax.Array, done: int = 0) -> Iterator[tuple]:
        """The batches of an epoch but for the first ``done``."""
        if is_arrays(self._data):
            return self._gathered(np.asarray(self._order(key, samples(self._data))), done)
        rest, self._first_epoch = self._first_epoch, None
        if number == 0 and rest is not None:
            batches = itertools.chain([self.first], map(on_host, rest))
        else:
            batches = map(on_host, self._given(number))
        return itertools.islice(at_least_one(batches), done, None)

    def _given(self, epoch: int) -> Iterable:
        batches = self._data(epoch) if callable(self._data) else self._data
        if not isinstance(batches, Iterable):
            raise TypeError(
                f"data are (inputs, targets), an iterable of such batches, or a function of the epoch that returns one;"
                f" got {type(batches).__name__}"
            )
        return batches

    def _gathered(self, order: np.ndarray, done: int) -> Iterator[tuple]:
        size, steps, rest = self._plan
        for step in range(done, steps + bool(rest)):
            places = order[step * size : (step + 1) * size if step < steps else None]
            yield on_host(jax.tree.map(lambda leaf, places=places: leaf[places], self._data))


def at_least_one(batches: Iterator[tuple]) -> Iterator[tuple]:
    """The same batches; raises if there are none."""
    first = next(batches, None)
    if first is None:
        raise _empty()
    return itertools.chain([first], batches)


def _empty() -> ValueError:
    return ValueError("the data hold no batch in this epoch")


def is_arrays(data: Any) -> bool:
    """Whether data are ``(inputs, targets)`` or ``(inputs, targets, weights)``, and not an iterable of such batches."""
    if isinstance(data, list):  # a list of batches, or of arrays
        return bool(data) and all(hasattr(part, "shape") for part in data)
    return isinstance(data, tuple)


def is_mapped(data: Any) -> bool:
    """Whether some of the arrays are memory-mapped files, which stay on the host."""
    return any(isinstance(leaf, np.memmap) for leaf in jax.tree.leaves(data))


def on_host(batch: Any) -> tuple:
    """A batch as NumPy arrays of the dtypes that JAX would give them; one of another library's arrays, say."""
    return arrays(batch, exact_numpy)
