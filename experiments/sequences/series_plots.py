"""The pictures of the forecasts."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.sequences.series_problem import HORIZONS, Part
from experiments.sequences.series_scores import ratios

LOOKS = {
    "last season": (plots.GREY, "v"),
    "drift": (plots.INK, "^"),
    "ridge": (plots.BLUE, "s"),
    "feed-forward": (plots.GREEN, "D"),
    "LSTM": (plots.ORANGE, "o"),
}
COLOURS = {"last value": plots.GREY, "ridge": plots.BLUE, "feed-forward": plots.GREEN, "LSTM": plots.ORANGE}
UNITS = {"membrane": ("membrane potential", "ms"), "volume": ("volume", "days"), "price": ("price", "days")}
TICKS = 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.2, 1.5, 2, 3, 5, 10, 20, 30, 50
AHEAD = 1
"""The place of the horizon of which forecasts are pictured."""


def piece(found: dict[str, np.ndarray], test: Part, count: int) -> dict[str, list[float]]:
    """The first test values, and the forecasts of them at one horizon, of the first seed."""

    def values(changes: np.ndarray) -> list[float]:
        return (test.last + changes[:, AHEAD] * test.scale[AHEAD])[:count].round(4).tolist()

    lines = {name: values(each[0]) for name, each in found.items() if name in COLOURS}
    return {"measured": values(test.changes)} | lines


def errors(path: Path, found: dict[str, dict[str, Any]]) -> None:
    """Errors over that of the last value by horizon, a panel for each series."""
    figure = plots.new_figure(11, 4.4)
    panels = figure.subplots(1, len(found))
    for axes, (name, each) in zip(panels, found.items(), strict=True):
        arrays = {method: np.array(values) for method, values in each.items()}
        methods = [method for method in LOOKS if method in arrays]
        for place, method in enumerate(methods):
            middle, low, high = ratios(arrays[method], arrays, "last value")
            colour, marker = LOOKS[method]
            # Side by side, so that no bar hides another.
            x = np.arange(len(HORIZONS)) + 0.16 * (place - (len(methods) - 1) / 2)
            # The quantiles of a skewed bootstrap may lie on one side of the figure itself.
            bars = np.maximum([middle - low, high - middle], 0)
            style = {"color": colour, "marker": marker, "linestyle": "", "capsize": 3, "markersize": 6}
            axes.errorbar(x, middle, yerr=bars, label=method, **style)
        axes.axhline(1, color=plots.INK, linewidth=1, linestyle=(0, (5, 3)), label="last value")
        title, unit = UNITS[name]
        axes.set(yscale="log", xlabel=f"{unit} ahead")
        axes.set_xticks(range(len(HORIZONS)), [str(horizon) for horizon in HORIZONS])
        axes.set_title(title, loc="left", fontsize=10)
        # Those of the list that are in the picture.
        low, high = axes.get_ylim()
        axes.set_yticks(ticks := [each for each in TICKS if low <= each <= high], [f"{each:g}" for each in ticks])
        axes.minorticks_off()
        plots.clean(axes)
    panels[0].set_ylabel("squared error over that of the last value\n(lower is better)")
    handles = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(handles.values()), list(handles), frameon=False, loc="outside upper right", ncols=len(handles), fontsize=9
    )
    plots.save(figure, path)


def forecasts(path: Path, found: dict[str, dict[str, list[float]]]) -> None:
    """Test values and their forecasts over time, a panel for each series."""
    figure = plots.new_figure(11, 6.4)
    panels = figure.subplots(len(found), 1)
    for axes, (name, lines) in zip(panels, found.items(), strict=True):
        for label, values in lines.items():
            values = np.array(values) if name == "membrane" else np.exp(values)
            style = {"color": COLOURS.get(label, plots.INK), "linewidth": 2.2 if label == "measured" else 1.2}
            axes.plot(np.arange(len(values)), values, label=label, zorder=1 if label == "measured" else 2, **style)
        title, unit = UNITS[name]
        axes.set_title(f"{title}, forecast {HORIZONS[AHEAD]} {unit} ahead", loc="left", fontsize=10)
        axes.set(xlabel=f"{unit} of the test part", ylabel="mV" if name == "membrane" else "dollars")
        plots.clean(axes)
    plots.legend_above(figure, panels[0], columns=5)
    plots.save(figure, path)
