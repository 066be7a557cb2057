"""Batches on their way from the host to the device: read, checked, stacked and sent ahead by a thread."""

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.errors import exact_numpy
from fnn.train.data import arrays, plan, samples

BYTES_A_CALL = 16 << 20
STEPS_A_CALL = 32
"""One call of compiled steps takes so many batches at most, in so many bytes."""


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

    def epoch(self, number: int, key: jax.Array, done: int = 0) -> Iterator[tuple]:
        """The batches of an epoch but for the first ``done``."""
        if is_arrays(self._data):
            return self._gathered(np.asarray(self._order(key, samples(self._data))), done)
        rest, self._first_epoch = self._first_epoch, None
        if number == 0 and rest is not None:
            batches = itertools.chain([self.first], map(on_host, rest))
        else:
            batches = map(on_host, self._given(number))
        return itertools.islice(some(batches), done, None)

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


def some(batches: Iterator[tuple]) -> Iterator[tuple]:
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


class Group(NamedTuple):
    """Batches of one shape, stacked on a leading axis on the device; only the first ``number`` of them are real."""

    stacked: tuple
    number: int


def grouped(batches: Iterable[tuple], like: tuple) -> Iterator[Group]:
    """Stacks batches that follow each other and are shaped like one; any other is a group of its own.

    A stack always has the same number of places, so that one compiled program serves.
    """
    bytes_a_batch = sum(leaf.nbytes for leaf in jax.tree.leaves(like))
    places = max(1, min(STEPS_A_CALL, BYTES_A_CALL // max(1, bytes_a_batch)))
    for alike, run in itertools.groupby(batches, key=lambda batch: shapes(batch) == shapes(like)):
        room = places if alike else 1
        while members := list(itertools.islice(run, room)):
            yield Group(jax.tree.map(lambda *leaves, room=room: stacked(leaves, room), *members), len(members))


def stacked(leaves: tuple[np.ndarray, ...], places: int) -> np.ndarray:
    """The arrays in the first of so many places, zeros in the others."""
    full = np.zeros((places, *leaves[0].shape), leaves[0].dtype)
    np.stack(leaves, out=full[: len(leaves)])
    return full


def shapes(batch: tuple) -> tuple:
    """Structure, shapes and dtypes."""
    return jax.tree.structure(batch), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch)]


class Stream:
    """Groups of batches, two of them prepared ahead in a thread, which stops at ``close``."""

    def __init__(self, batches: Iterable[tuple], like: tuple, check: Callable[[tuple], None]) -> None:
        self._queue: queue.Queue[Group | BaseException | None] = queue.Queue(maxsize=2)
        self._closed = threading.Event()
        config: Any = jax.config  # these two of its settings belong to a thread
        settings = (config.jax_enable_x64, config.jax_default_device)
        self._thread = threading.Thread(
            target=self._work, args=(batches, like, check, *settings), daemon=True, name="fnn batches"
        )
        self._thread.start()

    def next(self) -> Group | None:
        """The next group, ``None`` after the last; raises what reading raised."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    @property
    def running(self) -> bool:
        """Whether the thread still reads."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stops reading."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join()

    def _work(self, batches: Iterable[tuple], like: tuple, check: Callable, x64: bool, device: Any) -> None:
        def checked() -> Iterator[tuple]:
            for batch in batches:
                check(batch)
                yield batch

        try:
            with jax.enable_x64(x64), jax.default_device(device):
                for group in grouped(checked(), like):
                    if not self._put(Group(jax.device_put(group.stacked), group.number)):
                        return
            self._put(None)
        except BaseException as error:  # it is raised where the group is waited for
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False
