"""What a gradient report says in words and single numbers."""

from fnn.gradients.findings import Findings, listed
from fnn.gradients.rows import Comparison

TIMES = ((1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
COUNTS = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
BYTES = ((1.0, "B"), (2.0**10, "KiB"), (2.0**20, "MiB"), (2.0**30, "GiB"))


def notes_of(report: Findings) -> list[str]:
    """What the tables cannot say, a line each, failures first."""
    comparisons = [each for row in report.rows for each in row.comparisons]
    notes = [f"✗ {row.name}: {_failure(each)}" for row in report.failures for each in row.comparisons if not each.ok]
    if report.suspect:
        notes.append(f"→ {report.suspect}.")
    limits: dict[float, list[str]] = {}
    for method in report.compared:
        limits.setdefault(report.tolerances[method], []).append(method)
    allowed = "; ".join(f"{', '.join(names)} {number(limit)}" for limit, names in limits.items())
    notes.append(f"Tolerance on ‖g − r‖ / ‖r‖: {allowed}.")
    if any(each.status == "zero" for each in comparisons):
        notes.append("zero: below 100·eps of the norm of the whole gradient, by this method and by the reference.")
    if any(each.directional for each in comparisons):
        notes.append(
            f"Leaves of more than {report.entrywise} entries: forward and finite along {report.directions} random"
            f" directions (seed {report.seed}), which estimate the error of the leaf."
        )
    if any(each.within_rounding for each in comparisons):
        notes.append("~: no further off than rounding of the value, or of the whole gradient, makes it.")
    aside = [row.name for row in report.rows if any(each.skipped for each in row.comparisons)]
    if aside:
        notes.append(f"kink: every difference crosses a kink and is not judged; *: some do: {listed(aside)}.")
    if any(each.status == "frozen" for each in comparisons):
        notes.append("frozen: differences would move what is a constant to derivatives, and are not judged.")
    if any(each.status == "surrogate" for each in comparisons):
        notes.append(
            "surrogate: the gradient goes through a straight-through slope, which is no derivative: differences do not"
            " see it and are not judged."
        )
    if any(each.status == "auto" for each in comparisons):
        notes.append(
            "auto: made by a rule that is jax.vjp itself (a delta by that of the layer behind it), as reverse is; that"
            " both agree confirms nothing, and is not judged."
        )
    if report.uncast:
        notes.append("Cast: compared without its rounding; the cost is with it.")
    notes += [f"At a kink or tie: {kink}." for kink in report.kinks]
    return notes


def _failure(each: Comparison) -> str:
    if each.absolute is None:
        return f"{each.method}: {each.note}"
    at = "" if each.worst is None else f" at {index_of(each.worst)}"
    size = "should be zero and is not" if each.relative is None else f"has the relative error {number(each.relative)}"
    numbers = f"{at}: {number(each.value)} against {number(each.expected)}"
    return f"{each.method} {size}, most{numbers}" + (f" — {each.note}" if each.note else "")


def number(value: float | None) -> str:
    """A number in eight characters or fewer."""
    if value is None:
        return "–"
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def index_of(index: tuple[int, ...] | None) -> str:
    """An index as Python writes it."""
    return "–" if index is None else f"[{', '.join(map(str, index))}]"


def scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """A quantity in the unit that suits it, to three digits."""
    size, unit = next((each for each in reversed(units) if value >= each[0]), units[0])
    return f"{value / size:.3g} {unit}".strip() if value / size < 1000 else f"{value / size:.0f} {unit}".strip()
