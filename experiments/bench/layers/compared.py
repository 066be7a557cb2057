"""Forward and backward of single layers in fnn against Flax."""

from typing import Any

from experiments.bench.measuring import Row, Settings, check_equal, compiled, rows_in_turn
from experiments.bench.peers import FLAX, available
from experiments.bench.sections import MEASURED, Section, geometric_mean, section

WORDS = f"Forward and backward in training, Flax by `jax.vjp`. {MEASURED}"


def measure(settings: Settings) -> list[Section]:
    """A row for every layer."""
    rows = []
    if available([FLAX], settings.console.print):
        # Imported here because it imports Flax.
        from experiments.bench.layers.table import pairs

        for pair in pairs(settings.seed, quick=settings.quick):
            with settings.console.status(pair.workload):
                rows += compare(pair, settings)
    conclusion = geometric_mean(rows) if rows else ""
    return section("layers", "Layers in fnn and in Flax", rows, words=WORDS, conclusion=conclusion)


def compare(pair: Any, settings: Settings) -> list[Row]:
    """The row of one layer."""
    ours = compiled(pair.ours, *pair.our_operands)
    theirs = compiled(pair.theirs, *pair.their_operands)
    check_equal(pair.workload, FLAX.name, pair.as_theirs(ours.run()), theirs.run())
    return rows_in_turn("layers", pair.workload, ours, {FLAX.name: theirs}, turns=settings.turns)
