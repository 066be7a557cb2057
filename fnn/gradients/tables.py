"""A gradient report as text: rich tables for the terminal, Markdown for notebooks and issues."""

import sys
from collections.abc import Iterator
from typing import Any

from fnn.describe.fitting import WIDEST, Column, fitted, page_width
from fnn.describe.html import html_table, html_text
from fnn.describe.rendering import as_text, encodable
from fnn.gradients.findings import Findings
from fnn.gradients.notes import BYTES, COUNTS, TIMES, index_of, notes_of, number, scaled
from fnn.gradients.rows import Comparison, Kind, Row

KINDS: tuple[tuple[Kind, str], ...] = (("parameter", "Parameters"), ("delta", "Deltas of the layers' outputs"))


SPARE = ("max abs", "cosine", "worst at")
"""The columns that a page of 80 characters has no room for; the notes say them of every row that fails."""


def text(report: Findings) -> str:
    """The report as plain text, as wide as the page."""
    from rich.console import Group

    width = page_width()
    return as_text(Group(*renderables(report, width, getattr(sys.stdout, "encoding", None))), width).strip("\n")


def renderables(report: Findings, width: int = WIDEST, encoding: str | None = None) -> Iterator[Any]:
    """What rich prints, in order, on a page of that width and encoding."""
    from rich.text import Text

    for kind, title in KINDS:
        rows = _sorted(report, kind)
        if not rows:
            continue
        columns = [
            Column(heading, right, "/" * (heading == "path"), heading in SPARE) for heading, right in _headings(report)
        ]
        styles = {number: "bold red" for number, row in enumerate(rows) if not row.confirmed}
        cells = [_cells(report, row) for row in rows]
        words = {"title": f"{title}: {_subject(report)}", "styles": styles, "encoding": encoding}
        yield fitted(columns, cells, width, **words)
    if report.cost:
        columns = [Column(heading, i > 0, " (" * (i == 4)) for i, heading in enumerate(_COST_HEADINGS)]
        yield fitted(columns, _cost_cells(report), width, title=_cost_title(report), encoding=encoding)
    for line in notes_of(report):
        yield Text(encodable(line, encoding))
    style = "bold green" if report.ok else "bold red"
    yield Text(encodable(("✓ " if report.ok else "✗ ") + report.verdict, encoding), style=style)


def html(report: Findings) -> str:
    """The report as HTML, the verdict first."""
    parts = [html_text(("✓ " if report.ok else "✗ ") + report.verdict)]
    for kind, title in KINDS:
        rows = _sorted(report, kind)
        if rows:
            columns = [Column(heading, right) for heading, right in _headings(report)]
            cells = [_cells(report, row) for row in rows]
            parts.append(html_table(columns, cells, title=f"{title}: {_subject(report)}"))
    if report.cost:
        columns = [Column(heading, i > 0) for i, heading in enumerate(_COST_HEADINGS)]
        parts.append(html_table(columns, _cost_cells(report), title=_cost_title(report)))
    return "".join([*parts, *map(html_text, notes_of(report))])


def markdown(report: Findings) -> str:
    """The report as GitHub Markdown."""
    parts = [("✓ " if report.ok else "✗ ") + f"**{_escaped(report.verdict)}**"]
    for kind, title in KINDS:
        rows = _sorted(report, kind)
        if rows:
            parts.append(f"**{title}**: {_subject(report)}")
            parts.append(_markdown_table(_headings(report), [_cells(report, row) for row in rows]))
    if report.cost:
        parts.append(f"**{_cost_title(report)}**")
        parts.append(_markdown_table([(h, i > 0) for i, h in enumerate(_COST_HEADINGS)], _cost_cells(report)))
    notes = notes_of(report)
    if notes:
        parts.append("\n".join(f"- {_escaped(note)}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _sorted(report: Findings, kind: Kind) -> list[Row]:
    """The rows of a kind, failing ones first, then those that nothing confirms."""
    return sorted((row for row in report.rows if row.kind == kind), key=lambda row: (row.ok, row.confirmed))


def _subject(report: Findings) -> str:
    mode = "training" if report.train else "inference"
    return f"relative error against {report.reference}, {report.dtype}, {mode}"


def _main(report: Findings) -> str:
    return "manual" if "manual" in report.compared else report.compared[0]


def _headings(report: Findings) -> list[tuple[str, bool]]:
    words = [("", False), ("path", False), ("shape", False), ("rule", False), ("norm", True)]
    words += [(method, True) for method in report.compared]
    return [*words, ("max abs", True), ("cosine", True), ("worst at", True)]


def _cells(report: Findings, row: Row) -> list[str]:
    main = row[_main(report)]
    worst = next((each for each in row.comparisons if not each.ok), main)
    cells = [
        "FAIL" if not row.ok else "ok" if row.confirmed else "?",
        row.name,
        _shape(row.shape),
        row.rule,
        number(row.norm),
    ]
    cells += [_error(row[method]) for method in report.compared]
    return [*cells, number(worst.absolute), _cosine(worst), index_of(worst.worst)]


def _error(comparison: Comparison) -> str:
    if not comparison.ok:
        return f"{'' if comparison.relative is None else number(comparison.relative) + ' '}✗"
    if comparison.status != "ok":
        return comparison.status
    return number(comparison.relative) + "~" * comparison.within_rounding + "*" * bool(comparison.skipped)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "()"


def _cosine(comparison: Comparison) -> str:
    # Between two gradients that are nothing but rounding it says nothing.
    if comparison.cosine is None or comparison.status in ("zero", "auto"):
        return "–"
    return "1" if abs(comparison.cosine - 1) < 1e-9 else f"{comparison.cosine:.5f}"


_COST_HEADINGS = ("method", "time", "FLOPs", "temporary memory", "evaluations")


def _cost_title(report: Findings) -> str:
    return f"Cost of the gradient of all parameters, compiled: {report.cost_dtype}, {report.platform}"


def _cost_cells(report: Findings) -> list[list[str]]:
    return [
        [
            each.method,
            ("≈ " if each.estimated else "") + scaled(each.time, TIMES),
            "–" if each.flops is None else ("≈ " if each.estimated else "") + scaled(each.flops, COUNTS),
            "–" if each.temporary is None else scaled(each.temporary, BYTES),
            f"{each.evaluations:,}" + (" (worked out from one)" if each.estimated else ""),
        ]
        for each in report.cost
    ]


def _escaped(words: str) -> str:
    return words.replace("|", "\\|").replace("*", "\\*").replace("~", "\\~").replace("_", "\\_")


def _markdown_table(headings: list[tuple[str, bool]], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(name for name, _ in headings) + " |"]
    lines.append("|" + "|".join("---:" if right else ":---" for _, right in headings) + "|")
    lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
