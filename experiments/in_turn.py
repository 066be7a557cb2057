"""Timing programs against each other: in turn, in one process, so that what slows the machine slows them all."""

import time
from collections.abc import Callable
from typing import Any

import jax

LEAST = 5
"""Turns that are measured however long they take."""


def seconds_in_turn(
    programs: dict[str, Callable[..., Any]], operands: tuple, *, turns: int, limit: float
) -> dict[str, list[float]]:
    """Seconds of each program in each turn, all run once before; stops after ``limit`` seconds or ``turns``."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        jax.block_until_ready(program(*operands))
    started = time.perf_counter()
    for turn in range(turns):
        if turn >= LEAST and time.perf_counter() - started > limit:
            break
        # Who goes first changes, so that none always finds the cache as another left it.
        for name in programs if turn % 2 else reversed(programs):
            began = time.perf_counter()
            jax.block_until_ready(programs[name](*operands))
            seconds[name].append(time.perf_counter() - began)
    return seconds
