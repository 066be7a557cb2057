"""Any data as batches on the host, epoch by epoch."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

import jax
import numpy as np

from fnn.canonical.digest import array_text, sha256
from fnn.errors import exact_numpy, positive
from fnn.guards.foreign import leaves
from fnn.guards.signatures import check_takes
from fnn.train.converted import check_rows, named
from fnn.train.data import arrays, is_arrays, of_data, plan, samples
from fnn.train.fingerprint import Data, data_digest

Order = Callable[[jax.Array, int], Any]
"""``order(key, samples)``: the indices of the samples, in the order of an epoch with that key."""


class HostBatches:
    """Data as batches on the host, epoch by epoch; ``first`` is a batch to take shapes from.

    Arrays (memory-mapped ones, say) are read in the order that ``order`` draws from the epoch's key, like arrays on the
    device. Anything else provides its own batches: an iterable that can be restarted for every epoch (a list, a
    loader), an iterator for a single epoch, or a function of the epoch that returns either. With ``steps_per_epoch`` an
    epoch is that many batches and the next epoch continues after them; an exhausted iterable is restarted.

    A loader may shuffle with its own generator, so that its epochs differ. A resumed run must see the same batches, so
    it iterates over the epochs that it skips (not needed for lists and functions), and the first batch of every epoch
    must be the same as before: ``firsts`` holds their digests, ``expected`` the saved ones.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int | None,
        order: Order,
        steps_per_epoch: int | None = None,
        times: int = 1,
        name: str = "data",
    ) -> None:
        self._empty = ValueError(f"the {name} have no batch in this epoch")
        self.expected: dict[int, str] = {}
        self._firsts: dict[int, str] = {}
        self._data, self._order, self._steps, self._opened = data, order, steps_per_epoch, 0
        self._name = name
        self._endless: Iterator | None = None
        self._arrays = is_arrays(data)
        if self._arrays:
            if steps_per_epoch is not None:
                raise ValueError("steps_per_epoch is for iterables: an epoch of arrays is all of their samples")
            data = self._data = arrays(data, _positional, name)
            self._plan = plan(samples(data), batch_size)  # pyright: ignore[reportArgumentType]
            self.count = self._plan.count
            self.first = self._on_host(jax.tree.map(lambda leaf: leaf[: self._plan.size], data))
            return
        if steps_per_epoch is not None:
            positive("steps_per_epoch", steps_per_epoch)
        elif isinstance(data, Iterator) and times > 1:
            raise ValueError(
                f"the data are an iterator, which can be iterated once, not {times} times: give a list, a loader, a"
                f" function of the epoch that returns its batches, or steps_per_epoch"
            )
        self.count = steps_per_epoch or (len(data) if isinstance(data, Sized) else None)
        self._begun = iter(self._given(0))
        first = next(self._begun, None)
        if first is None:
            raise self._empty
        self.first = self._on_host(first)
        self._begun = itertools.chain([first], self._begun)
        if batch_size is not None and samples(self.first) > batch_size:
            raise ValueError(
                f"the {name} are an iterable of batches, the first with {samples(self.first)} samples, which is more"
                f" than batch_size={batch_size}; leave batch_size out, or make smaller batches"
            )

    def epoch(self, number: int, key: jax.Array | None, done: int = 0) -> Iterator[tuple]:
        """The batches of an epoch after the first ``done``."""
        if self._arrays:
            return self._gathered(np.asarray(self._order(key, samples(self._data))), done)  # pyright: ignore
        return self._drawn(number, done)

    def again(self, number: int, key: jax.Array) -> Iterator[tuple]:
        """The batches of an epoch that is over, or was begun by another process; for a loader only its first batch."""
        if self._arrays:
            return self.epoch(number, key)
        if callable(self._data) or (isinstance(self._data, Sequence) and self._steps is None):
            return itertools.islice(map(self._on_host, self._given(number)), self._steps)
        return iter([self.first])

    def described(self) -> Data:
        """The data as a part of a run's fingerprint: whole arrays and lists; otherwise the first batch."""
        if self._arrays:
            return data_digest(self._data)
        if isinstance(self._data, list | tuple):
            return data_digest([self._on_host(batch) for batch in self._data])
        return data_digest(self.first, first=True)

    def firsts(self, epochs: int) -> list[str]:
        """The digests of the first batch of each of the first ``epochs`` epochs, which have begun."""
        if self._arrays:
            return []
        known = self.expected | self._firsts
        return [known.get(number, "") for number in range(epochs)]

    def _drawn(self, number: int, done: int) -> Iterator[tuple]:
        if not callable(self._data) and (self._steps is not None or not isinstance(self._data, Sequence)):
            for skipped in range(self._opened, number):
                for _ in self._checked(skipped):
                    pass
        yield from itertools.islice(self._checked(number), done, None)

    def _checked(self, number: int) -> Iterator[tuple]:
        """The batches of an epoch; raises if the first one is not the expected one."""
        empty = True
        for batch in map(self._on_host, self._opening(number)):
            if empty and number not in self._firsts:
                self._firsts[number] = sha256("".join(map(array_text, jax.tree.leaves(batch))))
                if self._firsts[number] != self.expected.get(number, self._firsts[number]):
                    raise ValueError(
                        f"epoch {number + 1} of the data begins with another batch than before: the order of a loader"
                        f" depends on its seed (torch: generator=torch.Generator().manual_seed(0)); give a function of"
                        f" the epoch that returns its batches, or resume with other data by resume='force'"
                    )
            empty = False
            yield batch
        if empty:
            raise self._empty

    def _opening(self, number: int) -> Iterable:
        fresh, self._opened = number == self._opened, max(self._opened, number + 1)
        begun, self._begun = self._begun, iter(())
        if self._steps is not None and not callable(self._data):
            if self._endless is None:
                self._endless = self._again_and_again(begun)
            return self._exactly(self._endless)
        batches = begun if fresh and number == 0 else self._given(number)
        return batches if self._steps is None else self._exactly(iter(batches))

    def _exactly(self, batches: Iterator) -> Iterator:
        for step in range(self._steps or 0):
            batch = next(batches, None)
            if batch is None:
                raise ValueError(f"the data end after {step} batches of an epoch of steps_per_epoch={self._steps}")
            yield batch

    def _again_and_again(self, begun: Iterator) -> Iterator:
        yield from begun
        while not isinstance(self._data, Iterator):
            again = iter(self._given(0))
            first = next(again, None)
            if first is None:
                return
            yield first
            yield from again

    def _on_host(self, batch: Any) -> tuple:
        return on_host(batch, self._name)

    def _given(self, epoch: int) -> Iterable:
        check_rows(self._data, self._name)
        if callable(self._data):
            check_takes("a function of the epoch", self._data, "epoch")
        batches = self._data(epoch) if callable(self._data) else self._data
        with of_data(self._name):
            named(batches)  # a dict by other names
        if not isinstance(batches, Iterable) or isinstance(batches, str | bytes | dict) or hasattr(batches, "shape"):
            raise TypeError(
                f"{self._name} are (inputs, targets), an iterable of such batches, or a function of the epoch that"
                f" returns one; got {type(batches).__name__}"
            )
        return batches

    def _gathered(self, order: np.ndarray, done: int) -> Iterator[tuple]:
        size, steps, rest = self._plan
        for step in range(done, steps + bool(rest)):
            places = order[step * size : (step + 1) * size if step < steps else None]
            yield self._on_host(jax.tree.map(lambda leaf, places=places: leaf[places], self._data))


def is_mapped(data: Any) -> bool:
    """Whether any of the arrays is a memory-mapped file, which stays on the host."""
    return any(isinstance(leaf, np.memmap) for leaf in leaves(data))


def _positional(leaf: Any) -> Any:
    """An array whose rows are read by position; a pandas Series would look them up in its index."""
    return leaf if isinstance(leaf, np.ndarray | jax.Array) else np.asarray(leaf)


def on_host(batch: Any, name: str = "data") -> tuple:
    """A batch, of any library's arrays, as NumPy arrays with the dtypes that JAX would give them."""
    return arrays(batch, exact_numpy, name)
