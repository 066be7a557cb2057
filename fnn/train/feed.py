"""Training steps driven from Python: a few in each call of a compiled program, on arrays or on a stream of batches."""

import time
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from fnn.optim.nonfinite import all_finite
from fnn.train.batches import Batches
from fnn.train.compiled import compiled
from fnn.train.data import check_batch, check_data, check_indices, check_shapes, plan, samples
from fnn.train.step import Learned, Totals, Training
from fnn.train.stream import Group, Stream, shapes

SECONDS_A_CALL = 0.2
"""How long one call of compiled steps takes, about: long beside the cost of a call, short for a progress bar."""


class Feed(Protocol):
    """Takes the steps of an epoch. Where the calls begin and end changes no bit of what is learned.

    ``count`` is the number of steps in an epoch, ``None`` where only its end will tell; ``batch_size`` counts the
    samples of a full step.
    """

    count: int | None
    batch_size: int

    def no_totals(self, learned: Learned) -> Totals:
        """The totals of an epoch before its first step."""
        ...

    def begin(self, epoch: int, key: jax.Array, done: int) -> None:
        """Opens an epoch, of which ``done`` steps have been taken before."""
        ...

    def advance(self, learned: Learned, totals: Totals) -> tuple[Learned, Totals, int]:
        """Takes the next steps, and says how many; 0 once the epoch is over."""
        ...

    def close(self) -> None:
        """Lets go of what ``begin`` opened."""
        ...


class InMemory:
    """Steps on arrays that lie on the device: their order is drawn there too."""

    def __init__(self, training: Training, data: tuple, batch_size: int) -> None:
        self._training, self._data, self._plan = training, data, plan(samples(data), batch_size)
        self.count: int | None = self._plan.count
        self.batch_size = self._plan.size
        self._compiled, self._steps_a_call = compiled(training), 1

    def no_totals(self, learned: Learned) -> Totals:
        return self._training.no_totals(learned, self._data)

    def begin(self, epoch: int, key: jax.Array, done: int) -> None:
        order = self._compiled.order(key, samples=samples(self._data))
        self._key, self._places, self._done = key, order, done

    def advance(self, learned: Learned, totals: Totals) -> tuple[Learned, Totals, int]:
        began, start, full = time.perf_counter(), self._done, self._plan.steps
        run, where = self._compiled, (self._data, self._places)
        if start == self.count:
            return learned, totals, 0
        if start == full:
            learned, totals = run.rest(learned, totals, *where, plan=self._plan, key=self._key)
            stop = start + 1
        else:
            stop = min(start + self._steps_a_call, full)
            limits = (start, stop)
            learned, totals = run.steps(learned, totals, *where, plan=self._plan, key=self._key, limits=limits)
        jax.block_until_ready((learned, totals))
        if time.perf_counter() - began < SECONDS_A_CALL:
            self._steps_a_call *= 2
        self._done = stop
        return learned, totals, stop - start

    def close(self) -> None:
        pass


class Streamed:
    """Steps on batches from the host, which are prepared while the device computes."""

    def __init__(self, training: Training, batches: Batches, check: Callable[[tuple], None]) -> None:
        self.count, self.batch_size = batches.count, samples(batches.first)
        self._training, self._batches, self._check = training, batches, check
        self._compiled = compiled(training)
        self._stream: Stream | None = None

    def no_totals(self, learned: Learned) -> Totals:
        return self._training.no_totals(learned, self._batches.first)

    def begin(self, epoch: int, key: jax.Array, done: int) -> None:
        self._key, self._done = key, done
        self._stream = Stream(self._batches.epoch(epoch, key, done), self._batches.first, self._check)

    def advance(self, learned: Learned, totals: Totals) -> tuple[Learned, Totals, int]:
        group = None if self._stream is None else self._stream.next()
        if group is None:
            self.close()
            return learned, totals, 0
        after, totals = self._compiled.steps_of(learned, totals, group.stacked, self._key, self._done, group.number)
        check_stream(self._training, learned, jax.block_until_ready(totals), group, "data")
        self._done += group.number
        return after, totals, group.number

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def batch_check(training: Training, learned: Learned, name: str) -> Callable[[tuple], None]:
    """Looks at a batch of a stream, on the host; the shapes of the outputs are worked out once for each of a batch."""
    outputs: dict[str, Any] = {}

    def check(batch: tuple) -> None:
        described = str(shapes(batch))
        if described not in outputs:
            outputs[described] = check_shapes(training.objective, learned.params, learned.state, batch)
        check_batch(training.objective, outputs[described], batch, name)

    return check


def check_stream(training: Training, learned: Learned, totals: Totals, group: Group, name: str) -> None:
    """Raises if the loss is not finite for an index past its table, which is NaN inside a program.

    Where arrays enter as a whole each index is tried beforehand; for a stream that would be a pass of the model more.
    """
    if not np.isfinite(totals["loss"]["sum"]) and bool(all_finite(learned.params)):
        for place in range(group.number):
            inputs = jax.tree.map(lambda leaf, place=place: leaf[place], group.stacked[0])
            check_indices(training.objective.model, learned.params, learned.state, inputs, name)


def feed_of(training: Training, learned: Learned, given: Batches | tuple, batch_size: int | None) -> Feed:
    """The feed for data as ``as_given`` returns them. Arrays are looked at here, batches of a stream on their way."""
    if isinstance(given, Batches):
        return Streamed(training, given, batch_check(training, learned, "data"))
    check_data(training.objective, learned.params, learned.state, given)
    return InMemory(training, given, batch_size)  # pyright: ignore[reportArgumentType]
