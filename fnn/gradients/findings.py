"""What a comparison found, and what follows from it: the data behind every table, note and picture."""

import dataclasses
import math
from functools import cached_property

from fnn.gradients.cost import Cost
from fnn.gradients.kinks import Kink
from fnn.gradients.rows import Kind, Row


@dataclasses.dataclass(frozen=True)
class Findings:
    """The comparison, leaf by leaf.

    ``value`` is that of the objective; ``rows`` hold one ``Row`` a parameter and one a layer delta, in the order of the
    model; ``tolerances`` the relative error that each method is allowed; ``kinks`` where the input stands on a kink or
    a tie; ``suspect`` which layer to look at first, if the manual gradient fails; ``cost`` what each method costs
    compiled.
    """

    rows: tuple[Row, ...]
    methods: tuple[str, ...]
    reference: str
    dtype: str
    train: bool
    value: float
    tolerances: dict[str, float]
    kinks: tuple[Kink, ...] = ()
    suspect: str = ""
    cost: tuple[Cost, ...] = ()
    entrywise: int = 64
    directions: int = 8
    seed: int = 0
    platform: str = ""
    cost_dtype: str = ""
    uncast: bool = False

    @property
    def ok(self) -> bool:
        """Whether the value is finite and every row is confirmed, at least one: no method fails, and one was judged."""
        judged = any(comparison.judged for row in self.rows for comparison in row.comparisons)
        return math.isfinite(self.value) and judged and all(row.confirmed for row in self.rows)

    @property
    def max_error(self) -> float:
        """The largest relative error of the manual gradient (of all methods, if manual is not among them).

        NaN if a row has no number (a shape that differs, or a value that is not finite), and if none was judged. Zero
        rows have no relative error; they fail or pass.
        """
        return self.error_of("manual" if "manual" in self.compared else None)

    def error_of(self, method: str | None = None, kind: Kind | None = None) -> float:
        """The largest relative error of one method (of all), over the rows of one kind (of both)."""
        chosen = [
            comparison
            for row in self.rows
            if kind in (None, row.kind)
            for comparison in row.comparisons
            if method in (None, comparison.method) and comparison.judged
        ]
        if not chosen or any(not comparison.ok and comparison.absolute is None for comparison in chosen):
            return math.nan
        return max((each.relative for each in chosen if each.relative is not None), default=0.0)

    @property
    def compared(self) -> tuple[str, ...]:
        """The methods that are compared with the reference."""
        return tuple(method for method in self.methods if method != self.reference)

    @property
    def failures(self) -> tuple[Row, ...]:
        """The rows on which some method fails."""
        return tuple(row for row in self.rows if not row.ok)

    @property
    def unconfirmed(self) -> tuple[Row, ...]:
        """The rows on which no method fails and none was judged."""
        return tuple(row for row in self.rows if row.ok and not row.confirmed)

    def __getitem__(self, path: str) -> Row:
        """The row of a path; of a parameter, if a layer has the same one."""
        for row in self.rows:
            if row.path == path:
                return row
        raise KeyError(f"no row {path!r}; there are {[row.path for row in self.rows]}")

    @cached_property
    def verdict(self) -> str:
        """The result in one line."""
        if not self.rows:
            return "nothing was compared: the model has no floating parameters and no layer with a floating output."
        parts = [self._verdict_of(method) for method in self.compared]
        if not math.isfinite(self.value):
            parts.insert(0, f"the value is {self.value}: is a label or an index out of range, or a number too large?")
        if self.unconfirmed:
            names = listed([row.name for row in self.unconfirmed])
            more = [method for method in ("forward", "finite") if method not in self.methods]
            advice = f"; compare {' or '.join(map(repr, more))} too" if more else ""
            parts.append(f"not confirmed, since nothing was judged there: {names}{advice}")
        return "; ".join(parts) + "."

    def _verdict_of(self, method: str) -> str:
        found = [row[method] for row in self.rows]
        failed = [row.name for row in self.rows if not row[method].ok]
        if failed:
            return f"{method} ≠ {self.reference} on {len(failed)} of {len(found)} leaves: {listed(failed, 3)}"
        counts = (
            (sum(each.status == "zero" for each in found), "zero in both"),
            (sum(each.status == "empty" for each in found), "without entries"),
            (sum(each.status == "auto" for each in found), "automatic, not judged"),
            (sum(each.status == "kink" for each in found), "on a kink, not judged"),
            (sum(each.status == "frozen" for each in found), "frozen, not judged"),
            (sum(each.status == "surrogate" for each in found), "through a straight-through slope, not judged"),
            (sum(each.within_rounding for each in found), "to rounding only"),
        )
        aside = ", ".join(f"{count} {words}" for count, words in counts if count)
        judged = [each for each in found if each.judged]
        if not judged:
            return f"{method} was judged on none of {len(found)} leaves ({aside})"
        told = [each.relative for each in judged if each.relative is not None and not each.within_rounding]
        if not told and any(each.within_rounding for each in judged):
            return f"{method} = {self.reference} as far as rounding lets it tell, over {len(found)} leaves"
        error = max(told, default=0.0)
        return f"{method} = {self.reference} to {error:.1e} over {len(found)} leaves{aside and f' ({aside})'}"


def listed(names: list[str], limit: int = 4) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
