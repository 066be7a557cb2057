"""The plot of a sweep: the score against a hyper-parameter, with its spread over seeds."""

import os
from typing import Any

import numpy as np

from fnn.sweep.grid import number
from fnn.sweep.table import Spread, SweepTable

COLOURS = ("#0b6e99", "#e08e0b", "#2a9d6f", "#7a5195", "#8a8a8a", "#b5651d")
DIM, PALE, WASH = "#5c5c5c", "#e6e6e6", "#f4f4f4"
TICKS = 12
"""The most values that are labelled on the axis themselves."""


def save_plot(table: SweepTable, path: str | os.PathLike, x: str | None) -> None:
    """Draws the scores of all runs against ``x``, with a line per combination of the others, and saves the figure."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import LogLocator, NullLocator
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fnn[experiments]'") from error
    x = _chosen(table, x)
    others = [name for name in table.names if name != x and len(_values(table, name)) > 1]
    lines = _lines(table, x, others)
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever the caller's backend
    axes = figure.subplots()
    if lines:
        colours = [_colour(place, len(lines)) for place in range(len(lines))]
        for colour, (label, spreads) in zip(colours, lines.items(), strict=True):
            _draw_line(axes, table, x, spreads, colour, label if len(lines) > 1 else None)
        lost = [(spreads, colour) for colour, spreads in zip(colours, lines.values(), strict=True)]
    else:
        _draw_points(axes, table, x, others)
        lost = [(list(table.combinations), DIM)]
    scores = [table.value(run) for run in range(len(table.rows)) if np.isfinite(table.value(run))]
    if scores and min(scores) > 0 and max(scores) > 30 * min(scores):
        axes.set_yscale("log")
        if max(scores) < 1000 * min(scores):  # powers of ten alone would be too few ticks
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(lambda value, _: number(value))
            axes.yaxis.set_minor_locator(NullLocator())
    _scale_x(axes, np.array(_values(table, x), float))
    if any(each.without for each in table.combinations):
        _draw_lost(axes, table, x, lost)
    axes.set_xlabel(x.replace("_", " "))
    axes.set_ylabel(f"{table.score.replace('_', ' ')}, {table.at} epoch".replace("final", "last"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(_told(len(table.combinations[0].runs), bool(lines)), loc="left", fontsize=9, color=DIM)
    if axes.get_legend_handles_labels()[1]:
        title = ", ".join(others).replace("_", " ") if len(lines) > 1 else None
        figure.legend(loc="outside right upper", frameon=False, fontsize=9, title=title, alignment="left")
    figure.savefig(path, dpi=150)


def _told(seeds: int, lines: bool) -> str:
    if not lines or seeds == 1:
        return "one point per run"
    return f"mean of {seeds} seeds, shaded from the lowest to the highest; one point per run"


def _chosen(table: SweepTable, x: str | None) -> str:
    if not table.names:
        raise ValueError("this sweep has no hyper-parameters to draw a score against, only seeds")
    if x is None and "learning_rate" in table.names:
        return "learning_rate"
    if x is None:
        return max(table.names, key=lambda name: len(_values(table, name)))
    if x not in table.names:
        raise ValueError(f"{x!r} was not swept; x is one of {', '.join(table.names)}")
    return x


def _values(table: SweepTable, name: str) -> list[Any]:
    return sorted({each.hyperparams[name] for each in table.combinations})


def _lines(table: SweepTable, x: str, others: list[str]) -> dict[str, list[Spread]]:
    """The combinations of each line, in order, by what is constant along it; none if every line has only one."""
    groups: dict[tuple, list[Spread]] = {}
    for each in sorted(table.combinations, key=lambda each: each.hyperparams[x]):
        groups.setdefault(tuple(each.hyperparams[name] for name in others), []).append(each)
    if len(groups) > 1 and all(len(group) == 1 for group in groups.values()):
        return {}
    return {", ".join(map(number, point)): groups[point] for point in sorted(groups)}


def _colour(place: int, count: int) -> Any:
    if count <= len(COLOURS):
        return COLOURS[place]
    from matplotlib import colormaps

    return colormaps["viridis"](0.92 * place / (count - 1))


def _draw_line(axes: Any, table: SweepTable, x: str, spreads: list[Spread], colour: Any, label: str | None) -> None:
    places = [each.hyperparams[x] for each in spreads]
    axes.fill_between(
        places, [each.low for each in spreads], [each.high for each in spreads], color=colour, alpha=0.15, linewidth=0
    )
    axes.plot(places, [each.mean for each in spreads], color=colour, linewidth=2, label=label, zorder=3)
    runs = [(each.hyperparams[x], table.value(run)) for each in spreads for run in each.runs]
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5, "alpha": 0.65, "zorder": 4}
    axes.plot(*zip(*runs, strict=True), color=colour, markeredgewidth=0, **style)


def _draw_points(axes: Any, table: SweepTable, x: str, others: list[str]) -> None:
    """Draws every run; if there is exactly one other hyper-parameter, the colour shows it."""
    from matplotlib.colors import LogNorm, Normalize

    runs = range(len(table.rows))
    places, scores = [table.rows[run][x] for run in runs], [table.value(run) for run in runs]
    if len(others) != 1:
        axes.scatter(places, scores, s=22, color=COLOURS[0], linewidths=0, alpha=0.65, zorder=3)
        return
    scale = LogNorm if logarithmic(np.array(_values(table, others[0]), float)) else Normalize
    shades = [table.rows[run][others[0]] for run in runs]
    drawn = axes.scatter(places, scores, s=26, c=shades, norm=scale(), cmap="viridis", linewidths=0, zorder=3)
    axes.figure.colorbar(drawn, ax=axes, label=others[0].replace("_", " "), pad=0.02, fraction=0.05)


def _draw_lost(axes: Any, table: SweepTable, x: str, lines: list[tuple[list[Spread], Any]]) -> None:
    """Draws a cross with the number of runs that have no score, in a separate strip at the bad end of the axis."""
    scale = axes.yaxis.get_transform()
    ends = axes.get_ylim()
    low, high = scale.transform(np.array(ends))
    room = 0.12 * (high - low)
    ticks = [tick for tick in axes.get_yticks() if ends[0] <= tick <= ends[1]]
    limits = (low - room, high) if table.higher_is_better else (low, high + room)
    axes.set_ylim(*scale.inverted().transform(np.array(limits)))
    axes.set_yticks(ticks)  # none in the strip, which has no scores
    low, high = (0.0, 0.107) if table.higher_is_better else (0.893, 1.0)
    axes.axhspan(
        ends[0] if table.higher_is_better else ends[1], axes.get_ylim()[not table.higher_is_better], color=WASH
    )
    style: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 9}
    axes.annotate(
        "diverged", (1, (low + high) / 2), (5, 0), xycoords="axes fraction", color=DIM, annotation_clip=False, **style
    )
    crosses: dict[float, list[tuple[int, Any]]] = {}
    for spreads, colour in lines:
        for each in spreads:
            if each.without:
                crosses.setdefault(each.hyperparams[x], []).append((each.without, colour))
    for place, found in crosses.items():
        for i, (count, colour) in enumerate(found):
            at = {"xy": (place, (low + high) / 2), "xycoords": axes.get_xaxis_transform()}
            aside = 26 * (i - (len(found) - 1) / 2)
            axes.annotate(f"× {count}", xytext=(aside, 0), ha="center", color=colour, weight="bold", **at, **style)


def _scale_x(axes: Any, values: np.ndarray) -> None:
    """A logarithmic axis for values spaced that way, with 0 at its left end; few values become ticks themselves."""
    if values[0] >= 0 and logarithmic(values[values > 0]):
        if values[0] == 0:
            axes.set_xscale("symlog", linthresh=values[1], linscale=0.4)
        else:
            axes.set_xscale("log")
    if len(values) <= TICKS:
        axes.set_xticks(values, [f"{value:.3g}" for value in values])
        axes.minorticks_off()
    # A value at which every run diverged has nothing drawn, but stays on the axis.
    if len(values) > 1:
        scale = axes.xaxis.get_transform()
        low, high = scale.transform(values[[0, -1]])
        room = 0.06 * (high - low)
        axes.set_xlim(*scale.inverted().transform(np.array([low - room, high + room])))


def logarithmic(values: np.ndarray) -> bool:
    """Whether ascending positive numbers are spaced more evenly by their ratios than by their differences.

    >>> logarithmic(np.array([0.001, 0.01, 0.1])), logarithmic(np.array([0.8, 0.85, 0.9])), logarithmic(np.ones(1))
    (True, False, False)
    """
    if len(values) < 2 or values[0] <= 0 or values[-1] < 4 * values[0]:
        return False
    if len(values) == 2:
        return True
    ratios, steps = np.diff(np.log(values)), np.diff(values)
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())
