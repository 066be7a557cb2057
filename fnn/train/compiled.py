"""The compiled functions of training, shared by all runs with equal parts.

A ``Training`` is a value, so equal ones share their compiled functions: a second ``fit`` or ``evaluate`` with an equal
model, loss, optimiser and metrics on arrays of the same shapes compiles nothing. The functions of the latest trainings
are kept; ``fnn.clear_compiled()`` releases them.

Equal parts may still differ in what their functions capture, read from global variables or hold as attributes, and a
compiled function has those values built in. So parts share a function only if their canonical text is the same too.
"""

import functools
from typing import Any

import jax

from fnn.calls import apply_of
from fnn.canonical.once import once_for_same
from fnn.errors import located
from fnn.generation.continued import continued
from fnn.layer import Layer, Params, State
from fnn.objective import Objective
from fnn.train.record import Ending
from fnn.train.scoring import Scoring
from fnn.train.step import Training
from fnn.train.usable import Usable


class CompiledTraining:
    """The functions of a training, each compiled when it is first called with new shapes.

    A step overwrites what it changes, so that a run holds one copy of what was learned, not two.
    """

    def __init__(self, training: Training) -> None:
        self.init = jax.jit(training.init)
        self.order = jax.jit(training.order, static_argnames="samples")
        self.steps = jax.jit(training.steps, donate_argnums=(0, 1))
        self.usable = jax.jit(Usable(training).of)
        self.values = jax.jit(training.values)


class CompiledScoring:
    """The compiled functions of a ``Scoring``."""

    def __init__(self, scoring: Scoring) -> None:
        self.scores = jax.jit(scoring.scores, donate_argnums=0)
        self.values = jax.jit(scoring.values)


class CompiledEnding:
    """The compiled end of an epoch."""

    def __init__(self, ending: Ending) -> None:
        self.end_of_epoch = jax.jit(ending.end_of_epoch, donate_argnums=0)


class CompiledOutputs:
    """The compiled outputs of a model, or the predictions of an objective, in inference."""

    def __init__(self, model: Layer | Objective) -> None:
        layer = model.model if isinstance(model, Objective) else model

        def outputs(params: Params, state: State, inputs: Any) -> Any:
            with located("", layer, inputs):
                made, _ = apply_of(layer, params, state, inputs)
            return model.loss.predictions(made) if isinstance(model, Objective) else made

        self.outputs = jax.jit(outputs)


class CompiledTokens:
    """The compiled continuation of prompts."""

    def __init__(self, model: Layer | Objective) -> None:
        self.tokens = jax.jit(functools.partial(continued, model), static_argnames=("length", "stop"))


compiled = once_for_same(CompiledTraining)
compiled_scoring = once_for_same(CompiledScoring)
compiled_ending = once_for_same(CompiledEnding)
compiled_outputs = once_for_same(CompiledOutputs)
compiled_tokens = once_for_same(CompiledTokens)


def clear_compiled() -> None:
    """Releases everything that was compiled for runs."""
    for each in (compiled, compiled_scoring, compiled_ending, compiled_outputs, compiled_tokens):
        each.cache_clear()  # type: ignore[attr-defined]
