"""Bench: is a training step as fast and as lean as in Flax, Equinox, Haiku and PyTorch, and by hand as by ``jax.grad``?

Claim: a compiled training step in fnn takes no more time and no more temporary memory than the same step in its peers,
and by hand no more than by ``jax.grad`` (see ``rules.py`` for the claim and the result of that part, which runs unless
another is chosen).

Measure: everything is compiled first and checked to compute the same: the losses of five consecutive steps agree to one
part in a thousand, and so do the outputs and the gradients of a layer, measured by their largest entry. Then all
programs run in turn, in one process, with every operand passed as an argument. A figure is a median; a ratio is the
median over the turns with its 95 % interval by the bootstrap. Memory is XLA's own count for the compiled program. What
cannot be imported is left out, with a line that says so.

Result: against Flax the steps take 13 % less time (transformer; 23 % less memory), 2.2× less (convolutional), 25 % less
(LSTM) and 9 % more (perceptron), so that the claim holds for three of the four; against PyTorch 19 % more, the same,
5 % more and 48 % less. ``tables/`` has all rows. Two CPU cores, Python 3.11.7, jax 0.9.2, flax 0.12.6, torch 2.13.0.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console

from experiments import runs
from experiments.bench import compiling, earlier, growth, peers, per_example, rules, sweeping
from experiments.bench.layers import compared as layers
from experiments.bench.measuring import Settings, Turns, Unequal
from experiments.bench.sections import Section
from experiments.bench.steps import compared as steps
from experiments.experiment import Experiment

WIDTH = 132
"""Columns of the terminal at least: on a narrower one lines wrap, but no figure is lost."""


@dataclasses.dataclass(frozen=True)
class Bench(Experiment):
    """The options of the experiment."""

    name = "bench"
    quick_options: ClassVar = {"repetitions": 5, "least": 5, "width": 4}

    steps: bool = False
    """Training steps of four networks against Flax, Equinox, Haiku and PyTorch."""

    layers: bool = False
    """Single layers, forward and backward, against Flax."""

    compile: bool = False
    """The time to trace, lower and compile a step, against Flax."""

    growth: bool = False
    """How the time and memory of a step grow with its sizes, against Flax."""

    sweep: bool = False
    """Many runs, and many steps, in one compiled program against many calls."""

    examples: bool = False
    """Per-example gradient norms and clipped gradients, against an ordinary gradient and ``vmap`` of ``jax.grad``."""

    json: Path | None = None
    """A file to write the rows to as well."""

    against: Path | None = None
    """The JSON of an earlier run to compare with."""

    epochs: int = 1
    """How often every case is measured; the measurements are put together."""

    repetitions: int = 200
    """Turns of every case, unless the limit comes first."""

    limit: float = 2.0
    """Seconds that the programs of a case run in all, once they have run as often as they must; no pause counts."""

    least: int = 30
    """Turns in which a peer is measured however long they take; against ``jax.grad`` five are enough."""

    loop: int = 4
    """Steps in a compiled loop, by hand and by ``jax.grad``."""

    width: int = 32
    """Channels of the digits network, and a sixteenth of the features of the perceptron, for the same."""

    def run(self) -> bool:
        before = None if self.against is None else earlier.read(self.against, quick=self.quick)
        if self.json is not None and not self.json.parent.is_dir():
            raise ValueError(f"--json {self.json}: there is no folder {self.json.parent}")
        if self.compile:
            compiling.check()
        if self.resume is not None:
            raise ValueError("a benchmark is not resumed: its ratios are of programs that ran in turn, in one run")
        folder = runs.new_folder(self.out, self.name)
        console = Console(width=max(WIDTH, Console().width))
        turns = Turns(self.epochs * self.repetitions, self.epochs * self.least, self.epochs * self.limit)
        settings = Settings(turns, self.seed, self.quick, console)
        sections = []
        try:
            for measure in self.parts():
                for section in measure(settings):
                    show(console, section)
                    sections.append(section)
        except Unequal as error:
            console.print(f"Not the same, and so not timed: {error}", style="bold red", markup=False)
            return False
        rows, facts = [row for section in sections for row in section.rows], machine()
        if before is not None:
            sections.append(earlier.section(rows, *before, facts))
            show(console, sections[-1])
        found = {"machine": facts, "options": self.options(), "rows": [row.as_json() for row in rows]}
        for section in sections:
            found |= section.details
        for path in filter(None, (folder / "results.json", self.json)):
            runs.write_json(path, found)
        runs.write_report(folder / "report.md", *paragraphs(sections))
        for section in sections:
            if section.draw:
                section.draw(folder / section.picture)
        console.print(f"Tables and pictures: {folder}", soft_wrap=True)
        return True

    def parts(self) -> list[Callable[[Settings], list[Section]]]:
        """The parts that were chosen; by hand against ``jax.grad`` if none was."""
        every = (
            (self.steps, steps.measure),
            (self.layers, layers.measure),
            (self.compile, compiling.measure),
            (self.growth, growth.measure),
            (self.sweep, sweeping.measure),
            (self.examples, per_example.measure),
        )
        chosen = [measure for wanted, measure in every if wanted]
        return chosen or [functools.partial(rules.measure, loop=self.loop, width=self.width)]


def show(console: Console, section: Section) -> None:
    """Prints the table and what follows from it."""
    console.print(runs.rich_table(section.title, section.headings, section.lines))
    if section.conclusion:
        console.print(section.conclusion, markup=False, highlight=False)


def paragraphs(sections: Sequence[Section]) -> list[str]:
    """The report; one section gives it its title."""
    mark, head = ("#", []) if len(sections) == 1 else ("##", ["# fnn and its peers"])
    parts = [text for section in sections for text in (f"{mark} {section.title}", *section.markdown())]
    versions = ", ".join(f"{name} {version}" for name, version in peers.versions().items())
    return [*head, *parts, f"{runs.machine_section()}\n- peers: {versions}"]


def machine() -> dict[str, str]:
    """The versions, also of the peers, the hardware and the threads."""
    torch: Any = sys.modules.get("torch")
    threads = "not imported" if torch is None else str(torch.get_num_threads())
    return {**runs.machine(), **peers.versions(), "threads of PyTorch": threads}
