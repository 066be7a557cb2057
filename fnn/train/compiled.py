"""What training compiles: once for all runs whose parts are equal.

A ``Training`` is a value, so what was compiled for one serves every equal one: a second ``fit`` or ``evaluate`` with an
equal model, loss, optimiser and metrics on arrays of the same shapes compiles nothing. The functions of the latest
trainings are kept; ``jax.clear_caches()`` frees their programs. As everywhere under ``jit``, a function inside a layer
or a schedule is taken to be pure: a global variable that it reads is read when it is compiled.
"""

from typing import Any

import jax

from fnn.train.step import Learned, Totals, Training, add
from fnn.values import once_for_equal


class Compiled:
    """The functions of a training, each compiled when it is first called with new shapes."""

    def __init__(self, training: Training) -> None:
        self.init = jax.jit(training.init)
        self.order = jax.jit(training.order, static_argnames="samples")
        # The limits are traced, so that calls of any length are one program.
        self.steps = jax.jit(training.steps, static_argnames="plan")
        self.rest = jax.jit(training.rest, static_argnames="plan")
        self.values = jax.jit(training.values)
        self.evaluate = jax.jit(training.evaluate, static_argnames="plan")

        def steps_of(
            learned: Learned, totals: Totals, stacked: tuple, key: jax.Array, start: Any, number: Any
        ) -> tuple[Learned, Totals]:
            def body(index: jax.Array, carry: tuple[Learned, Totals]) -> tuple[Learned, Totals]:
                learned, totals = carry
                batch = jax.tree.map(lambda leaf: leaf[index], stacked)
                learned, more = training.step(learned, batch, jax.random.fold_in(key, start + index))
                return learned, add(totals, more)

            return jax.lax.fori_loop(0, number, body, (learned, totals))

        def judged_of(learned: Learned, totals: Totals, stacked: tuple, number: Any) -> Totals:
            def body(index: jax.Array, totals: Totals) -> Totals:
                return add(totals, training.judged(learned, jax.tree.map(lambda leaf: leaf[index], stacked)))

            return jax.lax.fori_loop(0, number, body, totals)

        # Of a stack of batches. Their number is traced, so that a part of a stack runs the program of a whole one.
        self.steps_of = jax.jit(steps_of)
        self.judged_of = jax.jit(judged_of)


compiled = once_for_equal(Compiled)
