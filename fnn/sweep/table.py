"""The scores of a sweep: a row per run, and the combinations of hyper-parameters with their spread over seeds."""

import csv
import dataclasses
import json
import math
import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.describe.fitting import Column
from fnn.describe.html import html_table
from fnn.describe.rendering import as_text, spelled
from fnn.errors import is_floating
from fnn.sweep.grid import number

At = Literal["final", "best"]


class Spread(NamedTuple):
    """The scores of one combination over the seeds that have one; NaN if none has.

    ``std`` is the sample standard deviation (n − 1), NaN for a single seed; ``without`` counts the runs that diverged
    or have no finite score; ``runs`` holds the indices of its runs in ``rows``; ``reason`` says why the runs diverged,
    if all did and for the same reason.
    """

    hyperparams: dict[str, Any]
    mean: float
    std: float
    low: float
    high: float
    without: int
    runs: tuple[int, ...]
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class SweepTable:
    """The table of a score, which ``SweepResult.table`` makes; ``print`` shows the combinations, best first.

    ``rows`` has a dict per run: the hyper-parameters, ``seed``, the score in the last epoch under its own name, the
    best score under ``best_`` and its name, ``best_epoch`` (from 1; ``None`` if no epoch has a finite score),
    ``epochs_run``, ``diverged``, and ``reason`` (why it diverged, or ``None``). ``combinations`` has a ``Spread`` per
    combination, best first; those with a run without a score come last.
    """

    score: str
    at: At
    higher_is_better: bool
    names: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    combinations: tuple[Spread, ...]

    @classmethod
    def of(
        cls,
        score: str,
        scores: np.ndarray,
        hyperparams: dict[str, np.ndarray],
        seeds: np.ndarray,
        epochs_run: np.ndarray,
        reasons: Sequence[str | None],
        *,
        at: At,
        higher: bool,
    ) -> "SweepTable":
        """The table of ``scores`` (runs, epochs); runs with a reason diverged."""
        rows = []
        for run, values in enumerate(scores.astype(float)):
            ran = values[: epochs_run[run]]
            finite = np.where(np.isfinite(ran), ran, np.nan)
            place = None if np.isnan(finite).all() else int(np.nanargmax(finite if higher else -finite))
            rows.append(
                {name: column[run].item() for name, column in hyperparams.items()}
                | {
                    "seed": int(seeds[run]),
                    score: float(ran[-1]),
                    f"best_{score}": math.nan if place is None else float(ran[place]),
                    "best_epoch": None if place is None else place + 1,
                    "epochs_run": int(epochs_run[run]),
                    "diverged": reasons[run] is not None,
                    "reason": reasons[run],
                }
            )
        table = cls(score, at, higher, tuple(hyperparams), tuple(rows), ())
        return dataclasses.replace(table, combinations=table._ranked())

    @property
    def column(self) -> str:
        """The column that ranks the combinations: the score of the last epoch, or the best."""
        return self.score if self.at == "final" else f"best_{self.score}"

    def value(self, run: int) -> float:
        """The score of a run, NaN if it diverged or has none."""
        row = self.rows[run]
        return row[self.column] if not row["diverged"] and math.isfinite(row[self.column]) else math.nan

    def best_run(self) -> int | None:
        """The best seed of the best combination; ``None`` if no run has a score."""
        runs = next((each.runs for each in self.combinations if math.isfinite(each.mean)), ())
        return min((run for run in runs if math.isfinite(self.value(run))), key=self._order, default=None)

    def _order(self, run: int) -> float:
        return -self.value(run) if self.higher_is_better else self.value(run)

    def _ranked(self) -> tuple[Spread, ...]:
        groups: dict[tuple, list[int]] = {}
        for run, row in enumerate(self.rows):
            groups.setdefault(tuple(row[name] for name in self.names), []).append(run)
        spreads = [self._spread(point, runs) for point, runs in groups.items()]

        def order(each: Spread) -> tuple[bool, bool, float]:
            none = math.isnan(each.mean)
            return none, each.without > 0, 0.0 if none else -each.mean if self.higher_is_better else each.mean

        return tuple(sorted(spreads, key=order))

    def _spread(self, point: tuple, runs: list[int]) -> Spread:
        values = np.array([self.value(run) for run in runs])
        reasons = {self.rows[run]["reason"] for run in runs}
        values, lost = values[np.isfinite(values)], int((~np.isfinite(values)).sum())
        nothing = math.nan
        return Spread(
            dict(zip(self.names, point, strict=True)),
            float(values.mean()) if len(values) else nothing,
            float(values.std(ddof=1)) if len(values) > 1 else nothing,
            float(values.min()) if len(values) else nothing,
            float(values.max()) if len(values) else nothing,
            lost,
            tuple(runs),
            reasons.pop() if len(reasons) == 1 else None,
        )

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes ``rows``, one line per run."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]))
            writer.writeheader()
            writer.writerows(self.rows)

    def to_json(self, *, indent: int | None = None) -> str:
        """``rows`` as strict JSON; a number that is not finite is null."""
        plain = [
            {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in row.items()}
            for row in self.rows
        ]
        return json.dumps(plain, indent=indent, allow_nan=False, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The combinations as GitHub Markdown."""
        headings, cells = self._headings(), self._cells()
        escaped = ["| " + " | ".join(heading.replace("_", "\\_") for heading in headings) + " |"]
        escaped.append("|" + "---:|" * len(headings))
        escaped += ["| " + " | ".join(row) + " |" for row in cells]
        return f"**{self._title()}**\n\n" + "\n".join(escaped) + "\n"

    def _repr_html_(self) -> str:
        columns = [Column(heading, heading != "reason") for heading in self._headings()]
        return html_table(columns, self._cells(), title=self._title())

    def _title(self) -> str:
        which = "in the last epoch" if self.at == "final" else "in the best epoch"
        return f"{self.score} {which}" + (f" over {self._seeds} seeds" if self._seeds > 1 else "") + ", best first"

    @property
    def _seeds(self) -> int:
        return len(self.combinations[0].runs)

    @property
    def _explained(self) -> bool:
        return any(each.reason for each in self.combinations)

    def _headings(self) -> list[str]:
        spread = ["mean", "std", "lowest", "highest"] if self._seeds > 1 else [self.score]
        return [*self.names, *spread, "diverged", *(["reason"] if self._explained else [])]

    def _cells(self) -> list[list[str]]:
        return [
            [
                *(number(value) for value in each.hyperparams.values()),
                *(number(value) for value in (each.mean, each.std, each.low, each.high)[: 4 if self._seeds > 1 else 1]),
                f"{each.without} of {len(each.runs)}" if each.without else "–",
                *([each.reason or "–"] if self._explained else []),
            ]
            for each in self.combinations
        ]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich import box
        from rich.table import Table

        table = Table(
            title=self._title(), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
        )
        for heading in self._headings():
            table.add_column(heading, justify="left" if heading == "reason" else "right", overflow="fold")
        for each, cells in zip(self.combinations, self._cells(), strict=True):
            table.add_row(*cells, style="red" if each.without else "")
        yield from spelled(console, options, table)

    def __str__(self) -> str:
        return as_text(self).strip("\n")


def finite_results(tree: Any, runs: int) -> np.ndarray:
    """For every run, whether all its floating-point numbers are finite."""
    leaves = filter(is_floating, jax.tree.leaves(tree))
    finite = [np.asarray(jnp.isfinite(leaf).reshape(runs, -1).all(1)) for leaf in leaves]
    return np.all([np.ones(runs, bool), *finite], 0)
