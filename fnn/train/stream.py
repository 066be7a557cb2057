"""Batches on their way to the device: checked, stacked and sent ahead by a thread."""

import contextlib
import itertools
import queue
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

BYTES_A_CALL = 16 << 20
STEPS_A_CALL = 32
"""One call of compiled steps takes so many batches at most, in so many bytes."""


SECONDS_TO_CLOSE = 2.0
"""How long a run that ends waits for a batch that is being read."""


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
