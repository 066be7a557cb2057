"""The weights to use: those that a run validates, keeps as the best and returns.

They are the weights of training itself, unless the optimiser averages them, or still holds micro-batches at the end.
Averaged weights never saw a batch, so the batch statistics of training do not belong to them: these are estimated
again.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import entry_at, put
from fnn.calls import apply_of
from fnn.combinators import Frozen
from fnn.combinators.frozen import frozen_layers
from fnn.layer import Layer, Params, State, named_key
from fnn.layers import BatchNorm
from fnn.objective import unpacked
from fnn.optim.accumulate import accumulating, with_remainder
from fnn.optim.unmoved import frozen_paths
from fnn.optim.weights_to_use import evaluation_params
from fnn.paths import lies_in, map_named
from fnn.train.data import Batches
from fnn.train.step import Learned, Training
from fnn.walk import Node, map_nodes, nodes

BATCHES = 32
"""Batch statistics of averaged weights are means over this many batches, or all full batches of an epoch if fewer.

For a stream, they are at most as many as fit into a group.
"""


@dataclasses.dataclass(frozen=True)
class Usable:
    """Computes the weights to use from what was learned, as pure functions."""

    training: Training

    def of(self, learned: Learned, batches: Batches, count: Any, key: jax.Array, last: Any) -> Learned:
        """The weights to use, with their batch statistics; ``last``: the run is at its end (may be traced).

        ``batches`` holds at least the first ``count`` (may be traced) batches of the epoch with this key. The optimiser
        state is the one that a run would continue with.
        """
        params, opt_state = with_remainder(self.training.optimizer, learned.opt_state, learned.params, last)
        if not self.training.evaluate_averaged or (averaged := evaluation_params(opt_state, params)) is None:
            return Learned(params, learned.state, opt_state)
        averaged = map_named(lambda path, mean, w: w if self._stands_still(path, params) else mean, averaged, params)
        return Learned(averaged, self._statistics(averaged, learned.state, batches, count, key), opt_state)

    def _stands_still(self, path: str, params: Params) -> bool:
        """Whether no step moves a parameter; its average would be itself up to rounding."""
        model = self.training.objective.model
        return lies_in(path, frozen_layers(model)) or path in frozen_paths(self.training.optimizer, params)

    def trivial(self, learned: Learned) -> bool:
        """Whether the weights to use are always the same as those of training."""
        averaged = self.training.evaluate_averaged and jax.eval_shape(
            evaluation_params, learned.opt_state, learned.params
        )
        return not averaged and not accumulating(learned.opt_state)

    def _statistics(self, params: Any, state: State, batches: Batches, count: Any, key: jax.Array) -> State:
        """The state with batch statistics that are means over batches as training sees them."""
        model = self.training.objective.model
        forgetful = _forgetful(model)
        if forgetful is model:
            return state
        key = named_key(key, "statistics")

        def body(number: jax.Array, total: State) -> State:
            step_key = jax.random.fold_in(key, number)
            inputs, _, _ = unpacked(self.training.augmented(batches.of(batches.first + number), step_key))
            _, own = apply_of(forgetful, params, state, inputs, train=True, key=named_key(step_key, "model"))
            return jax.tree.map(jnp.add, total, own)

        total = jax.lax.fori_loop(0, count, body, jax.tree.map(jnp.zeros_like, state))
        mean = jax.tree.map(lambda total: (total / count).astype(total.dtype), total)
        return _with_statistics(model, state, mean)


def _forgetful(model: Layer) -> Layer:
    """The model with batch norms that keep the last batch's statistics alone; the model itself if none is in it."""

    def forgetting(node: Node) -> Layer:
        return dataclasses.replace(node.layer, decay=0.0) if _learns_statistics(node) else node.layer

    return map_nodes(forgetting, model)


def _with_statistics(model: Layer, state: State, own: State) -> State:
    """The state with those parts of ``own`` that belong to batch norms, but for their counts."""
    for node in nodes(model):
        if _learns_statistics(node):
            count = entry_at(state, node.path)["count"]
            state = put(state, node.path, {**entry_at(own, node.path), "count": count})
    return state


def _learns_statistics(node: Node) -> bool:
    return isinstance(node.layer, BatchNorm) and not node.is_in(Frozen)
