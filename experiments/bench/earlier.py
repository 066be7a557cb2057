"""The rows of a run beside those of an earlier one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.bench.measuring import Row
from experiments.bench.sections import Section
from experiments.in_turn import Ratio

HEADINGS = ("workload", "peer", "earlier time,\npeer / fnn", "→ now\n> 1: fnn is faster", "fnn became")

SLOWER, FASTER = "SLOWER", "faster"

Earlier = dict[tuple[str, str, str], Ratio]
"""The earlier ratios by part, workload and peer."""


def read(path: Path, *, quick: bool) -> tuple[Earlier, dict[str, Any]]:
    """The ratios in the JSON of a run, and its machine.

    Errors: ``ValueError`` for a file that is not the JSON of a benchmark, and for a quick run beside one that is not.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ratios = {
            (row["part"], row["workload"], row["peer"]): Ratio(**row["peer_over_fnn"]["time"]) for row in found["rows"]
        }
        machine, was_quick = found["machine"], found["options"]["quick"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot compare with {path}, which is not the JSON of a benchmark: {error!r}") from error
    if was_quick != quick:
        raise ValueError(f"cannot compare with {path}: one run is quick and the other is not")
    return ratios, machine


def section(rows: Sequence[Row], earlier: Earlier, before: dict[str, Any], now: dict[str, Any]) -> Section:
    """Every row that both runs have, with the rows that became slower by name, and what else differs."""
    pairs = [(row, earlier.get((row.part, row.workload, row.peer))) for row in rows]
    found = [(row, old, verdict(old, row.time)) for row, old in pairs if old is not None]
    slower = [f"{row.workload} ({row.peer})" for row, _, words in found if words == SLOWER]
    changed = [f"{name} {before.get(name)} → {value}" for name, value in now.items() if before.get(name) != value]
    sentences = [
        f"Slower than before beside the peer: {'; '.join(slower)}." if slower else "No row became slower.",
        f"Rows that the earlier run does not have: {len(rows) - len(found)}." if len(found) < len(rows) else "",
        f"The machines differ: {'; '.join(changed)}." if changed else "",
    ]
    return Section(
        "Against the earlier run",
        "Slower or faster beside the peer; said where the two 95 % intervals do not overlap.",
        HEADINGS,
        [(row.workload, row.peer, str(old), f"→ {row.time}", words) for row, old, words in found],
        conclusion=" ".join(filter(None, sentences)),
    )


def verdict(old: Ratio, new: Ratio) -> str:
    """What became of fnn beside the peer, if the two intervals do not overlap; else nothing.

    >>> verdict(Ratio(2.0, 1.9, 2.1), Ratio(1.5, 1.4, 1.6)), verdict(Ratio(2.0, 1.9, 2.1), Ratio(2.05, 2.0, 2.2))
    ('SLOWER', '')
    """
    if new.high < old.low:
        return SLOWER
    return FASTER if new.low > old.high else ""
