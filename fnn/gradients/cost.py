"""What each way to a gradient costs, compiled: time, floating-point operations, bytes of temporary memory."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fnn.describe.flops import flops
from fnn.errors import is_floating
from fnn.gradients.oracles import forward
from fnn.gradients.problem import Operands, Problem

EVALUATIONS_PER_ENTRY = {"forward": 1, "finite": 4}
"""Of the plain five-point formula; ``finite.py`` spends some more to know whether it can be trusted."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of the gradient of all parameters by one method.

    Manual and reverse are one program; forward mode and differences are ``evaluations`` runs of one, of which ``time``,
    ``flops`` are the total, worked out and not run. ``temporary`` is the memory of one program beside its operands and
    results, in bytes. FLOPs are those of ``fnn/describe/flops.py``. ``None``: they cannot be counted, the backend does
    not say.
    """

    method: str
    time: float
    flops: float | None
    temporary: int | None
    evaluations: int = 1

    @property
    def estimated(self) -> bool:
        """Whether the total was worked out from one evaluation."""
        return self.method in EVALUATIONS_PER_ENTRY


def measure(problem: Problem, operands: Operands, methods: Sequence[str], *, rounds: int = 7) -> tuple[Cost, ...]:
    """Compiles each method once, for operands as they are, and runs them in turn; the time is the median."""
    entries = sum(np.size(leaf) for leaf in jax.tree.leaves(operands.params) if is_floating(leaf))
    # An operand, not a constant, and on the device before the clock starts.
    operands = jax.tree.map(jax.numpy.asarray, operands)
    programs = {method: _program(problem, method, operands) for method in methods}
    times: dict[str, list[float]] = {method: [] for method in methods}
    for _ in range(rounds + 1):
        for method, (compiled, arguments) in programs.items():
            start = time.perf_counter()
            jax.block_until_ready(compiled(*arguments))
            times[method].append(time.perf_counter() - start)
    costs = []
    for method, (compiled, arguments) in programs.items():
        evaluations = EVALUATIONS_PER_ENTRY[method] * entries if method in EVALUATIONS_PER_ENTRY else 1
        counted = flops(_function(problem, method), *arguments)
        costs.append(
            Cost(
                method,
                statistics.median(times[method][1:]) * evaluations,
                None if math.isnan(counted) else counted * evaluations,
                _temporary(compiled),
                evaluations,
            )
        )
    return tuple(costs)


def _program(problem: Problem, method: str, operands: Operands) -> tuple[Any, tuple]:
    arguments = (operands, operands.params) if method == "forward" else (operands,)
    return jax.jit(_function(problem, method)).lower(*arguments).compile(), arguments


def _function(problem: Problem, method: str) -> Callable:
    """What is evaluated for a method."""

    def value(params: Any, operands: Operands) -> jax.Array:
        return problem.plain(params, *operands[1:3], train=problem.train, key=operands.key)[0]

    def gradient(operands: Operands) -> Any:
        objective, method_ = (problem.objective, "manual") if method == "manual" else (problem.plain, "auto")
        return objective.value_and_grad(*operands[:3], key=operands.key, train=problem.train, method=method_)

    def directional(operands: Operands, direction: Any) -> jax.Array:
        return forward(lambda params: value(params, operands), operands.params, direction)

    def once(operands: Operands) -> jax.Array:
        return value(operands.params, operands)

    return {"forward": directional, "finite": once}.get(method, gradient)


def _temporary(compiled: Any) -> int | None:
    analysis = compiled.memory_analysis()
    return None if analysis is None else int(analysis.temp_size_in_bytes)
