"""How long the four training steps take to trace, lower and compile, in fnn and in Flax."""

from collections.abc import Callable
from typing import Any

import jax

from experiments.bench.measuring import Program, Row, Settings, Turns, rows_in_turn
from experiments.bench.peers import FLAX, available
from experiments.bench.sections import Section, section
from experiments.bench.steps.compared import named, networks, steps_of
from experiments.bench.steps.networks import Network, Step
from fnn.platform.doctor import setting

WORDS = (
    "Time to trace, lower and compile a step, each time as a function that JAX has not seen, after its caches were"
    " cleared; medians of runs in turn."
)
TURNS = 3


def check() -> None:
    """Raises ``ValueError`` if JAX keeps compiled programs on disk: then nothing would be compiled."""
    if folder := setting("jax_compilation_cache_dir"):
        raise ValueError(
            f"JAX reads compiled programs from {folder}; unset JAX_COMPILATION_CACHE_DIR to time compiling"
        )


def measure(settings: Settings) -> list[Section]:
    """The four networks."""
    compared = networks(quick=settings.quick) if available([FLAX], settings.console.print) else ()
    rows = [row for network in compared for row in compare(network, settings)]
    return section("compile", "Compiling a training step in fnn and in Flax", rows, words=WORDS)


def compare(network: Network, settings: Settings) -> list[Row]:
    """The row of one network. The first compilations, which are not timed, also import what is imported late."""
    with settings.console.status(named(network)):
        steps = steps_of(network, [FLAX], settings.seed)
        ours, theirs = (Program(compilation(steps[name]), ()) for name in ("fnn", FLAX.name))
        turns = Turns(TURNS, TURNS, settings.turns.limit)
        peers = {FLAX.name: theirs}
        return rows_in_turn("compile", named(network), ours, peers, turns=turns, before=jax.clear_caches)


def compilation(step: Step) -> Callable[[], Any]:
    """A function that compiles the step as a new function and returns nothing."""

    def compile_anew() -> None:
        def advance(*operands: Any) -> Any:
            return step.advance(*operands)

        jax.jit(advance).lower(step.start, *step.batch).compile()

    return compile_anew
