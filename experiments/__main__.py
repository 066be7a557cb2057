"""The command line: ``python -m experiments`` lists the experiments, ``python -m experiments NAME`` runs one."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import tyro
from rich.console import Console
from rich.table import Table

from experiments.augmentation import Augmentation
from experiments.bench import Bench
from experiments.depth.activations import Activations
from experiments.depth.batchnorm import BatchNormalisation
from experiments.depth.initialisation import Initialisation
from experiments.depth.pretraining import Pretraining
from experiments.depth.saturation import Saturation
from experiments.digits import Digits
from experiments.experiment import Experiment
from experiments.explicit.attribution import Attributions
from experiments.explicit.feedback import Feedback
from experiments.explicit.noisescale import NoiseScale
from experiments.explicit.privacy import Private
from experiments.generalisation.regularization import Regularization
from experiments.generalisation.scaling import Scaling
from experiments.gradients import Gradients
from experiments.linear.logistic import Logistic
from experiments.linear.perceptron import Perceptron
from experiments.linear.ridge import Ridge
from experiments.linear.svm import SupportVectorMachine
from experiments.networks.approximation import Approximation
from experiments.networks.spirals import Spirals
from experiments.networks.symmetry import Symmetry
from experiments.networks.xor import Xor
from experiments.optimisation.descent import Descent
from experiments.optimisation.gradcheck import GradientCheck
from experiments.optimisation.literal import Literal
from experiments.optimisation.optimizers import Optimizers
from experiments.overview.everything import Everything
from experiments.overview.side_by_side import Compare
from experiments.rewards.critic import Critic
from experiments.rewards.reinforce import CartPole
from experiments.sequences.characters import Characters
from experiments.sequences.rnn import Recurrence
from experiments.sequences.series import SeriesForecasts
from experiments.sweep import Sweep
from experiments.template import Template
from experiments.unsupervised.autoencoder import Autoencoder
from experiments.unsupervised.denoising import Denoising
from experiments.unsupervised.gan import Gan
from experiments.unsupervised.som import SelfOrganisingMap
from fnn.describe.rendering import spell_on

EXPERIMENTS: dict[str, type[Experiment]] = {
    each.name: each
    for each in (
        Perceptron,
        Logistic,
        SupportVectorMachine,
        Ridge,
        Xor,
        Spirals,
        Symmetry,
        Approximation,
        Initialisation,
        Pretraining,
        Activations,
        Saturation,
        BatchNormalisation,
        Descent,
        Literal,
        Optimizers,
        GradientCheck,
        Autoencoder,
        Denoising,
        SelfOrganisingMap,
        Gan,
        Recurrence,
        SeriesForecasts,
        Characters,
        Critic,
        CartPole,
        Regularization,
        Scaling,
        Attributions,
        Feedback,
        NoiseScale,
        Private,
        Digits,
        Augmentation,
        Gradients,
        Sweep,
        Bench,
    )
}
# The benchmark is left out: what it times must have the machine to itself.
Everything.experiments = {name: kind for name, kind in EXPERIMENTS.items() if kind is not Bench}
COMMANDS: dict[str, type[Experiment]] = {**EXPERIMENTS, **{each.name: each for each in (Everything, Compare, Template)}}


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns its exit code: 0, 1 if a check of the experiment failed, 2 for wrong usage."""
    spell_on(sys.stdout)
    if not arguments or arguments[0] in ("-h", "--help"):
        Console().print(listing())
        return 0
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"There is no experiment {name!r}. There are: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    kind = COMMANDS[name]
    try:
        experiment = tyro.cli(
            kind,
            args=rest,
            default=defaults(kind, rest),
            prog=f"python -m experiments {name}",
            description=sys.modules[kind.__module__].__doc__,
        )
        if experiment.resume is not None and experiment != kind.resumed(experiment.resume):
            raise ValueError("a run that goes on keeps its options; with others, repeat it: --config RUN/config.json …")
        with compiled_for(experiment):
            return 0 if experiment.run() else 1
    except KeyboardInterrupt:
        print(f"{name}: cut short. To go on: python -m experiments {name} --resume RUN, its folder", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2


@contextlib.contextmanager
def compiled_for(experiment: Experiment) -> Iterator[None]:
    """Compiles quick runs without XLA's costly passes, where most of their time goes; not what the benchmark times."""
    before = jax.config.read("jax_disable_most_optimizations")
    if experiment.quick and not isinstance(experiment, Bench):
        jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)


def defaults(kind: type[Experiment], arguments: Sequence[str]) -> Experiment:
    """The defaults, which change before the options are read: one given beside --quick, --config or --resume counts."""
    if all(any(argument.split("=")[0] == each for argument in arguments) for each in ("--config", "--resume")):
        raise ValueError("give --config, to repeat a run, or --resume, to go on with one that was cut short; not both")
    for place, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in ("--config", "--resume") and (value or arguments[place + 1 :]):
            given = Path(value or arguments[place + 1])
            return kind.again(given) if option == "--config" else kind.resumed(given)
    return kind.quickly() if "--quick" in arguments else kind()


def listing() -> Table:
    """The experiments, one line each."""
    caption = "Run one with: python -m experiments NAME [--quick]. Its options: python -m experiments NAME --help"
    table = Table(title="Experiments", caption=caption, title_justify="left", caption_justify="left", box=None)
    table.add_column("name", style="bold")
    table.add_column("what it asks")
    for name, kind in COMMANDS.items():
        table.add_row(name, (sys.modules[kind.__module__].__doc__ or "").splitlines()[0])
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
