"""Where the batches of a run come from: arrays on the device, or batches sent from the host."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from fnn.layer import Params, State
from fnn.metrics import Metric
from fnn.objective import Objective
from fnn.train.checks import check_batch, check_data, check_indices, check_shapes
from fnn.train.data import Batches, Plan, Stretch, arrays, is_arrays, plan, samples, stretches
from fnn.train.fingerprint import Data, data_digest
from fnn.train.host_batches import HostBatches, Order, is_mapped
from fnn.train.poisson import Poisson
from fnn.train.stream import Stream, joined, places, shapes


class Source(Protocol):
    """Yields the stretches of every epoch. ``count`` is the number of steps in one, ``None`` if not known beforehand.

    ``batch_size`` is the number of samples in a full step, ``first`` a batch to take shapes from. Set ``remembers`` if
    ``beginning`` will be called.
    """

    count: int | None
    batch_size: int
    first: tuple
    remembers: bool

    def check(self, objective: Objective, params: Params, state: State, metrics: Sequence[Metric] = ()) -> None:
        """Raises for data that do not fit the model, the loss and the metrics, now or when they are read."""
        ...

    def epoch(self, number: int, key: jax.Array | None = None, done: int = 0) -> Generator[Stretch | None]:
        """The stretches of an epoch after the first ``done`` steps; yields ``None`` while waiting for data."""
        ...

    def beginning(self, number: int, key: jax.Array, done: int = 0) -> tuple[Batches, int]:
        """The first batches of an epoch, all of one size, and how many there are.

        ``done`` steps of the epoch are finished (0: all). The epoch is the current one, or the one before if no step of
        the current one is finished.
        """
        ...

    def described(self) -> Data:
        """The data as a part of a run's fingerprint."""
        ...

    def firsts(self, epochs: int) -> list[str]:
        """Digests that identify the data of the first ``epochs`` epochs, if a resumed run could see others."""
        ...

    def expect(self, firsts: list[str]) -> None:
        """Takes the saved ``firsts``; an epoch whose first batch differs then raises."""
        ...

    def explain(self, objective: Objective, params: Params, state: State, stretch: Stretch) -> None:
        """Raises if an index past its table may be the reason that the loss of these steps is not finite."""
        ...


def source_of(
    data: Any,
    batch_size: int | None,
    order: Order | None = None,
    *,
    name: str = "data",
    steps_per_epoch: int | None = None,
    epochs: int = 1,
    sampling: Poisson | None = None,
) -> Source:
    """The source for any data; ``order`` draws the order of an epoch's samples (``None``: as given), or ``sampling``
    draws every batch."""
    if sampling is not None:
        return Sampled(arrays(data, name=name), sampling, name)
    if is_arrays(data):
        if batch_size is None:
            raise ValueError("arrays are cut into batches: give batch_size")
        if not is_mapped(data) and steps_per_epoch is None:
            return InMemory(arrays(data, name=name), batch_size, order, name)
    host_order = order or (lambda key, count: np.arange(count))
    return Streamed(HostBatches(data, batch_size, host_order, steps_per_epoch, epochs, name), name)


class InMemory:
    """Arrays on the device, where their order is drawn too."""

    def __init__(self, data: tuple, batch_size: int, order: Order | None, name: str) -> None:
        self.data, self._name, self._order, self.remembers = data, name, order, False
        self._plan: Plan = plan(samples(data), batch_size)
        self.count: int | None = self._plan.count
        self.batch_size = self._plan.size
        self.first = jax.tree.map(lambda leaf: leaf[:1], data)

    def check(self, objective: Objective, params: Params, state: State, metrics: Sequence[Metric] = ()) -> None:
        check_data(objective, params, state, self.data, self._name, metrics)

    def epoch(self, number: int, key: jax.Array | None = None, done: int = 0) -> Generator[Stretch | None]:
        del number
        for batches, start, stop in self._stretches(key):
            if done < stop:
                yield Stretch(batches, max(start, done), stop)

    def beginning(self, number: int, key: jax.Array, done: int = 0) -> tuple[Batches, int]:
        del number, done
        batches, start, stop = self._stretches(key)[0]
        return batches, stop - start

    def _stretches(self, key: jax.Array | None) -> list[Stretch]:
        places = None if self._order is None or key is None else self._order(key, samples(self.data))
        return stretches(self.data, self._plan, places)

    def described(self) -> Data:
        return data_digest(self.data)

    def firsts(self, epochs: int) -> list[str]:
        return []

    def expect(self, firsts: list[str]) -> None:
        pass  # arrays are compared as a whole

    def explain(self, objective: Objective, params: Params, state: State, stretch: Stretch) -> None:
        pass  # check has tried every index


class Sampled(InMemory):
    """Poisson samples of arrays on the device."""

    def __init__(self, data: tuple, sampling: Poisson, name: str) -> None:
        super().__init__(data, sampling.expected, None, name)
        self._sampling = sampling
        self.count: int | None = sampling.plan.count

    def _stretches(self, key: jax.Array | None) -> list[Stretch]:
        return super()._stretches(key) if key is None else [self._sampling.stretch(self.data, key)]


class Streamed:
    """Batches from the host, prepared while the device computes.

    With ``remembers``, the first batches of an epoch are kept for ``beginning``.
    """

    def __init__(self, host: HostBatches, name: str) -> None:
        self.host, self._name = host, name
        self.count, self.first, self.batch_size = host.count, host.first, samples(host.first)
        self._check: Callable[[tuple], None] | None = None
        self.remembers, self._beginnings = False, dict[int, list[tuple]]()

    def check(self, objective: Objective, params: Params, state: State, metrics: Sequence[Metric] = ()) -> None:
        """Checks each batch as it is read; output shapes are computed once per batch shape."""
        outputs: dict[str, Any] = {}
        like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (params, state))

        def check(batch: tuple) -> None:
            described = str(shapes(batch))
            if described not in outputs:
                outputs[described] = check_shapes(objective, like[0], like[1], batch, self._name)
            check_batch(objective, outputs[described], batch, self._name, metrics)

        self._check = check
        check(self.first)  # before anything is compiled for it

    def epoch(self, number: int, key: jax.Array | None = None, done: int = 0) -> Generator[Stretch | None]:
        begun, batches = done, self.host.epoch(number, key, 0 if self.remembers else done)
        if self.remembers:
            self._beginnings[number] = []
            batches = self._kept(batches, self._beginnings[number], done)
        with contextlib.closing(Stream(batches, self.first, self._look)) as stream:
            for group in stream.groups():
                if group is None:
                    yield None
                    continue
                self._beginnings.pop(number - 1, None)
                yield Stretch(Batches(group.data, None, begun, group.size), begun, begun + group.number)
                begun += group.number

    def beginning(self, number: int, key: jax.Array, done: int = 0) -> tuple[Batches, int]:
        # The thread reads ahead, so more batches may have arrived than were trained on: take those trained on.
        first = self._beginnings.get(number, [])[: done or None] or self._again(number, key, done)
        group = joined(first, places(self.first))
        return Batches(jax.device_put(group.data), None, 0, group.size), group.number

    def described(self) -> Data:
        return self.host.described()

    def firsts(self, epochs: int) -> list[str]:
        return self.host.firsts(epochs)

    def expect(self, firsts: list[str]) -> None:
        self.host.expected = dict(enumerate(firsts))

    def explain(self, objective: Objective, params: Params, state: State, stretch: Stretch) -> None:
        """Inside a program an index past its table gives NaN; checking all beforehand would cost another forward pass.

        The run's parameters and statistics may be NaN by now, so small constants replace them, with which no depth of
        layers overflows.
        """
        params = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1 / max(leaf.size, 1)), params)
        state = jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, jnp.ones_like(leaf)), state)
        for step in range(stretch.start, stretch.stop):
            check_indices(objective.model, params, state, stretch.batches.of(step)[0], self._name)

    def _look(self, batch: tuple) -> None:
        if self._check is not None:
            self._check(batch)

    def _again(self, number: int, key: jax.Array, done: int) -> list[tuple]:
        """The first batches of an epoch, read again; another process may have begun it."""
        read: list[tuple] = []
        for _ in self._kept(self.host.again(number, key), read, 0):
            if len(read) == (done or places(self.first)):
                break
        return read

    def _kept(self, batches: Iterator[tuple], kept: list[tuple], done: int) -> Iterator[tuple]:
        """Yields the batches after the first ``done``, and keeps the first ones as long as they have one shape."""
        for place, batch in enumerate(batches):
            if len(kept) == place < places(self.first) and (not kept or shapes(batch) == shapes(kept[0])):
                kept.append(batch)
            if place >= done:
                yield batch
