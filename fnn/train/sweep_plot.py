"""A sweep as a picture: the score against a hyper-parameter, with its spread over seeds."""

import os
from typing import Any

import numpy as np

from fnn.train.grid import number
from fnn.train.sweep_table import Spread, SweepTable

COLOURS = ("#0b6e99", "#e08e0b", "#2a9d6f", "#7a5195", "#8a8a8a", "#b5651d")
DIVERGED, INK, PALE = "#c8102e", "#222222", "#e6e6e6"
TICKS = 12
"""Up to so many values stand at the axis themselves."""


def save_plot(table: SweepTable, path: str | os.PathLike, x: str | None) -> None:
    """Draws the scores of all runs against ``x``, a line for each combination of the others; saves the picture."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fnn[experiments]'") from error
    x = _chosen(table, x)
    others = [name for name in table.names if name != x and len(_values(table, name)) > 1]
    lines = _lines(table, x, others)
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever backend the caller has chosen
    axes = figure.subplots()
    scores = [table.value(run) for run in range(len(table.rows)) if np.isfinite(table.value(run))]
    for place, (label, spreads) in enumerate(lines.items()):
        _draw_line(axes, table, x, spreads, _colour(place, len(lines)), label)
    _scale_x(axes, np.array(_values(table, x), float))
    if scores and min(scores) > 0 and max(scores) > 30 * min(scores):
        axes.set_yscale("log")
    _draw_diverged(axes, table, x)
    axes.set_xlabel(x.replace("_", " "))
    when = "last epoch" if table.at == "final" else "best epoch"
    axes.set_ylabel(f"{table.score.replace('_', ' ')}, {when}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    seeds = len(table.combinations[0].runs)
    told = f"mean of {seeds} seeds, shaded from the lowest to the highest; a point a run" if seeds > 1 else "one seed"
    axes.set_title(told, loc="left", fontsize=9, color="#5c5c5c")
    if axes.get_legend_handles_labels()[1]:
        title = ", ".join(others).replace("_", " ") if others and len(lines) > 1 else None
        figure.legend(loc="outside right upper", frameon=False, fontsize=9, title=title, alignment="left")
    figure.savefig(path, dpi=150)


def _chosen(table: SweepTable, x: str | None) -> str:
    if not table.names:
        raise ValueError("this sweep has no hyper-parameters to draw a score against, only seeds")
    if x is None:
        return (
            "learning_rate"
            if "learning_rate" in table.names
            else max(table.names, key=lambda name: len(_values(table, name)))
        )
    if x not in table.names:
        raise ValueError(f"{x!r} was not swept; x is one of {', '.join(table.names)}")
    return x


def _values(table: SweepTable, name: str) -> list[Any]:
    return sorted({each.hyperparams[name] for each in table.combinations})


def _lines(table: SweepTable, x: str, others: list[str]) -> dict[str | None, list[Spread]]:
    """The combinations by what is the same along a line, in order; all in one where no two have that in common."""
    groups: dict[tuple, list[Spread]] = {}
    for each in sorted(table.combinations, key=lambda each: each.hyperparams[x]):
        groups.setdefault(tuple(each.hyperparams[name] for name in others), []).append(each)
    if len(groups) == 1 or all(len(group) == 1 for group in groups.values()):
        return {None: [each for group in groups.values() for each in group]}
    return {", ".join(map(number, point)): groups[point] for point in sorted(groups)}


def _colour(place: int, count: int) -> Any:
    if count <= len(COLOURS):
        return COLOURS[place]
    from matplotlib import colormaps

    return colormaps["viridis"](0.92 * place / (count - 1))


def _draw_line(axes: Any, table: SweepTable, x: str, spreads: list[Spread], colour: Any, label: str | None) -> None:
    places = [each.hyperparams[x] for each in spreads]
    joined = len(set(places)) == len(places) and label is not None or len(table.names) == 1
    if joined:
        low, high = [each.low for each in spreads], [each.high for each in spreads]
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(places, [each.mean for each in spreads], color=colour, linewidth=2, label=label, zorder=3)
    runs = [(each.hyperparams[x], table.value(run)) for each in spreads for run in each.runs]
    style: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4, "alpha": 0.6, "zorder": 4}
    axes.plot(*zip(*runs, strict=True), color=colour, markeredgewidth=0, **style)


def _draw_diverged(axes: Any, table: SweepTable, x: str) -> None:
    """A cross for every value of ``x`` at which runs have no score, at the bad end of the axis, with their number."""
    lost: dict[float, tuple[int, int]] = {}
    for each in table.combinations:
        without, runs = lost.get(each.hyperparams[x], (0, 0))
        lost[each.hyperparams[x]] = (without + each.without, runs + len(each.runs))
    lost = {place: counts for place, counts in lost.items() if counts[0]}
    if not lost:
        return
    edge = 0.03 if table.higher_is_better else 0.97
    style: dict[str, Any] = {"marker": "X", "markersize": 9, "color": DIVERGED, "markeredgecolor": "white"}
    across = axes.get_xaxis_transform()
    axes.plot(
        list(lost), [edge] * len(lost), linestyle="none", label="diverged", transform=across, zorder=5, **style
    )
    for place, (without, runs) in lost.items():
        axes.annotate(
            f"{without} of {runs}",
            (place, edge),
            xycoords=across,
            xytext=(0, 9 if table.higher_is_better else -9),
            textcoords="offset points",
            ha="center",
            va="bottom" if table.higher_is_better else "top",
            fontsize=8,
            color=DIVERGED,
        )


def _scale_x(axes: Any, values: np.ndarray) -> None:
    """A logarithmic axis for values that are spaced so, a 0 among them at its left; few values stand at it as ticks."""
    if logarithmic(values[values > 0]) and values.min() >= 0:
        if values.min() == 0:
            axes.set_xscale("symlog", linthresh=values[values > 0].min(), linscale=0.4)
        else:
            axes.set_xscale("log")
    if len(values) <= TICKS:
        axes.set_xticks(values, [number(value) for value in values])
        axes.minorticks_off()


def logarithmic(values: np.ndarray) -> bool:
    """Whether ascending positive numbers are spaced more evenly by their ratios than by their differences.

    >>> logarithmic(np.array([0.001, 0.01, 0.1])), logarithmic(np.array([0.8, 0.85, 0.9])), logarithmic(np.ones(1))
    (True, False, False)
    """
    if len(values) < 2 or values[-1] < 4 * values[0]:
        return False
    if len(values) == 2:
        return True
    ratios, steps = np.diff(np.log(values)), np.diff(values)
    return bool(ratios.std() / ratios.mean() < steps.std() / steps.mean())
