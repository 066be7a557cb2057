"""What one program takes against another: compiled first, checked to be equal, run in turn in one process."""

import functools
import statistics
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from experiments.in_turn import Ratio, ratio, seconds_in_turn

TOLERANCE = 1e-3
"""How far two float32 results may differ, as a part of the largest entry: another order of the sums differs by less."""

PAUSES = {"PyTorch": 0.05}
"""Seconds to wait after a library whose threads keep spinning when it is done."""


class Unequal(Exception):
    """Two programs that are to be timed against each other compute different things."""


class Turns(NamedTuple):
    """How long a row is measured: until ``limit`` seconds or ``most`` turns, but for ``least`` turns in any case."""

    most: int
    least: int
    limit: float


class Settings(NamedTuple):
    """What all parts of the benchmark share."""

    turns: Turns
    seed: int
    quick: bool
    console: Console


class Program(NamedTuple):
    """A compiled function with its operands, and the bytes that it needs beside them and its results, if known."""

    call: Callable[..., Any]
    operands: tuple[Any, ...]
    temporary_bytes: int | None = None

    def run(self) -> Any:
        """One call."""
        return self.call(*self.operands)


class Row(NamedTuple):
    """A workload in fnn and in a peer: median seconds, how many times as long the peer takes, temporary bytes."""

    part: str
    workload: str
    peer: str
    ours: float
    theirs: float
    time: Ratio
    turns: int
    our_bytes: int | None = None
    their_bytes: int | None = None

    @property
    def memory(self) -> float | None:
        """How many times as much temporary memory the peer needs; ``None`` if either is unknown or fnn needs none."""
        return self.their_bytes / self.our_bytes if self.our_bytes and self.their_bytes is not None else None

    def as_json(self) -> dict[str, Any]:
        """The row as plain values; ``time`` and ``memory`` are peer over fnn."""
        return {
            "part": self.part,
            "workload": self.workload,
            "peer": self.peer,
            "turns": self.turns,
            "seconds": {"fnn": self.ours, "peer": self.theirs},
            "temporary_bytes": {"fnn": self.our_bytes, "peer": self.their_bytes},
            "peer_over_fnn": {"time": self.time._asdict(), "memory": self.memory},
        }


def compiled(function: Callable[..., Any], *operands: Any) -> Program:
    """The function compiled by XLA for these operands, which stay arguments."""
    program = jax.jit(function).lower(*operands).compile()
    memory: Any = program.memory_analysis()
    return Program(program, operands, None if memory is None else memory.temp_size_in_bytes)


def rows_in_turn(
    part: str,
    workload: str,
    ours: Program,
    theirs: Mapping[str, Program],
    *,
    turns: Turns,
    before: Callable[[], Any] = tuple,
) -> list[Row]:
    """A row for each peer; all programs run in turn."""
    programs = {"fnn": ours, **theirs}
    seconds = seconds_in_turn(
        {name: functools.partial(program.call, *program.operands) for name, program in programs.items()},
        turns=turns.most,
        least=turns.least,
        limit=turns.limit,
        pauses=PAUSES,
        before=before,
    )
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    return [
        Row(
            part,
            workload,
            peer,
            medians["fnn"],
            medians[peer],
            ratio(seconds[peer], seconds["fnn"]),
            len(seconds["fnn"]),
            ours.temporary_bytes,
            program.temporary_bytes,
        )
        for peer, program in theirs.items()
    ]


def check_equal(workload: str, peer: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raises ``Unequal`` unless every entry agrees to ``TOLERANCE`` of its own largest number.

    An entry is a tree of arrays. Its leaves share a scale: the gradient of the keys' bias in attention, say, is zero
    but for rounding, and is judged beside those of the kernels.
    """
    for name, tree in theirs.items():
        where = f"{workload}: {name} of fnn and of {peer}"
        if (one := jax.tree.map(np.shape, ours[name])) != (other := jax.tree.map(np.shape, tree)):
            raise Unequal(f"{where} have different shapes, {one} and {other}")
        leaves = zip(jax.tree.leaves(ours[name]), jax.tree.leaves(tree), strict=True)
        pairs = [np.stack(pair).astype(np.float64) for pair in leaves]
        scale = np.max([0.0, *(np.abs(pair[1]).max() for pair in pairs)])
        apart = np.max([0.0, *(np.abs(pair[0] - pair[1]).max() for pair in pairs)])
        if not (np.isfinite(scale) and apart <= TOLERANCE * scale):  # NaN, too, is unequal
            raise Unequal(f"{where} differ by {apart:.2g}, where the largest entry is {scale:.4g}")
