"""What an optimiser's rule reports in a training step: a second fold over the forward pass that gave the gradients."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from fnn.backprop import Rule, backprop
from fnn.layer import Cache, Params, State
from fnn.objective import Aux, Method, Objective
from fnn.rules.fisher import Scores, scores_of


@dataclasses.dataclass(frozen=True)
class Backward:
    """A forward pass from which gradients can flow back once more, for the rules of optimisers."""

    objective: Objective
    outputs: Any
    cache: Cache
    doutputs: Any
    batch: tuple
    key: jax.Array | None

    def fold(self, rule: Rule) -> Any:
        """What a rule of ``backprop`` reports of the gradients of the loss."""
        return backprop(self.objective.model, self.cache, self.doutputs, rule)[0]

    def fisher(self, *, sampled: bool) -> Scores:
        """The Fisher matrix, of targets ``sampled`` from the predictions or of those given."""
        return scores_of(self.objective, self.outputs, self.cache, self.batch, key=self.key, sampled=sampled)


def with_reports(
    objective: Objective,
    rules: tuple[Callable[[Backward], Any], ...],
    params: Params,
    state: State,
    batch: tuple,
    *,
    key: jax.Array | None,
    report_key: jax.Array | None,
    train: bool = True,
    method: Method = "manual",
) -> tuple[tuple[jax.Array, Aux], Params, dict[Any, Any]]:
    """``((value, aux), grads, reports)``: ``objective.value_and_grad``, and what each rule reports, by rule.

    ``rules`` are those of an optimiser, ``fnn.optim.declared.rules_of(optimizer)``; ``report_key`` is what they draw
    from. There is one forward pass; with ``method="auto"`` one for ``jax.grad`` and one for the rules.
    """
    value, aux, cache, doutputs = objective.forward(params, state, batch, train=train, key=key)
    backward = Backward(objective, aux.outputs, cache, doutputs, batch, report_key)
    reports = {rule: rule(backward) for rule in rules}
    if method == "auto":
        return *objective.value_and_grad(params, state, batch, key=key, train=train, method=method), reports
    cost, grads = objective.backward(params, cache, doutputs, key=key)
    return (value + cost, aux), grads, reports
