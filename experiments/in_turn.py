"""Timing programs against each other: in turn, in one process, so that a slow machine slows them all alike."""

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

LEAST = 5
"""Turns that are measured however long they take, unless more are asked for."""

SAME = 0.005
"""Two figures that differ by less than this part of the smaller one are called the same."""

DRAWS = 2000
"""Bootstrap samples behind an interval."""


class Ratio(NamedTuple):
    """How many times as long the other program takes: the median over the turns, with its 95 % interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> Ratio:
    """theirs / ours, turn by turn; the interval is that of the bootstrap of the median.

    >>> ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    Ratio(median=2.0, low=2.0, high=2.0)
    """
    ratios = np.asarray(theirs) / np.asarray(ours)
    drawn = np.random.default_rng(0).choice(ratios, (DRAWS, len(ratios)))
    low, high = np.quantile(np.median(drawn, 1), (0.025, 0.975))
    return Ratio(statistics.median(ratios.tolist()), float(low), float(high))


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
    programs: Mapping[str, Callable[..., Any]],
    operands: tuple = (),
    *,
    turns: int,
    limit: float,
    least: int = LEAST,
    pauses: Mapping[str, float] | None = None,
    before: Callable[[], Any] = tuple,
) -> dict[str, list[float]]:
    """Seconds of each program in each turn, after one run to warm up.

    Stops after ``turns``, or when the programs have run for ``limit`` seconds; pauses and the like do not count.

    ``least``: turns that are measured however long they take. ``pauses``: seconds to wait after a program whose threads
    keep spinning when it is done. ``before``: what is done before every run, untimed.
    """
    names, seconds = list(programs), {name: [] for name in programs}
    run = functools.partial(_timed, pauses=pauses or {}, before=before)
    for name in names:
        run(name, programs[name], operands)
    for turn in range(turns):
        if turn >= least and sum(map(sum, seconds.values())) > limit:
            break
        # The order rotates and turns round, so that no program always finds the processor's cache as another left it.
        first = turn // 2 % len(names)
        order = names[first:] + names[:first]
        for name in order if turn % 2 else reversed(order):
            seconds[name].append(run(name, programs[name], operands))
    return seconds


def _timed(
    name: str,
    program: Callable[..., Any],
    operands: tuple,
    *,
    pauses: Mapping[str, float],
    before: Callable[[], Any],
) -> float:
    before()
    began = time.perf_counter()
    jax.block_until_ready(program(*operands))
    taken = time.perf_counter() - began
    time.sleep(pauses.get(name, 0.0))
    return taken
