"""The base of the experiments that state claims: measure, judge, draw, report."""

import dataclasses
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

import fnn
from experiments import claims, runs
from experiments.claims import Claim
from experiments.experiment import RESULTS, Experiment
from fnn.layer import Params, State

Figures = dict[str, Any]
"""What was measured: numbers, strings, and lists and dicts of them, as JSON holds them."""

MEASURED = "measured.json"
"""The file with the figures alone, between measuring and drawing."""

GRADIENTS = "gradient by hand against jax.grad"
"""The entry of the figures with the line that compares the gradients of the experiment's own model."""


@dataclasses.dataclass(frozen=True)
class Study(Experiment):
    """An experiment in three parts, each of which reads only what the one before it returned.

    ``measure`` computes the figures, ``claims`` judges them by stated rules, and ``draw`` makes the pictures. The
    figures are all that the others see, so a verdict can be reached again, or tested, without running anything.
    """

    def measure(self) -> Figures:
        """Computes everything, as plain values."""
        raise NotImplementedError(f"{type(self).__name__} does not define measure")

    def measure_in(self, folder: Path) -> Figures:
        """What ``measure`` computes; an experiment that leaves files of its own in the folder defines this instead."""
        return self.measure()

    def claims(self, figures: Figures) -> list[Claim]:
        """What is claimed, with the verdicts that follow from these figures."""
        raise NotImplementedError(f"{type(self).__name__} does not define claims")

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        """Writes the pictures, and returns the caption of each by its file name."""
        raise NotImplementedError(f"{type(self).__name__} does not define draw")

    def tables(self, figures: Figures) -> list[str]:
        """More parts of the report, in Markdown; none by default."""
        return []

    def passed(self, figures: Figures) -> bool:
        """Whether what must hold on every machine did; the command ends with 1 if not."""
        return True

    def run(self) -> bool:
        began, folder = time.perf_counter(), self.folder()
        kept = folder / MEASURED
        if kept.exists():  # the run was cut short after it had measured
            measured = runs.read_json(kept)
            if not isinstance(measured, dict) or measured.keys() != {"seconds", "figures"}:
                raise ValueError(f"{kept} does not hold what was measured; delete it to measure again")
            runs.wide_console().print("What was measured before is kept.")
            return self.conclude(folder, measured["figures"], began - measured["seconds"])
        figures = self.measure_in(folder)
        runs.write_json(kept, {"seconds": time.perf_counter() - began, "figures": figures})
        return self.conclude(folder, figures, began)

    def conclude(self, folder: Path, figures: Figures, began: float) -> bool:
        """Judges and draws what was measured since ``began``, writes everything and shows the verdicts."""
        # What is judged and drawn is what results.json can hold: floats stay what they are, tuples become lists.
        figures = json.loads(json.dumps(figures, allow_nan=False))
        judged, captions = self.claims(figures), self.draw(figures, folder)
        if self.quick:
            judged = [each.undecided() for each in judged]
        seconds = time.perf_counter() - began
        results = {
            "experiment": self.name,
            "quick": self.quick,
            "claims": [each._asdict() for each in judged],
            "pictures": captions,
            "seconds": round(seconds, 1),
            "machine": runs.machine(),
            "figures": figures,
        }
        runs.write_report(folder / "report.md", *self._sections(figures, judged, captions, seconds))
        runs.write_json(folder / RESULTS, results)  # last: with it the run is finished
        (folder / MEASURED).unlink(missing_ok=True)
        self._show(figures, judged)
        runs.wide_console().print(f"{seconds:.0f} s. Report, figures and pictures: {folder}", soft_wrap=True)
        return self.passed(figures)

    def _sections(self, figures: Figures, judged: list[Claim], captions: Mapping[str, str], seconds: float) -> list:
        question = (sys.modules[type(self).__module__].__doc__ or "").strip()
        rules = "\n".join(f"- {each.claim}: {each.rule}" for each in judged)
        return [
            f"# {question.splitlines()[0]}",
            QUICK if self.quick else "",
            runs.markdown_table(claims.HEADINGS, [each.row() for each in judged], words=3),
            f"A claim holds if:\n\n{rules}",
            *(f"![{caption}]({name})\n\n{caption}" for name, caption in captions.items()),
            *self.tables(figures),
            figures.get(GRADIENTS, ""),
            "## How it is measured" + (", with default options" if self.quick else ""),
            "\n".join(question.splitlines()[1:]).strip(),
            "## Options\n\n" + "\n".join(f"- {name}: {value}" for name, value in self.options().items()),
            runs.machine_section() + f"\n- seconds: {seconds:.0f}",
        ]

    def _show(self, figures: Figures, judged: list[Claim]) -> None:
        console = runs.wide_console()
        console.print(runs.rich_table("Claims", claims.HEADINGS, [each.row() for each in judged], words=3))
        if GRADIENTS in figures:
            console.print(figures[GRADIENTS])
        if self.quick:
            console.print(QUICK)


QUICK = "This was a quick run, with smaller defaults: too short to decide what is claimed."


def compared(objective: fnn.Objective, params: Params, state: State, batch: tuple, **options: Any) -> str:
    """One line: the hand-derived gradient of this model against the automatic one, in float64.

    The figures of an experiment hold it under ``GRADIENTS``. ``options`` are those of ``fnn.compare_gradients``.
    """
    batch = jax.tree.map(jnp.asarray, batch)
    options = {"methods": ("manual", "reverse"), "cost": False, "progress": False} | options
    report = fnn.compare_gradients(objective, params, state, batch, **options)
    return f"Gradient of the model by hand and by jax.grad: {report.verdict}"


def seeds_of(first: int, count: int) -> jax.Array:
    """The keys of the seeds ``first`` to ``first + count − 1``, on the first axis."""
    return jax.vmap(jax.random.key)(jnp.arange(first, first + count))
