"""Many runs, and many steps, in one compiled program against calling a compiled program many times."""

from typing import Any

import jax

import fnn
from experiments import data
from experiments.bench.measuring import Program, Row, Settings, check_equal, compiled, rows_in_turn
from experiments.bench.peers import FLAX, available
from experiments.bench.sections import MEASURED, Section, section
from experiments.bench.steps.compared import STEPS, named, steps_of
from experiments.bench.steps.networks import Perceptron

WORDS = f"All in one compiled program of fnn, against one call after another. {MEASURED}"


def measure(settings: Settings) -> list[Section]:
    """Runs side by side, then steps in a loop."""
    rows = runs_in_one(settings)
    if available([FLAX], settings.console.print):
        rows += steps_in_one(settings)
    return section("sweep", "One compiled program against many calls", rows, words=WORDS)


def runs_in_one(settings: Settings) -> list[Row]:
    """A perceptron 64-32-10 trained on the digits from many seeds: in one program, or a call of one for each."""
    runs, epochs, samples = (3, 1, 128) if settings.quick else (64, 5, 1293)
    part = data.load_digits().train
    digits = part.images[:samples], part.labels[:samples]
    model = fnn.Serial(fnn.Flatten(), fnn.Dense(32), fnn.Relu(), fnn.Dense(10))
    objective, optimizer = fnn.Objective(model, fnn.CrossEntropy()), fnn.optim.adam(1e-3)
    train = fnn.make_train(objective, optimizer, epochs=epochs, batch_size=64)
    keys = jax.random.split(jax.random.key(settings.seed), runs)
    workload, peer = f"{runs} runs on digits, {epochs} epoch{'s' * (epochs > 1)}", f"{runs} calls"
    with settings.console.status(workload):
        together = compiled(jax.vmap(train, in_axes=(0, None)), keys, digits)
        single = compiled(train, keys[0], digits)
        apart = single._replace(call=lambda: [single.call(key, digits) for key in keys], operands=())
        beside = together.run().history
        for number, result in enumerate(apart.run()):
            history = {name: values[number] for name, values in beside.items()}
            check_equal(workload, f"run {number} alone", history, result.history)
        return rows_in_turn("sweep", workload, together, {peer: apart}, turns=settings.turns)


def steps_in_one(settings: Settings) -> list[Row]:
    """Steps of the perceptron in one compiled loop, against as many calls of Flax's step."""
    count = STEPS if settings.quick else 200
    network = Perceptron(layers=3, width=16, batch=8) if settings.quick else Perceptron()
    steps = steps_of(network, [FLAX], settings.seed)
    ours, theirs = steps["fnn"], steps[FLAX.name]
    workload, peer = f"{count} steps of {named(network)}", f"{count} Flax calls"
    with settings.console.status(workload):

        def loop(learned: Any, *batch: Any) -> Any:
            return jax.lax.scan(lambda learned, _: ours.advance(learned, *batch), learned, length=count)

        together = compiled(loop, ours.start, *ours.batch)
        single = compiled(theirs.advance, theirs.start, *theirs.batch)

        def calls() -> tuple[Any, list[Any]]:
            learned, losses = theirs.start, []
            for _ in range(count):
                learned, loss = single.call(learned, *theirs.batch)
                losses.append(loss)
            return learned, losses

        # Later losses differ more: training amplifies rounding.
        first = {"the first losses": list(together.run()[1][:STEPS])}
        check_equal(workload, peer, first, {"the first losses": calls()[1][:STEPS]})
        apart = Program(calls, (), single.temporary_bytes)
        return rows_in_turn("sweep", workload, together, {peer: apart}, turns=settings.turns)
