"""Calls of compiled steps: how many steps one takes, and waiting for it such that an interrupt is heard."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from fnn.train.data import Stretch

SECONDS_A_CALL = 0.2
"""How long one call of compiled steps takes, about: long beside the cost of a call, short for whoever looks on."""


class Pace:
    """How many steps a call takes: as many as last ``SECONDS_A_CALL``, by what the last full call took.

    A call that the end of an epoch, or of a group of batches, cuts short only tells that there were too many.
    """

    def __init__(self) -> None:
        self.steps = 1

    def calls(self, stretch: Stretch | None) -> Iterator[Stretch]:
        """A stretch, call by call; none of ``None``."""
        if stretch is None:
            return
        start = stretch.start
        while start < stretch.stop:
            stop = min(start + self.steps, stretch.stop)
            yield stretch._replace(start=start, stop=stop)
            start = stop

    @contextlib.contextmanager
    def call(self, stretch: Stretch) -> Iterator[None]:
        """Around a call of these steps, the waiting for it included."""
        began, steps = time.perf_counter(), stretch.stop - stretch.start
        yield
        wanted = steps * SECONDS_A_CALL / max(time.perf_counter() - began, 1e-9)
        if steps >= self.steps or wanted < steps:
            self.steps = max(1, min(2 * self.steps, int(wanted)))


def wait(tree: Any) -> None:
    """Waits for what a program computes, and hears signals meanwhile, as ``jax.block_until_ready`` does not."""
    pause = 2e-5
    for leaf in jax.tree.leaves(tree):
        while hasattr(leaf, "is_ready") and not leaf.is_ready():
            time.sleep(pause)
            pause = min(1.5 * pause, 0.005)
    jax.block_until_ready(tree)
