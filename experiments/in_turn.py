"""Timing programs against each other: in turn, in one process, so that a slow machine slows them all alike."""

import time
from collections.abc import Callable
from typing import Any

import jax

LEAST = 5
"""Turns that are measured however long they take."""

SAME = 0.005
"""Two figures that differ by less than this part of the smaller one are called the same."""


def against(ours: float, theirs: float) -> str:
    """One figure against another in words, so that no ratio has to be read the right way round.

    >>> against(1.14, 1.0), against(0.98, 1.0), against(1.0, 24.2), against(3.0, 1.0), against(1.0, 1.001)
    ('14 % more', '2 % less', '24× less', '3.0× more', 'the same')
    """
    large, small, side = (ours, theirs, "more") if ours > theirs else (theirs, ours, "less")
    if large <= small * (1 + SAME):
        return "the same"
    if large >= 2 * small:
        return f"{large / small:.0f}× {side}" if large >= 10 * small else f"{large / small:.1f}× {side}"
    return f"{100 * abs(ours / theirs - 1):.0f} % {side}"


def seconds_in_turn(
    programs: dict[str, Callable[..., Any]], operands: tuple, *, turns: int, limit: float
) -> dict[str, list[float]]:
    """Seconds of each program in each turn, after one run to warm up; stops after ``limit`` seconds or ``turns``."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        jax.block_until_ready(program(*operands))
    started = time.perf_counter()
    for turn in range(turns):
        if turn >= LEAST and time.perf_counter() - started > limit:
            break
        # The order alternates, so that no program always finds the processor's cache as another left it.
        for name in programs if turn % 2 else reversed(programs):
            began = time.perf_counter()
            jax.block_until_ready(programs[name](*operands))
            seconds[name].append(time.perf_counter() - began)
    return seconds
