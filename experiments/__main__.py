"""The command line: ``python -m experiments`` lists the experiments, ``python -m experiments NAME`` runs one."""

import sys
from collections.abc import Sequence

import tyro
from rich.console import Console
from rich.table import Table

from experiments.augmentation import Augmentation
from experiments.bench import Bench
from experiments.digits import Digits
from experiments.experiment import Experiment
from experiments.gradients import Gradients
from experiments.perceptron import Perceptron
from experiments.sweep import Sweep
from fnn.describe.rendering import spell_on

EXPERIMENTS: dict[str, type[Experiment]] = {
    each.name: each for each in (Perceptron, Digits, Augmentation, Sweep, Gradients, Bench)
}


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code: 0, 1 if a check of the experiment failed, 2 for wrong usage."""
    spell_on(sys.stdout)
    if not arguments or arguments[0] in ("-h", "--help"):
        Console().print(listing())
        return 0
    name, *rest = arguments
    if name not in EXPERIMENTS:
        print(f"There is no experiment {name!r}. There are: {', '.join(EXPERIMENTS)}.", file=sys.stderr)
        return 2
    kind = EXPERIMENTS[name]
    experiment = tyro.cli(
        kind,
        args=rest,
        # The defaults change before the options are read, so that an option given with --quick still counts.
        default=kind.quickly() if "--quick" in rest else kind(),
        prog=f"python -m experiments {name}",
        description=sys.modules[kind.__module__].__doc__,
    )
    try:
        return 0 if experiment.run() else 1
    except (FileExistsError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


def listing() -> Table:
    """The experiments, one line each."""
    caption = "Run one with: python -m experiments NAME [--quick]. Its options: python -m experiments NAME --help"
    table = Table(title="Experiments", caption=caption, title_justify="left", caption_justify="left", box=None)
    table.add_column("name", style="bold")
    table.add_column("what it asks")
    for name, kind in EXPERIMENTS.items():
        table.add_row(name, (sys.modules[kind.__module__].__doc__ or "").splitlines()[0])
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
