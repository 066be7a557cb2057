"""Sends batches to the device ahead of time: a thread reads, checks and groups them."""

import contextlib
import queue
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.train.data import samples

BYTES_A_GROUP = 16 << 20
BATCHES_A_GROUP = 32
"""The most batches, and the most bytes, that a group holds."""

SECONDS_A_GROUP = 0.2
"""A group is sent after this time, however many batches it holds by then."""

SECONDS_TO_WAIT = 0.1
"""How long a run waits for a group before it checks whether it should stop."""

SECONDS_TO_CLOSE = 2.0
"""How long a run waits at its end for a batch that is being read."""


class Group(NamedTuple):
    """``number`` batches of ``size`` samples, one after another; the rest is padding that is never read."""

    data: tuple
    number: int
    size: int


def grouped(batches: Iterable[tuple], like: tuple) -> Iterator[Group]:
    """Joins consecutive batches with the shapes of ``like``; each other batch is a group by itself.

    A group always has room for the same number of batches, so that one compiled program is enough.
    """
    room = places(like)
    members: list[tuple] = []
    since = time.monotonic()
    for batch in batches:
        alike = shapes(batch) == shapes(like)
        if members and not alike:
            yield joined(members, room)
            members = []
        if not alike:
            yield joined([batch], 1)
            continue
        members.append(batch)
        if len(members) == room or time.monotonic() - since > SECONDS_A_GROUP:
            yield joined(members, room)
            members, since = [], time.monotonic()
    if members:
        yield joined(members, room)


def places(like: tuple) -> int:
    """How many batches like this one fit into a group."""
    bytes_a_batch = sum(leaf.nbytes for leaf in jax.tree.leaves(like))
    return max(1, min(BATCHES_A_GROUP, BYTES_A_GROUP // max(1, bytes_a_batch)))


def joined(members: list[tuple], places: int) -> Group:
    """A group of batches of one shape, with room for ``places`` of them."""
    size = samples(members[0])

    def join(*leaves: np.ndarray) -> np.ndarray:
        full = np.zeros((places * size, *leaves[0].shape[1:]), leaves[0].dtype)
        np.concatenate(leaves, out=full[: len(leaves) * size])
        return full

    return Group(jax.tree.map(join, *members), len(members), size)


def shapes(batch: tuple) -> tuple:
    """Structure, shapes and dtypes."""
    return jax.tree.structure(batch), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch)]


class Stream:
    """Groups of batches; a thread prepares two ahead, until ``close``."""

    def __init__(self, batches: Iterable[tuple], like: tuple, check: Callable[[tuple], None]) -> None:
        self._queue: queue.Queue[Group | BaseException | None] = queue.Queue(maxsize=2)
        self._closed = threading.Event()
        config: Any = jax.config  # these two settings are per thread
        settings = (config.jax_enable_x64, config.jax_default_device)
        self._thread = threading.Thread(
            target=self._work, args=(batches, like, check, *settings), daemon=True, name="fnn batches"
        )
        self._thread.start()

    def groups(self) -> Iterator[Group | None]:
        """The groups; yields ``None`` whenever none has arrived for a while. Raises what reading raised."""
        while True:
            try:
                item = self._queue.get(timeout=SECONDS_TO_WAIT)
            except queue.Empty:
                yield None
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            yield item

    @property
    def running(self) -> bool:
        """Whether the thread is still reading."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stops reading."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._thread.join(SECONDS_TO_CLOSE)
        if self._thread.is_alive():
            warnings.warn("the data are still being read: the thread that waits for them is left behind", stacklevel=2)

    def _work(self, batches: Iterable[tuple], like: tuple, check: Callable, x64: bool, device: Any) -> None:
        def checked() -> Iterator[tuple]:
            for batch in batches:
                check(batch)
                yield batch

        try:
            with jax.enable_x64(x64), jax.default_device(device):
                for group in grouped(checked(), like):
                    if not self._put(group._replace(data=jax.device_put(group.data))):
                        return
            self._put(None)
        except BaseException as error:  # raised in ``groups``
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False
