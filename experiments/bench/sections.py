"""What a part of the benchmark found, ready to be shown: words, a table, a picture and the rows behind them."""

import dataclasses
import functools
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments import runs
from experiments.bench import pictures
from experiments.bench.measuring import Row

HEADINGS = (
    "workload",
    "peer",
    "ms\nfnn",
    "ms\npeer",
    "time,\npeer / fnn\n> 1: fnn is faster",
    "MiB\nfnn",
    "MiB\npeer",
    "memory,\npeer / fnn\n> 1: leaner",
)
MEASURED = (
    "Medians of runs in turn, compiled before; a ratio is the median over the turns with its 95 % interval (bootstrap)."
    " Memory is XLA's temporary memory; PyTorch does not tell its own."
)
UNKNOWN = "–"


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report. ``draw`` writes ``picture``, if there is one; ``details`` are entries of the JSON."""

    title: str
    words: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    _: dataclasses.KW_ONLY
    rows: Sequence[Row] = ()
    picture: str = ""
    draw: Callable[[Path], None] | None = None
    conclusion: str = ""
    details: dict[str, Any] = dataclasses.field(default_factory=dict)

    def markdown(self) -> list[str]:
        """The paragraphs of the report, without the title."""
        headings = [heading.replace("\n", " ") for heading in self.headings]
        table = runs.markdown_table(headings, self.lines)
        return [self.words, table, self.conclusion, f"![Ratios]({self.picture})" if self.picture else ""]


def section(
    part: str,
    title: str,
    rows: Sequence[Row],
    *,
    words: str = MEASURED,
    conclusion: str = "",
) -> list[Section]:
    """The section of a part whose table and picture show its rows; none if there was no peer to measure."""
    if not rows:
        return []
    draw = functools.partial(
        pictures.bars,
        names=[f"{row.workload} | {row.peer}" for row in rows],
        ratios=[row.time for row in rows],
        title=title,
        subtitle="medians of runs in turn with 95 % intervals",
        winner="fnn",
    )
    lines = [line(row) for row in rows]
    return [Section(title, words, HEADINGS, lines, rows=rows, picture=f"{part}.png", draw=draw, conclusion=conclusion)]


def line(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    times = (milliseconds(row.ours), milliseconds(row.theirs), str(row.time))
    memory = UNKNOWN if row.memory is None else f"{row.memory:.2f}"
    return (row.workload, row.peer, *times, mebibytes(row.our_bytes), mebibytes(row.their_bytes), memory)


def milliseconds(seconds: float) -> str:
    """Seconds in milliseconds, with three digits or more."""
    return f"{1e3 * seconds:.0f}" if seconds >= 1 else f"{1e3 * seconds:.3g}"


def mebibytes(count: int | None) -> str:
    """Bytes in MiB, with three digits or two decimals."""
    if count is None:
        return UNKNOWN
    size = count / 2**20
    return f"{size:.{2 if size < 10 else 1 if size < 100 else 0}f}"


def geometric_mean(rows: Sequence[Row]) -> str:
    """The mean factor over all rows, in words."""
    mean = math.exp(statistics.fmean(math.log(row.time.median) for row in rows))
    return f"Geometric mean of the times over {len(rows)} rows, peer / fnn: {mean:.2f} (above 1: fnn is faster)."
