"""What is differentiated: the value of an objective at one point, as a function of parameters and of layer deltas."""

import dataclasses
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.backprop import Rule, backprop, own_backward
from fnn.calls import forward_of
from fnn.gradients import oracles
from fnn.gradients.deltas import Delta, automatic, by_path, delta_reports, instrumented, instrumented_state, zero_deltas
from fnn.objective import Objective, unpacked
from fnn.paths import map_named, named_leaves

Leaves = dict[tuple[str, str], Any]
"""Arrays by ("parameter" or "delta", path)."""


class Operands(NamedTuple):
    """The point: all that an objective is called with."""

    params: Any
    state: Any
    batch: Any
    key: Any


class Records(NamedTuple):
    """The value, what every layer saw, by path, and what the loss was given."""

    value: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    prediction: Any = None


@dataclasses.dataclass(frozen=True)
class Problem:
    """An objective and the functions of it that a comparison compiles, each a pure function of operands.

    The variables are a flat dict, ``("parameter", path)`` and ``("delta", path)`` to arrays; the deltas are zero.
    """

    objective: Objective
    train: bool

    @cached_property
    def _instrumented(self) -> Objective:
        return self.objective.with_model(instrumented(self.objective.model))

    @cached_property
    def plain(self) -> Objective:
        """The objective with no hand rule in the ``apply`` of its model."""
        return self.objective.with_model(automatic(self.objective.model))

    def value(self, variables: Leaves, operands: Operands) -> tuple[jax.Array, Records]:
        """The value, with no hand rule anywhere in it, and what the layers saw."""
        model = self.objective.model
        params = _with_leaves(operands.params, variables, "parameter")
        outputs = self.outputs(operands)
        deltas = _with_leaves(zero_deltas(outputs), variables, "delta")
        value, aux = self._instrumented(
            params,
            instrumented_state(model, operands.state, deltas),
            operands.batch,
            train=self.train,
            key=operands.key,
        )
        return value, _records(value, by_path(model, aux.state))._replace(prediction=aux.outputs)

    def outputs(self, operands: Operands) -> dict[str, Any]:
        """The shapes and dtypes of the outputs of all layers, by path."""

        def run(operands: Operands) -> Any:
            state = instrumented_state(self.objective.model, operands.state)
            value, aux = self._instrumented(operands.params, state, operands.batch, train=self.train, key=operands.key)
            if value.shape:
                raise ValueError(f"the value of an objective is a scalar, got the shape {value.shape}")
            return aux.state

        return _records(None, by_path(self.objective.model, jax.eval_shape(run, operands))).outputs

    def variables(self, operands: Operands) -> Leaves:
        """The floating parameters, and a zero delta for every floating output of a layer."""
        params, deltas = named_leaves(operands.params), named_leaves(zero_deltas(self.outputs(operands)))
        floating = {path: leaf for path, leaf in params.items() if jnp.issubdtype(leaf.dtype, jnp.floating)}
        return {("parameter", path): jnp.asarray(leaf) for path, leaf in floating.items()} | {
            ("delta", path.strip("/")): jnp.asarray(leaf) for path, leaf in deltas.items()
        }

    def records(self, variables: Leaves, operands: Operands) -> Records:
        """What the layers saw."""
        return self.value(variables, operands)[1]

    def reverse(self, variables: Leaves, operands: Operands) -> tuple[Leaves, Records]:
        """The automatic gradient, and what the layers saw."""
        return oracles.reverse(lambda variables: self.value(variables, operands), variables, has_aux=True)

    def manual(self, operands: Operands) -> Leaves:
        """The hand rules: the gradient that training uses, and the deltas on the way to it."""
        objective, (inputs, targets, weights) = self.objective, unpacked(operands.batch)
        _, grads = objective.value_and_grad(*operands[:3], key=operands.key, train=self.train, method="manual")
        outputs, _, cache = forward_of(objective.model, *operands[:2], inputs, train=self.train, key=operands.key)
        _, loss_cache = objective.loss.forward(outputs, targets, weights)
        doutputs = objective.loss.backward(loss_cache)
        _, taps = self._tapped(cache, doutputs, objective.rule(doutputs, operands.key) or own_backward)
        return {("parameter", path): leaf for path, leaf in named_leaves(grads).items()} | {
            ("delta", path.strip("/")): leaf for path, leaf in named_leaves(taps).items()
        }

    def _tapped(self, cache: Any, dy: Any, rule: Rule) -> tuple[Any, dict[str, Any]]:
        reports, dx = backprop(self.objective.model, cache, dy, delta_reports(rule))
        taps = by_path(self.objective.model, reports)
        return dx, {path: each.dy if isinstance(each, Delta) else None for path, each in taps.items()}

    def directional(self, variables: Leaves, direction: Leaves, operands: Operands) -> jax.Array:
        """The derivative of the value along a direction, by forward mode."""
        return oracles.forward(lambda variables: self.value(variables, operands)[0], variables, direction)

    def moved(self, variables: Leaves, direction: Leaves, step: jax.Array, operands: Operands) -> jax.Array:
        """The value after a step along a direction."""
        there = jax.tree.map(lambda leaf, along: leaf + step.astype(leaf.dtype) * along, variables, direction)
        return self.value(there, operands)[0]


def _records(value: Any, states: dict[str, Any]) -> Records:
    return Records(value, *({path: state[name] for path, state in states.items()} for name in ("x", "y")))


def _with_leaves(tree: Any, variables: Leaves, kind: str) -> Any:
    """The tree with the variables of a kind in the places of its floating leaves."""
    return map_named(lambda path, leaf: variables.get((kind, path.strip("/")), leaf), tree)
