"""The gradient norm of every example, from what its gradient is made of."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import backprop
from fnn.errors import is_floating
from fnn.layer import Params, State, wide_dtype
from fnn.objective import Aux, Objective
from fnn.paths import join, lies_in, named_leaves, path_of
from fnn.rules._in_full import square_in_full
from fnn.rules._sums import square_of
from fnn.rules.examples import AXIS, Run, check_batch, checked_state, count_of, over_examples, prepared
from fnn.rules.factored import factored
from fnn.rules.reparameterized import Through, above, is_reported
from fnn.squares import root


class PerExample(NamedTuple):
    """What ``per_example_norms`` returns.

    ``value``: the examples' mean value, weighted as the loss weights them; ``aux``: state and outputs of all;
    ``norms`` (N,): ‖gₙ‖; ``leaves``: ‖gₙ‖ (N,) of each parameter alone, by path.
    """

    value: jax.Array
    aux: Aux
    norms: jax.Array
    leaves: dict[str, jax.Array]


def per_example_norms(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    *,
    key: jax.Array | None = None,
    train: bool = True,
) -> PerExample:
    """The exact gradient norm of every example, in one forward and one backward pass.

        gₙ = ∂ objective(batch of example n alone) / ∂θ,  ‖gₙ‖² = Σ over the parameters ‖gₙ,θ‖²

    A kernel's gradient is a sum of outer products gₙ = Σ_m x_m δ_mᵀ over the rows of an example (its steps, or the
    windows of a convolution), so that ‖gₙ‖² = Σ_m Σ_m' (x_m · x_m') (δ_m · δ_m'). Where an example has so many rows
    that gₙ itself takes fewer products, it is formed for a few examples at a time at most.

    An example's loss is the objective on a batch of it alone: its weight cancels, penalties count in full, and every
    example draws the same random numbers. ``value`` is the mean of the examples' values, which is the objective's value
    on the batch for a loss that is a mean, without random layers. For ``LinearCrossEntropy`` the outputs are logits.

    Shapes:  ``batch`` is (inputs, targets) or (inputs, targets, weights), each leaf (N, …)
    Memory:  the activations and deltas of the batch; no (N, parameters), but for layers that are named in a warning

    Errors: ``ValueError`` for a batch norm in training, whose statistics make examples depend on each other, for a
    state that changes with the example, and for leaves of the batch without one N. A layer whose gradients are formed
    for every example, since nothing says how they factor, is named in a warning; ``fnn/rules/factored.py`` shows how to
    say it of your own.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    >>> batch = jnp.ones((4, 3)), jnp.array([0, 1, 0, 1])
    >>> params, state = objective.init(jax.random.key(0), batch[0])
    >>> found = per_example_norms(objective, params, state, batch)
    >>> found.norms.shape, sorted(found.leaves)
    ((4,), ['bias', 'kernel'])

    Source: Goodfellow 2015 for dense layers; Rochette et al. 2019 and Li et al. 2022 (both forms, and their choice).
    """
    objective, count = prepared(objective, train), count_of(batch)
    cost, penalty = objective.penalty(params)

    def of_one(run: Run) -> tuple:
        squares = squares_of(reported(objective, run), params, penalty)
        return value_of(run), checked_state(run.state), run.outputs, squares

    value, new_state, outputs, squares = over_examples(
        objective, params, state, batch, train=train, key=key, of_one=of_one
    )
    check_batch(objective, outputs, batch)
    leaves = {path: root(jnp.broadcast_to(each, (count,))) for path, each in squares.items()}
    norms = root(jnp.broadcast_to(total(squares), (count,)))
    return PerExample(value + cost, Aux(new_state, outputs), norms, leaves)


def reported(objective: Objective, run: Run) -> Any:
    """The gradients of one example, as a tree of contributions."""
    return backprop(objective.model, run.cache, run.doutputs, factored, above=above)[0]


def squares_of(report: Any, params: Params, penalty: Params | None) -> dict[str, jax.Array]:
    """‖g‖² of one example, by the path of the parameter; of floating parameters alone."""
    more = {} if penalty is None else {path: p for path, p in named_leaves(penalty).items() if is_floating(p)}
    found: dict[str, jax.Array] = {}
    for key_path, node in jax.tree_util.tree_flatten_with_path(report, is_leaf=is_reported)[0]:
        found |= _squares(path_of(key_path), node, more)
    for path, leaf in named_leaves(params).items():
        if is_floating(leaf) and path not in found:  # nothing but a penalty depends on it
            found[path] = square_of(more[path]) if path in more else jnp.zeros((), wide_dtype(leaf.dtype))
    return {path: found[path] for path, leaf in named_leaves(params).items() if is_floating(leaf)}


def total(squares: dict[str, jax.Array]) -> jax.Array:
    """Their sum, in the widest of their dtypes; 0 of none."""
    dtype = max((each.dtype for each in squares.values()), key=lambda dtype: dtype.itemsize, default=None)
    return sum((each.astype(dtype) for each in squares.values()), jnp.zeros((), dtype))


def value_of(run: Run) -> jax.Array:
    """Σ wₙ valueₙ / Σ wₙ over the examples, 0 if no example has a weight."""
    weight = run.weight.astype(run.value.dtype)
    total, value = lax.psum((weight, weight * run.value), AXIS)
    mean: Any = jnp.where(total == 0, 0, value / jnp.where(total == 0, 1, total))
    return mean


def _squares(path: str, node: Any, penalties: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """‖g‖² by path, of what is reported at a path."""
    if isinstance(node, Through):

        def gradients(both: tuple[Through, dict[str, jax.Array]]) -> dict[str, jax.Array]:
            own = {join(path, name): g for name, g in named_leaves(both[0].arrays()).items()}
            return {name: g + both[1][name].astype(g.dtype) if name in both[1] else g for name, g in own.items()}

        return square_in_full((node, {name: p for name, p in penalties.items() if lies_in(name, [path])}), gradients)
    square = node.square()
    if path not in penalties:
        return {path: square}
    p = penalties[path]
    more = 2 * node.along(p).astype(square.dtype) + square_of(p).astype(square.dtype)
    return {path: jnp.maximum(square + more, 0)}
