"""Where the batches of a run come from: arrays on the device, or batches of the host on their way to it."""

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
from fnn.train.stream import Stream, joined, places, shapes


class Source(Protocol):
    """Gives the stretches of every epoch. ``count`` is the number of its steps, ``None`` where only its end will tell.

    ``batch_size`` counts the samples of a full step, ``first`` is a batch to learn shapes from. ``remembers`` is to be
    set where ``beginning`` will be asked.
    """

    count: int | None
    batch_size: int
    first: tuple
    remembers: bool

    def check(self, objective: Objective, params: Params, state: State, metrics: Sequence[Metric] = ()) -> None:
        """Raises for data that do not fit the model, the loss and the metrics, now or when they come."""
        ...

    def epoch(self, number: int, key: jax.Array | None = None, done: int = 0) -> Generator[Stretch | None]:
        """The stretches of an epoch but for the first ``done`` steps; ``None`` while they are being waited for."""
        ...

    def beginning(self, number: int, key: jax.Array, done: int = 0) -> tuple[Batches, int]:
        """Batches of one size with which an epoch began, and how many of them there are.

        ``done`` steps of the epoch lie behind (0: all). It is the last that was begun, or the one before if that one
        has had no step.
        """
        ...

    def described(self) -> Data:
        """The data as a part of a run's fingerprint."""
        ...

    def firsts(self, epochs: int) -> list[str]:
        """What tells the data of so many epochs, where they could differ when a run goes on."""
        ...

    def expect(self, firsts: list[str]) -> None:
        """Takes what ``firsts`` said before; an epoch that begins otherwise raises."""
        ...

    def explain(self, objective: Objective, params: Params, state: State, stretch: Stretch) -> None:
        """Raises if an index past its table may be why the loss of these steps is not finite."""
        ...


def source_of(
    data: Any,
    batch_size: int | None,
    order: Order | None = None,
    *,
    name: str = "data",
    steps_per_epoch: int | None = None,
    epochs: int = 1,
) -> Source:
    """The source for any data; ``order`` draws the places of an epoch's samples, ``None``: as they stand."""
    if is_arrays(data):
        if batch_size is None:
            raise ValueError("arrays are cut into batches: give batch_size")
        if not is_mapped(data) and steps_per_epoch is None:
            return InMemory(arrays(data, name=name), batch_size, order, name)
    host_order = order or (lambda key, count: np.arange(count))
    return Streamed(HostBatches(data, batch_size, host_order, steps_per_epoch, epochs, name), name)


class InMemory:
    """Arrays that lie on the device: their order is drawn there too."""

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
        pass  # every index was tried beforehand


class Streamed:
    """Batches from the host, which are prepared while the device computes.

    Where it ``remembers``, those that an epoch begins with are kept for ``beginning``.
    """

    def __init__(self, host: HostBatches, name: str) -> None:
        self.host, self._name = host, name
        self.count, self.first, self.batch_size = host.count, host.first, samples(host.first)
        self._check: Callable[[tuple], None] | None = None
        self.remembers, self._beginnings = False, dict[int, list[tuple]]()

    def check(self, objective: Objective, params: Params, state: State, metrics: Sequence[Metric] = ()) -> None:
        """Batches are looked at on their way; the shapes of outputs are worked out once for each shape of a batch."""
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
        # Reading goes on meanwhile: what has come by now says nothing, but what was trained on has.
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
        """Inside a program an index past its table makes NaN; to try each beforehand would be a pass of the model more.

        The parameters of the run may be NaN by now, and its statistics, so others stand in for them: ones so small
        that no depth of layers overflows.
        """
        params = jax.tree.map(lambda leaf: jnp.full_like(leaf, 1 / max(leaf.size, 1)), params)
        state = jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, jnp.ones_like(leaf)), state)
        for step in range(stretch.start, stretch.stop):
            check_indices(objective.model, params, state, stretch.batches.of(step)[0], self._name)

    def _look(self, batch: tuple) -> None:
        if self._check is not None:
            self._check(batch)

    def _again(self, number: int, key: jax.Array, done: int) -> list[tuple]:
        """Those that an epoch before this process began with."""
        read: list[tuple] = []
        for _ in self._kept(self.host.again(number, key), read, 0):
            if len(read) == (done or places(self.first)):
                break
        return read

    def _kept(self, batches: Iterator[tuple], kept: list[tuple], done: int) -> Iterator[tuple]:
        """All but the first ``done``; the first of all, as far as they are of one shape, are kept."""
        for place, batch in enumerate(batches):
            if len(kept) == place < places(self.first) and (not kept or shapes(batch) == shapes(kept[0])):
                kept.append(batch)
            if place >= done:
                yield batch
