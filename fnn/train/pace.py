"""Calls of compiled steps: how many steps each runs, and how to wait for one without missing an interrupt."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from fnn.train.data import Stretch

SECONDS_A_CALL = 0.2
"""About how long one call of compiled steps takes: long compared with the cost of a call, short for a human."""


class Pace:
    """How many steps to run in a call: about ``SECONDS_A_CALL`` worth, judged by the last full call.

    A call that is cut short by the end of an epoch, or of a group of batches, can only lower the number.
    """

    def __init__(self) -> None:
        self.steps = 1

    def calls(self, stretch: Stretch | None) -> Iterator[Stretch]:
        """Splits a stretch into calls; ``None`` gives no calls."""
        if stretch is None:
            return
        start = stretch.start
        while start < stretch.stop:
            stop = min(start + self.steps, stretch.stop)
            yield stretch._replace(start=start, stop=stop)
            start = stop

    @contextlib.contextmanager
    def call(self, stretch: Stretch) -> Iterator[None]:
        """Times a call of these steps, including the wait for its results."""
        began, steps = time.perf_counter(), stretch.stop - stretch.start
        yield
        wanted = steps * SECONDS_A_CALL / max(time.perf_counter() - began, 1e-9)
        if steps >= self.steps or wanted < steps:
            self.steps = max(1, min(2 * self.steps, int(wanted)))


def wait(tree: Any) -> None:
    """Waits for the results of a program and handles signals meanwhile, which ``jax.block_until_ready`` does not."""
    pause = 2e-5
    for leaf in jax.tree.leaves(tree):
        while hasattr(leaf, "is_ready") and not leaf.is_ready():
            time.sleep(pause)
            pause = min(1.5 * pause, 0.005)
    jax.block_until_ready(tree)
