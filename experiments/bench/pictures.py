"""The picture of a table: one bar a row."""

from collections.abc import Sequence
from pathlib import Path

from experiments import plots
from experiments.in_turn import Ratio

NEAR = 1.05
"""Ratios nearer to 1 than this are drawn in grey and called the same."""


def bars(
    path: Path, names: Sequence[str], ratios: Sequence[float | Ratio], *, title: str, subtitle: str, winner: str
) -> None:
    """How many times faster ``winner`` is, as bars from 1 on a logarithmic axis, with their intervals if given."""
    figure = plots.new_figure(8 if max(map(len, names)) < 36 else 11, 0.32 * len(names) + 1.4)
    axes = figure.subplots()
    medians = [each.median if isinstance(each, Ratio) else each for each in ratios]
    places = range(len(names))[::-1]
    colours = [plots.BLUE if r > NEAR else plots.ORANGE if 1 / r > NEAR else plots.GREY for r in medians]
    axes.barh(places, [each - 1 for each in medians], left=1, color=colours, height=0.65)
    axes.set_yticks(places, names)
    axes.set_xscale("log")
    ends = [end for each in ratios for end in (each if isinstance(each, Ratio) else (each,))]
    low, high = min(0.5, *ends) * 0.9, max(2, *ends) * 1.7
    axes.set_xlim(low, high)
    ticks = [tick for tick in (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.axvline(1, color=plots.INK, linewidth=1)
    for place, each, median in zip(places, ratios, medians, strict=True):
        times, side = max(median, 1 / median), "faster" if median > 1 else "slower"
        words = f"{times:.{0 if times >= 10 else 1}f}× {side}" if times > NEAR else "the same"
        end = max(median, 1)
        if isinstance(each, Ratio):
            axes.hlines(place, each.low, each.high, color=plots.INK, linewidth=1)
            end = max(end, each.high)
        axes.text(end * 1.03, place, words, va="center", fontsize=8, color=plots.INK)
    plots.clean(axes)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    plots.title(figure, title, f"{subtitle}; bars to the right: {winner} is faster; grey: within 5 %")
    plots.save(figure, path)
