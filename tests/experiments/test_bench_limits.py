"""What is deterministic of the benchmark's training steps has limits: temporary memory, equations, compilations."""

from typing import Any

import chex
import jax
import numpy as np
import pytest

from experiments.bench.steps import in_fnn
from experiments.bench.steps.compared import TINY, named
from experiments.bench.steps.networks import Convolutional, Network, Perceptron, Recurrent, Step, Transformer

# MiB as XLA counts them, and equations of the traced step with those inside; both a few per cent above what was found.
LIMITS: list[tuple[Network, bool, float, int]] = [
    (Transformer(), False, 104, 5500),
    (Transformer(), True, 86, 1800),
    (Perceptron(), False, 0.01, 1150),
    (Convolutional(), False, 25, 1100),
    (Recurrent(), False, 23, 480),
]


def step_of(network: Network, *, repeat: bool = False) -> Step:
    batch = network.data(np.random.default_rng(0))
    params, state = in_fnn.start(network, batch[0], repeat=repeat)
    return in_fnn.step(network, params, state, batch, repeat=repeat)


def equations(program: Any) -> int:
    """Those of a jaxpr and of all that its equations hold."""
    inner = jax.tree.leaves([list(each.params.values()) for each in program.eqns])
    held = [getattr(each, "jaxpr", each) for each in inner]
    return len(program.eqns) + sum(equations(each) for each in held if hasattr(each, "eqns"))


@pytest.mark.full
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
@pytest.mark.usefixtures("users_compilation")
@pytest.mark.parametrize(
    ("network", "repeat", "mebibytes", "most"),
    LIMITS,
    ids=[named(network) + ", Repeat" * repeat for network, repeat, _, _ in LIMITS],
)
def test_a_training_step_stays_within_its_memory_and_its_equations(
    network: Network, repeat: bool, mebibytes: float, most: int
):
    step = step_of(network, repeat=repeat)
    traced = jax.jit(step.advance).trace(step.start, *step.batch)
    assert equations(traced.jaxpr.jaxpr) <= most
    analysis: Any = traced.lower().compile().memory_analysis()
    assert analysis.temp_size_in_bytes <= mebibytes * 2**20


@pytest.mark.parametrize("network", TINY, ids=named)
def test_steps_compile_once(network: Network):
    step = step_of(network)
    chex.clear_trace_counter()
    advance = jax.jit(chex.assert_max_traces(step.advance, n=1))
    learned = step.start
    for _ in range(3):
        learned, loss = advance(learned, *step.batch)
    assert np.isfinite(loss)
