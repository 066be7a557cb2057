"""The pictures of the experiment on cart-pole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.plots import band
from experiments.rewards.cart_pole import FARTHEST, LONGEST, STEEPEST, TAU

COLOURS, MARKERS = (plots.ORANGE, plots.GREEN), ("^", "s")


def learning(path: Path, figures: dict[str, Any], ways: Sequence[str], ratios: Any, level: float) -> None:
    """The mean return of every seed against the steps of the environment, and what the critic saves in variance."""
    figure = plots.new_figure(11, 4.4)
    *panels, right = figure.subplots(1, 3, width_ratios=(3, 3, 2.4))
    most = max(map(max, (run for runs in figures["steps"] for run in runs)))
    for axes, way, rate, colour, returns, steps in zip(
        panels, ways, figures["rates"], COLOURS, figures["returns"], figures["steps"], strict=True
    ):
        for each, used in zip(returns, steps, strict=True):
            axes.plot(np.array(used) / 1000, each, color=colour, alpha=0.45, linewidth=1)
        places, middle = middle_of(returns, steps)
        axes.plot(places / 1000, middle, color=plots.INK, linewidth=2, label="mean of the seeds")
        axes.axhline(level, color=plots.DIM, linewidth=0.8, linestyle=":")
        axes.set(xlabel="steps of the environment, thousands", ylim=(0, 1.04 * LONGEST), xlim=(0, most / 1000))
        axes.set_title(f"{way}, rate {rate:g}", loc="left", fontsize=10)
        axes.legend(frameon=False, loc="lower right", fontsize=9)
    panels[0].set_ylabel("mean return")
    band(right, figures["after"], ratios, "", color=plots.PURPLE, marker="D", middle=np.median)
    right.axhline(1, color=plots.DIM, linewidth=0.8, linestyle=":")
    right.set(
        yscale="log", xlabel="updates of policy and critic", ylabel="variance without the critic, over that with it"
    )
    for axes in (*panels, right):
        plots.clean(axes)
    plots.save(figure, path)


def middle_of(returns: Any, steps: Any) -> tuple[np.ndarray, np.ndarray]:
    """Where all seeds have a return, the mean over them at the same numbers of steps, interpolated."""
    returns, steps = np.array(returns), np.array(steps)
    places = np.linspace(steps[:, 0].max(), steps[:, -1].min(), 100)
    return places, np.mean([np.interp(places, *each) for each in zip(steps, returns, strict=True)], 0)


def episodes(path: Path, found: dict[str, Any]) -> None:
    """The cart's position and the pole's angle over time, before and after training."""
    figure = plots.new_figure(11, 4.4)
    rows = figure.subplots(2, 2, sharey="row", sharex="col")
    for column, (when, states) in zip(rows.T, found.items(), strict=True):
        position, angle = np.array(states).T
        seconds = TAU * np.arange(len(position))
        for axes, each, end, colour in (
            (column[0], position, FARTHEST, plots.BLUE),
            (column[1], np.degrees(angle), np.degrees(STEEPEST), plots.RED),
        ):
            axes.plot(seconds, each, color=colour, linewidth=1.5)
            for limit in (-end, end):
                axes.axhline(limit, color=plots.DIM, linewidth=0.9, linestyle=":")
            axes.set_ylim(-1.15 * end, 1.15 * end)
            plots.clean(axes)
        column[0].set_title(f"{when} training: {len(position)} steps", loc="left", fontsize=10)
        column[1].set_xlabel("time [s]")
    rows[0, 0].set_ylabel("cart [m]")
    rows[1, 0].set_ylabel("pole [°]")
    plots.save(figure, path)
