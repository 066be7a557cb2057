"""The gradient norm of every example, without the gradient of any."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import backprop, entry
from fnn.layer import Params, State
from fnn.objective import Aux, Objective
from fnn.paths import named_leaves
from fnn.rules._in_full import square_in_full
from fnn.rules.contributions import is_contribution
from fnn.rules.examples import AXIS, Run, checked_state, count_of, over_examples, prepared, without_rule
from fnn.rules.factored import factored
from fnn.rules.reparameterized import Through, above, arrays


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
    windows of a convolution), so that ‖gₙ‖² = Σ_m Σ_m' (x_m · x_m') (δ_m · δ_m'): no gₙ is formed. Where there are too
    many rows, gₙ is formed for a few examples at a time.

    An example's loss is the objective on a batch of it alone: its weight cancels, penalties count in full, and every
    example draws the same random numbers. ``value`` is the mean of the examples' values, which is the objective's value
    on the batch for a loss that is a mean, without random layers. For ``LinearCrossEntropy`` the outputs are logits.

    Shapes:  ``batch`` is (inputs, targets) or (inputs, targets, weights), each leaf (N, …)
    Memory:  the activations and deltas of the batch; no (N, parameters) but for layers of your own without a rule

    Errors: ``ValueError`` for a batch norm in training, whose statistics make examples depend on each other, for a
    state that changes with the example, and for leaves of the batch without one N. A layer without a backward by hand
    is named in a warning: its gradients are formed for every example.

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
    warn_of_automatic(objective)
    cost, penalty = objective.penalty(params)

    def of_one(run: Run) -> tuple:
        squares = squares_of(reported(objective, run), params, penalty)
        return value_of(run), checked_state(run.state), run.outputs, squares

    value, new_state, outputs, squares = over_examples(
        objective, params, state, batch, train=train, key=key, of_one=of_one
    )
    leaves = {path: jnp.sqrt(jnp.broadcast_to(each, (count,))) for path, each in squares.items()}
    norms = jnp.sqrt(jnp.broadcast_to(total(squares), (count,)))
    return PerExample(value + cost, Aux(new_state, joined(outputs, count)), norms, leaves)


def reported(objective: Objective, run: Run) -> Any:
    """The gradients of one example, as a tree of contributions."""
    return backprop(objective.model, run.cache, run.doutputs, factored, above=above)[0]


def squares_of(report: Any, params: Params, penalty: Params | None) -> dict[str, jax.Array]:
    """‖g‖² of one example, by the path of the parameter."""
    found = named_leaves(_squares(report, penalty))
    zeros = {path: jnp.zeros((), leaf.dtype) for path, leaf in named_leaves(params).items()}
    return {path: found.get(path, zero) for path, zero in zeros.items()}


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


def joined(outputs: Any, count: int) -> Any:
    """The outputs of batches of one, (N, 1, …), as those of one batch, (N, …)."""
    return jax.tree.map(
        lambda leaf: leaf.reshape(count, *leaf.shape[2:]) if leaf.shape[:2] == (count, 1) else leaf, outputs
    )


def warn_of_automatic(objective: Objective) -> None:
    """Warns once of layers whose gradients are formed for every example, since they have no rule by hand."""
    if found := without_rule(objective.model):
        warnings.warn(
            "the gradients of layers without a backward by hand are formed in full for every example:"
            f" {', '.join(found)}",
            stacklevel=3,
        )


def _squares(report: Any, penalty: Any) -> Any:
    if isinstance(report, Through):
        return square_in_full((report, penalty), lambda pair: _with_penalty(arrays(pair[0]), pair[1]))
    if not is_contribution(report):
        if not report and penalty is not None:  # nothing depends on these parameters but the penalty
            return jax.tree.map(lambda p: (p * p).sum(), penalty)
        names = {**(report or {}), **(penalty or {})}
        return {name: _squares(entry(report or {}, name), None if penalty is None else penalty[name]) for name in names}
    square = report.square()
    if penalty is None:
        return square
    wide = penalty.astype(square.dtype)
    return jnp.maximum(square + 2 * report.along(penalty) + (wide * wide).sum(), 0)


def _with_penalty(gradients: Any, penalty: Any) -> Any:
    return gradients if penalty is None else jax.tree.map(jnp.add, gradients, penalty)
