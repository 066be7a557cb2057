"""Per-example gradient norms and clipped gradients, against an ordinary step and ``jax.vmap`` of ``jax.grad``.

Claim: norms take at most 1.4 times an ordinary gradient, of a convolutional network at most twice, and a fiftieth of
the memory of the examples' gradients of a perceptron, a twentieth of a small convolutional network's.

Result: norms take 34 % less time than an ordinary gradient for the perceptron, 43 % more for the convolutions, 35 %
more for the transformer and 37 % more for the LSTM; clipped gradients 18 %, 2.2 times, 54 % and 52 % more. Of the
perceptron they need 1/128 and 1/154 of the memory of ``vmap(grad)``, of the convolutions no less than half: an ordinary
gradient, too, needs a third, since there activations are larger than kernels, so that the claim of a twentieth does not
hold. Two CPU cores, Python 3.11.7, jax 0.9.2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.bench.measuring import Row, Settings, check_equal, compiled, rows_in_turn
from experiments.bench.sections import Section, section

STEP, VMAP = "an ordinary gradient", "jax.vmap of jax.grad"
WORDS = (
    "Medians of runs in turn; both peers compute for the same batch. An ordinary gradient has no norms to tell: it is"
    " what they cost."
)


class Workload(NamedTuple):
    """A model and the sizes of a batch, the examples first."""

    name: str
    model: fnn.Layer
    inputs: jax.ShapeDtypeStruct
    labels: tuple[int, ...]
    classes: int


def workloads(quick: bool) -> list[Workload]:
    """A perceptron, convolutions, a transformer, an LSTM."""
    few, symbols = (4 if quick else 1), jnp.int32
    wide, examples, steps = 512 // few, 256 // few, 64 // few

    def floats(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    perceptron = fnn.Serial(fnn.Dense(wide), fnn.Relu(), fnn.Dense(wide), fnn.Relu(), fnn.Dense(10))
    convolutions = fnn.Serial(
        *(fnn.Conv(32, 3), fnn.GroupNorm(4), fnn.Relu(), fnn.Conv(32, 3), fnn.GroupNorm(4), fnn.Relu()),
        *(fnn.MaxPool(2), fnn.Conv(64, 3), fnn.GroupNorm(4), fnn.Relu(), fnn.Flatten(), fnn.Dense(10)),
    )
    blocks = fnn.Repeat(fnn.TransformerBlock(4, 256, causal=True), 2)
    transformer = fnn.Serial(fnn.Embedding(100, 64), blocks, fnn.Dense(100))
    recurrent = fnn.Serial(fnn.LSTM(64, return_sequences=False), fnn.Dense(10))
    symbols_of = jax.ShapeDtypeStruct((16, steps), symbols)
    return [
        Workload(f"Perceptron 784-{wide}-{wide}-10, {2 * examples}", perceptron, floats(2 * examples, 784), (), 10),
        Workload(f"Convolutional, {examples}×8×8", convolutions, floats(examples, 8, 8, 1), (), 10),
        Workload(f"Transformer, 2 blocks, 16×{steps}×64", transformer, symbols_of, (steps,), 100),
        Workload(f"LSTM, {examples // 4}×{steps}×32 → 64", recurrent, floats(examples // 4, steps, 32), (), 10),
    ]


def measure(settings: Settings) -> list[Section]:
    """Norms, and clipped gradients."""
    rows = [row for workload in workloads(settings.quick) for row in compare(workload, settings)]
    return section("examples", "Per-example norms and clipped gradients", rows, words=WORDS)


def compare(workload: Workload, settings: Settings) -> list[Row]:
    """The rows of one model: both tools against both peers."""
    objective, key = fnn.Objective(workload.model, fnn.CrossEntropy()), jax.random.key(settings.seed)
    draw = np.random.default_rng(settings.seed)
    shape, whole = workload.inputs.shape, workload.inputs.dtype == jnp.int32
    inputs = draw.integers(0, workload.classes, shape) if whole else draw.standard_normal(shape)
    labels = draw.integers(0, workload.classes, (shape[0], *workload.labels))
    batch = jnp.asarray(inputs, workload.inputs.dtype), jnp.asarray(labels)
    params, state = jax.jit(objective.init)(key, batch[0])

    def ordinary(params: Any, batch: tuple) -> Any:
        return objective.value_and_grad(params, state, batch)[1]

    def norms(params: Any, batch: tuple) -> Any:
        return fnn.per_example_norms(objective, params, state, batch).norms

    def clipped(params: Any, batch: tuple) -> Any:
        return fnn.clipped_gradients(objective, params, state, batch, max_norm=1.0)[1]

    def every(params: Any, batch: tuple) -> Any:
        def gradient(example: tuple) -> Any:
            alone = jax.tree.map(lambda leaf: leaf[None], example)
            return jax.grad(lambda params: objective(params, state, alone, train=True)[0])(params)

        return jax.vmap(gradient)(batch)

    def norms_of_every(params: Any, batch: tuple) -> Any:
        return norms_of(every(params, batch))

    def clipped_of_every(params: Any, batch: tuple) -> Any:
        found = every(params, batch)
        shares = jnp.minimum(1, 1 / norms_of(found)) / shape[0]
        return jax.tree.map(lambda leaf: jnp.tensordot(shares, leaf, 1), found)

    rows = []
    tools: list[tuple[Callable, Callable, str]] = [
        (norms, norms_of_every, "norms"),
        (clipped, clipped_of_every, "clipped"),
    ]
    for ours, theirs, what in tools:
        name = f"{workload.name}: {what}"
        with settings.console.status(name):
            programs = {STEP: compiled(ordinary, params, batch), VMAP: compiled(theirs, params, batch)}
            program = compiled(ours, params, batch)
            check_equal(name, VMAP, {what: program.run()}, {what: programs[VMAP].run()})
            rows += rows_in_turn("examples", name, program, programs, turns=settings.turns)
    return rows


def norms_of(gradients: Any) -> jax.Array:
    """The norms of all examples' gradients."""
    squares = [jnp.square(leaf).reshape(len(leaf), -1).sum(1) for leaf in jax.tree.leaves(gradients)]
    return jnp.sqrt(jnp.stack(squares).sum(0))
