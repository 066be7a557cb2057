"""A whole training step in fnn against the same step in every peer."""

import importlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bench.measuring import Program, Row, Settings, check_equal, compiled, rows_in_turn
from experiments.bench.peers import PEERS, Peer, available
from experiments.bench.sections import Section, section
from experiments.bench.steps import in_fnn
from experiments.bench.steps.networks import Convolutional, Network, Perceptron, Recurrent, Step, Transformer

STEPS = 5
"""Consecutive steps whose losses must agree before anything is timed."""

NETWORKS: tuple[Network, ...] = (Transformer(), Perceptron(), Convolutional(), Recurrent())
TINY: tuple[Network, ...] = (
    Transformer(blocks=2, features=16, heads=2, length=8, batch=2, vocabulary=12),
    Perceptron(layers=3, width=16, batch=8),
    Convolutional(size=8, channels=(4, 8), hidden=16, batch=4),
    Recurrent(features=8, inputs=4, length=6, batch=4),
)


def measure(settings: Settings) -> list[Section]:
    """The four networks against every peer that has them; the transformer with ``fnn.Repeat``, too."""
    peers = available(PEERS, settings.console.print)
    rows = []
    for network in networks(quick=settings.quick):
        for repeat in (False, True) if isinstance(network, Transformer) and peers else (False,):
            rows += compare(network, peers, settings, repeat=repeat)
    return section("steps", "A training step in fnn and in its peers", rows)


def networks(*, quick: bool) -> tuple[Network, ...]:
    """The networks, or tiny ones of the same kinds."""
    return TINY if quick else NETWORKS


def compare(network: Network, peers: list[Peer], settings: Settings, *, repeat: bool = False) -> list[Row]:
    """A row for every peer that has the network."""
    workload = named(network) + ", Repeat" * repeat
    with settings.console.status(workload):
        steps = steps_of(network, peers, settings.seed, repeat=repeat)
        programs = {name: program_of(step, name) for name, step in steps.items()}
        check_losses(workload, steps, programs)
        ours = programs.pop("fnn")
        return rows_in_turn("steps", workload, ours, programs, turns=settings.turns)


def steps_of(network: Network, peers: list[Peer], seed: int, *, repeat: bool = False) -> dict[str, Step]:
    """The step in fnn, and in every peer that has the network, from the same parameters and on the same batch."""
    batch = network.data(np.random.default_rng(seed))
    params, state = in_fnn.start(network, batch[0])
    on_device = tuple(jnp.asarray(each) for each in batch)
    ours = repeated(params) if repeat else params
    steps = {"fnn": in_fnn.step(network, ours, state, on_device, repeat=repeat)}
    for peer in peers:
        module = importlib.import_module(f"experiments.bench.steps.{peer.steps}")
        step = module.step(network, params, state, on_device)
        steps |= {} if step is None else {peer.name: step}
    return steps


def repeated(params: Any) -> Any:
    """The parameters of single blocks stacked as those of one ``Repeat``."""
    blocks = [each for name, each in params.items() if name.startswith("transformer_block_")]
    rest = {name: each for name, each in params.items() if not name.startswith("transformer_block_")}
    return {**rest, "repeat_0": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}


def program_of(step: Step, library: str) -> Program:
    """The step compiled; PyTorch's as it is."""
    operands = (step.start, *step.batch)
    return Program(step.advance, operands) if library == "PyTorch" else compiled(step.advance, *operands)


def check_losses(workload: str, steps: Mapping[str, Step], programs: Mapping[str, Program]) -> None:
    """Raises ``Unequal`` unless the losses of consecutive steps agree."""
    found = {name: losses(steps[name], program) for name, program in programs.items()}
    for name, theirs in found.items():
        check_equal(workload, name, found["fnn"], theirs)


def losses(step: Step, program: Program) -> dict[str, float]:
    """The losses of the first steps, by the words for them."""
    learned, found = step.start, {}
    for number in range(STEPS):
        learned, loss = program.call(learned, *step.batch)
        found[f"the loss of step {number + 1}"] = float(loss)
    return found


def named(network: Network) -> str:
    """The network with its sizes."""
    match network:
        case Transformer(blocks, features, _, length, batch):
            return f"Transformer {batch}×{length}×{features}, {blocks} block{'s' * (blocks > 1)}"
        case Perceptron(layers, width, batch):
            return f"Perceptron {batch}×{width}, {layers} layers"
        case Convolutional(size, _, _, _, batch):
            return f"Convolutional {batch}×{size}×{size}"
        case Recurrent(features, inputs, length, _, batch):
            return f"LSTM {batch}×{length}×{inputs}→{features}"
