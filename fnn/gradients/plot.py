"""A gradient report as a picture."""

import os
from typing import Any

from fnn.gradients.findings import Findings
from fnn.gradients.notes import BYTES, COUNTS, TIMES, scaled
from fnn.gradients.rows import Row

COLOURS = {"manual": "#0b6e99", "reverse": "#9a9a9a", "forward": "#e08e0b", "finite": "#7a5195"}
MARKERS = {"manual": "o", "reverse": "s", "forward": "D", "finite": "^"}
FAILED = "#c8102e"
FLOOR = 1e-17


def save_plot(report: Findings, path: str | os.PathLike) -> None:
    """Draws the errors of every leaf by method, with the tolerances, and the costs beside them; saves the picture."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fnn[experiments]'") from error
    height = 1.9 + max(0.23 * len(report.rows), 2.6)
    figure = Figure(figsize=(12.5 if report.cost else 8.5, height), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever backend the caller has chosen
    if report.cost:
        grid = figure.add_gridspec(3, 2, width_ratios=(2.3, 1))
        _draw_errors(figure.add_subplot(grid[:, 0]), report)
        _draw_costs([figure.add_subplot(grid[i, 1]) for i in range(3)], report)
    else:
        _draw_errors(figure.add_subplot(), report)
    title = "All gradients agree" if report.ok else "Gradients disagree" if report.failures else "Not confirmed"
    title += f" ({report.dtype})"
    figure.suptitle(title, fontsize=13, fontweight="bold", color="black" if report.ok else FAILED)
    figure.savefig(path, dpi=150)


def _draw_errors(axes: Any, report: Findings) -> None:
    rows = [row for kind in ("parameter", "delta") for row in report.rows if row.kind == kind]
    heights = _heights(rows)
    for i, method in enumerate(report.compared):
        offset = 0.13 * (i - (len(report.compared) - 1) / 2)
        points = [(row[method], height - offset) for row, height in zip(rows, heights, strict=True)]
        _draw_points(
            axes,
            method,
            [(each.relative, y) for each, y in points if each.judged and each.ok and each.relative is not None],
        )
        # A failure without a number (a wrong shape, a gradient that should be zero) stands at 100 %.
        _draw_failures(axes, [(1.0 if e.relative is None else e.relative, y) for e, y in points if not e.ok])
    _draw_tolerances(axes, report)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, FLOOR), max(high, 1e-6))
    axes.set_ylim(min(heights, default=0) - 0.8, 1.3)
    axes.set_yticks(heights, [_label(row) for row in rows], fontsize=8)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color("black" if row.ok else FAILED)
    for kind, words in (("parameter", "parameters"), ("delta", "deltas of the layers' outputs")):
        top = next((height for row, height in zip(rows, heights, strict=True) if row.kind == kind), None)
        if top is not None:
            axes.text(
                0.008, top + 0.75, words, transform=axes.get_yaxis_transform(), va="center", fontsize=8, style="italic"
            )
    axes.grid(axis="x", color="#e3e3e3")
    axes.grid(axis="y", color="#f0f0f0")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"relative error against {report.reference},  ‖g − r‖ / ‖r‖;  exact equality at {FLOOR:g}")
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    names = sorted(named, key=lambda name: name == "fails")
    axes.figure.legend([named[name] for name in names], names, loc="outside lower center", ncols=5, frameon=False)


def _heights(rows: list[Row]) -> list[float]:
    """The first row on top, and room for a heading above each kind."""
    second = rows[0].kind if rows else None
    return [-(i + 1.5 * (row.kind != second)) for i, row in enumerate(rows)]


def _draw_points(axes: Any, method: str, points: list[tuple[float, float]]) -> None:
    x, y = [max(error, FLOOR) for error, _ in points], [height for _, height in points]
    style: dict[str, Any] = {"marker": MARKERS[method], "markersize": 5.5, "color": COLOURS[method]}
    axes.plot(x, y, linestyle="none", markeredgecolor="white", markeredgewidth=0.5, label=method, zorder=3, **style)


def _draw_failures(axes: Any, points: list[tuple[float, float]]) -> None:
    if not points:
        return
    label = None if "fails" in axes.get_legend_handles_labels()[1] else "fails"
    style: dict[str, Any] = {"marker": "X", "markersize": 9, "color": FAILED}
    axes.plot(*zip(*points, strict=True), linestyle="none", markeredgecolor="white", label=label, zorder=4, **style)


def _draw_tolerances(axes: Any, report: Findings) -> None:
    for tolerance in sorted({report.tolerances[method] for method in report.compared}):
        names = [method for method in report.compared if report.tolerances[method] == tolerance]
        axes.axvline(tolerance, color="#444444", linestyle="--", linewidth=1, zorder=1)
        axes.annotate(
            f"tolerance: {', '.join(names)}",
            (tolerance, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            fontsize=7.5,
            ha="center",
            color="#444444",
        )


def _label(row: Row) -> str:
    """The path, and in brackets why methods have no point here."""
    aside = {each.status for each in row.comparisons if each.ok and (each.relative is None or not each.judged)}
    return row.name + (f"  ({', '.join(sorted(aside))})" if aside and row.ok else "")


def _draw_costs(all_axes: list[Any], report: Findings) -> None:
    methods = [each.method for each in report.cost]
    quantities = (
        ("time", [each.time for each in report.cost], TIMES),
        ("FLOPs", [each.flops for each in report.cost], COUNTS),
        ("temporary memory", [each.temporary for each in report.cost], BYTES),
    )
    for axes, (title, values, units) in zip(all_axes, quantities, strict=True):
        known = [value for value in values if value]
        axes.barh(methods, [value or 0 for value in values], color=[COLOURS[m] for m in methods], height=0.62)
        axes.invert_yaxis()
        logarithmic = bool(known) and max(known) > 50 * min(known)
        axes.set_title(f"{title}, log scale" if logarithmic else title, fontsize=9, loc="left")
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xlim(min(known) / 3, max(known) * 30)
        elif known:
            axes.set_xlim(0, max(known) * 1.35)
        for each, method, value in zip(report.cost, methods, values, strict=True):
            words = "unknown" if value is None else scaled(value, units)
            mark = "≈ " if each.estimated and title != "temporary memory" and value is not None else ""
            axes.annotate(f" {mark}{words}", (value or axes.get_xlim()[0], method), va="center", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_visible(False)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
