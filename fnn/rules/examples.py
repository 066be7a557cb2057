"""A batch as examples: every one alone through the objective, all of them in one ``jax.vmap``.

The parameters are not mapped, so what depends on them alone exists once; an example is a batch of one, with the same
random key as every other.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from fnn.combinators.frozen import Frozen
from fnn.errors import describe, located
from fnn.layer import Layer, Params, State, is_training
from fnn.layers.linear.dense import Dense
from fnn.layers.norm.batch_norm import BatchNorm
from fnn.losses.linear_cross_entropy import LinearCrossEntropy
from fnn.losses.linear_head import LinearHead
from fnn.losses.loss import check_weights_by_name
from fnn.objective import Objective, unpacked
from fnn.paths import map_named
from fnn.walk import map_nodes, nodes

AXIS = "fnn examples"
"""The name of the mapped axis."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One example, forward: its value without penalties, its weight, what ``backprop`` needs; ``outputs`` of all."""

    value: jax.Array
    weight: jax.Array
    state: State
    outputs: Any
    cache: Any
    doutputs: Any


def over_examples(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    *,
    train: bool,
    key: jax.Array | None,
    of_one: Callable[[Run], Any],
) -> Any:
    """``of_one`` of every example, where what varies from one to the next is stacked on a leading axis.

    What ``of_one`` returns the same for all of them, a sum over ``AXIS`` say, is returned once.
    """
    count = count_of(batch)

    def one(example: tuple) -> Any:
        alone = jax.tree.map(lambda leaf: leaf[None], example)
        value, aux, cache, doutputs = objective.forward(params, state, alone, train=train, key=key)
        weight = objective.loss.weight(aux.outputs, *alone[1:])
        outputs = jax.tree.map(lambda leaf: _of_batch(leaf, count), aux.outputs)
        found = of_one(Run(value, weight, aux.state, outputs, cache, doutputs))
        return jax.tree.map(_stacked, found)

    return jax.vmap(one, out_axes=None, axis_name=AXIS)(tuple(batch))


def varies(x: Any) -> bool:
    """Whether an array differs from example to example, inside ``over_examples``."""
    seen = []
    probe = custom_vmap(lambda x, example: x)

    @probe.def_vmap
    def _(size: int, batched: list[bool], x: Any, example: Any) -> tuple[Any, bool]:
        seen.append(batched[0])
        return x, batched[0]

    probe(x, lax.axis_index(AXIS))  # the number makes this axis ask first, before a vmap around it
    return seen[0]


def prepared(objective: Objective, train: bool) -> Objective:
    """``of_logits`` of the objective; raises for rules, and where a layer makes examples depend on each other."""
    if not isinstance(objective, Objective):
        raise TypeError(f"expected an Objective, got {objective!r}; an Objective is a model with its loss")
    objective.refuse_rules("gradients of single examples")
    train = is_training(train)
    for node in nodes(objective.model):
        if train and isinstance(node.layer, BatchNorm) and not node.is_in(Frozen):
            raise ValueError(
                f"in {node.path}: {node.layer!r} takes statistics over the batch, so no example has a gradient of its"
                f" own; use GroupNorm or LayerNorm, Frozen({node.layer!r}), or train=False with its running statistics"
            )
    return of_logits(objective)


def of_logits(objective: Objective) -> Objective:
    """The objective with a loss that multiplies by its kernel itself replaced by the loss of the logits, whose kernel
    is a layer's; any other objective unchanged."""
    loss = objective.loss
    if not isinstance(loss, LinearCrossEntropy):
        return objective

    def with_product(layer: Layer) -> Layer:
        if not isinstance(layer, LinearHead):
            return layer
        return Dense(layer.vocabulary, use_bias=False, kernel_init=layer.kernel_init)

    model = map_nodes(lambda node: with_product(node.layer), objective.model)
    return Objective(model, loss.of_logits, objective.penalties, rules=objective.rules)


def checked_state(state: State) -> State:
    """The new state, inside ``over_examples``; raises if it depends on the example."""

    def check(path: str, leaf: Any) -> Any:
        if varies(leaf):
            raise ValueError(
                f"the state {path!r} changes with the example, so there is no state after all of them; use train=False,"
                f" or put its layer in Frozen"
            )
        return leaf

    return map_named(check, state)


def check_batch(objective: Objective, outputs: Any, batch: tuple) -> None:
    """Raises for targets and weights that the loss refuses, if their values are known: inside ``vmap`` none is."""
    _, targets, weights = unpacked(batch)
    with located("loss", objective.loss, (outputs, targets)):
        steps = objective.loss.over_steps(outputs, targets, weights)
        objective.loss.check(steps.prediction, steps.target)
        if steps.weights is not None:
            check_weights_by_name(steps.weights)


def _stacked(leaf: Any) -> jax.Array:
    return lax.all_gather(leaf, AXIS) if varies(leaf) else jnp.asarray(leaf)


def _of_batch(leaf: Any, count: int) -> jax.Array:
    """(1, …) of every example as (N, …) of all, inside ``over_examples``."""
    if varies(leaf):
        return lax.all_gather(leaf, AXIS, tiled=True)
    shape = jnp.shape(leaf)
    return jnp.broadcast_to(leaf, (count, *shape[1:])) if shape[:1] == (1,) else leaf


def count_of(batch: tuple) -> int:
    """N, the number of examples of a batch; raises ``ValueError`` if its arrays do not have one N."""
    unpacked(batch)
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)}
    if len(sizes) != 1 or not (size := sizes.pop()):
        raise ValueError(f"the arrays of a batch have one leading axis of N examples, got {describe(batch)}")
    if not size[0]:
        raise ValueError(f"the batch is empty: {describe(batch)}")
    return size[0]
