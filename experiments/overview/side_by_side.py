"""Compare: runs of an experiment side by side: the settings that differ, every claim's figure and verdict, the curves.

The runs are given by their folders. Curves are drawn of an experiment that keeps a ``history`` among its figures.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import tyro

from experiments import plots, runs
from experiments.experiment import Experiment

DASHES = ("-", (0, (4, 2)), (0, (1.5, 1.5)))
COLOURS = (plots.BLUE, plots.ORANGE, plots.GREEN, plots.PURPLE, plots.RED, plots.INK)


class Run(NamedTuple):
    """What a run left in its folder."""

    folder: Path
    options: dict[str, Any]
    results: dict[str, Any]

    @property
    def history(self) -> dict[str, Any]:
        """The curves, (runs, epochs) each; none of most experiments."""
        return self.results["figures"].get("history", {})


def read(folder: Path) -> Run:
    """Reads ``config.json`` and ``results.json``.

    Errors: ``ValueError`` if the folder is not that of a finished run.
    """
    try:
        options, results = (json.loads((folder / name).read_text("utf-8")) for name in ("config.json", "results.json"))
        finished = {"claims", "figures", "experiment"} <= results.keys()
    except (OSError, ValueError, AttributeError):
        finished, options, results = False, {}, {}
    if not finished:
        raise ValueError(f"{folder} is not the folder of a finished experiment with claims")
    return Run(folder, options, results)


@dataclasses.dataclass(frozen=True)
class Compare(Experiment):
    """The options of the command."""

    name = "compare"

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """The folders of two or more runs."""

    def run(self) -> bool:
        found = [read(folder) for folder in self.folders]
        if len(found) < 2:
            raise ValueError(f"give the folders of at least two runs, got {len(found)}")
        kinds = {run.results["experiment"] for run in found}
        if len(kinds) > 1:
            raise ValueError(f"these are runs of different experiments: {', '.join(sorted(kinds))}")
        names = [str(run.folder) for run in found]
        settings, judged = settings_that_differ(found), claims_of(found)
        folder, console = self.folder(), runs.wide_console()
        parts = [f"# {len(found)} runs of {kinds.pop()}"]
        for title, rows in (("Settings that differ", settings), ("Claims", judged)):
            if rows:
                console.print(runs.rich_table(title, ("", *names), rows, words=1 + len(names)))
                parts += [f"## {title}", runs.markdown_table(("", *names), rows, words=1 + len(names))]
        if not settings:
            parts += ["The settings do not differ."]
            console.print(parts[-1])
        if any(run.history for run in found):
            draw(folder / "curves.png", found)
            parts += ["## Curves", "![Curves](curves.png)"]
        runs.write_report(folder / "report.md", *parts)
        console.print(f"Report: {folder}", soft_wrap=True)
        return True


def settings_that_differ(found: Sequence[Run]) -> list[tuple[str, ...]]:
    """One row for each option whose values are not all the same; the folder is none."""
    names = dict.fromkeys(name for run in found for name in run.options if name != "out")
    rows = [(name, *(str(run.options.get(name, "–")) for run in found)) for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def claims_of(found: Sequence[Run]) -> list[tuple[str, ...]]:
    """One row for each claim: the figure and the verdict of each run."""
    said = [{each["claim"]: f"{each['figure']} ({each['verdict']})" for each in run.results["claims"]} for run in found]
    return [(claim, *(each.get(claim, "–") for each in said)) for claim in dict.fromkeys(c for e in said for c in e)]


def draw(path: Path, found: Sequence[Run]) -> None:
    """One panel for each curve: the mean of every run, shaded from its lowest to its highest.

    Each run is drawn thinner than the ones below it, and most with dashes, so that equal curves are all seen.
    """
    names = list(dict.fromkeys(name for run in found for name in run.history))
    columns = min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = plots.new_figure(4.2 * columns, 3.1 * rows + 0.3 * len(found))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    widths = np.linspace(1.6 + 1.4 * min(len(found) - 1, 3), 1.6, len(found))
    for axes, name in zip(panels, names, strict=False):
        for number, (run, width) in enumerate(zip(found, widths, strict=True)):
            if name in run.history:
                values = np.atleast_2d(np.array(run.history[name], float))
                style = {"linestyle": DASHES[number % 3], "linewidth": width, "markersize": 3 * width}
                epochs, colour = np.arange(1, values.shape[1] + 1), COLOURS[number % 6]
                plots.band(axes, epochs, values, str(run.folder), color=colour, **style)
        axes.set_title(name.replace("_", " "), loc="left", fontsize=10)
        axes.set_xlabel("epoch")
        axes.locator_params(axis="x", integer=True)
        plots.clean(axes)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=9)
    plots.save(figure, path)
