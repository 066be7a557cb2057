"""All: every experiment in turn, and one page with all claims, figures, verdicts and pictures.

An experiment that fails is named in the page, and the others still run; the exit code is then 1. ``--resume FOLDER``
goes on with a run that was cut short: what is finished in it is not run again.
"""

import dataclasses
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import jax
from rich.console import Console

from experiments import runs
from experiments.experiment import CONFIG, RESULTS, Experiment
from experiments.overview import page


@dataclasses.dataclass(frozen=True)
class Everything(Experiment):
    """The options of the command. ``epochs`` is each experiment's own."""

    name = "all"
    experiments: ClassVar[Mapping[str, type[Experiment]]] = {}
    """What there is to run; the command line says it."""

    only: tuple[str, ...] = ()
    """Names of the experiments to run; all by default."""

    def run(self) -> bool:
        unknown = set(self.only) - set(self.experiments)
        if unknown:
            raise ValueError(f"there is no experiment {', '.join(sorted(unknown))}; there are {list(self.experiments)}")
        folder, console = self.folder(), runs.wide_console()
        entries = [self.one(name, folder / name, console) for name in self.only or self.experiments]
        page.write(folder / "index.html", entries, title="The experiments of fnn", quick=self.quick)
        failed = [entry.name for entry in entries if entry.error]
        if failed:
            console.print(f"Failed: {', '.join(failed)}", style="bold red")
        console.print(f"{sum(entry.seconds for entry in entries):.0f} s. Page: {folder / 'index.html'}", soft_wrap=True)
        return not failed

    def one(self, name: str, folder: Path, console: Console) -> page.Entry:
        """Runs one experiment into its own folder."""
        kind, error = self.experiments[name], ""
        question = (sys.modules[kind.__module__].__doc__ or "").splitlines()[0]
        console.rule(question)
        began = time.perf_counter()
        try:
            if (folder / RESULTS).exists():  # in a run of all that was cut short
                console.print("Finished before.")
                return page.Entry(name, question, folder, runs.read_json(folder / RESULTS)["seconds"])
            options = {"out": folder, "seed": self.seed}
            fresh = kind.quickly(**options) if self.quick else kind(**options)
            experiment = kind.resumed(folder) if (folder / CONFIG).exists() else fresh
            if not experiment.run():
                error = "one of its checks failed"
        except Exception as raised:
            traceback.print_exc()
            error = f"{type(raised).__name__}: {raised}"
        jax.clear_caches()  # the next experiment uses none of these programs, and thirty experiments' fill the memory
        return page.Entry(name, question, folder, time.perf_counter() - began, error)
