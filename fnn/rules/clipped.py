"""The mean, or the sum, of the examples' gradients, each clipped to a norm."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import add_gradients
from fnn.errors import is_floating
from fnn.guards.ranges import POSITIVE, in_range
from fnn.layer import Params, State, wide_dtype
from fnn.objective import Aux, Objective
from fnn.rules.examples import AXIS, Run, check_batch, checked_state, count_of, over_examples, prepared
from fnn.rules.per_example import reported, squares_of, total, value_of
from fnn.rules.reparameterized import Through, gradients_of, is_reported
from fnn.squares import root


def clipped_gradients(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    *,
    max_norm: Any,
    key: jax.Array | None = None,
    train: bool = True,
) -> tuple[tuple[jax.Array, Aux], Params]:
    """``((value, aux), grads)``: the mean of the examples' gradients, each scaled down to at most ``max_norm``.

        grads = 1/N Σₙ cₙ gₙ,  cₙ = min(1, max_norm / ‖gₙ‖),  gₙ as in ``per_example_norms``

    One forward and one backward pass, which keeps the rows x_m and δ_m of every layer until the norms are known: a
    kernel's Σₙ cₙ gₙ is then one product of all rows, xᵀ (c ⊙ δ). No example's gradient is kept.

    ``value`` and ``aux`` are those of ``per_example_norms``. ``max_norm`` is a number or a traced scalar; the mean is
    over all N examples, those of weight 0 too.

    Errors: those of ``per_example_norms``; ``ValueError`` for a ``max_norm`` that is not above 0; a traced one that is
    not makes the gradients NaN.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    >>> batch = jnp.ones((4, 3)), jnp.array([0, 1, 0, 1])
    >>> params, state = objective.init(jax.random.key(0), batch[0])
    >>> (value, aux), grads = clipped_gradients(objective, params, state, batch, max_norm=0.1)
    >>> jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in grads.values())) <= 0.1
    Array(True, dtype=bool)

    Source: Abadi et al. 2016, algorithm 1; the products as in Bu et al. 2023 (book-keeping).
    """
    max_norm = in_range("max_norm", max_norm, POSITIVE)
    if jnp.ndim(max_norm):
        raise ValueError(f"max_norm is a scalar, got the shape {jnp.shape(max_norm)}; map over it with jax.vmap")
    objective, count = prepared(objective, train), count_of(batch)
    cost, penalty = objective.penalty(params)

    def of_one(run: Run) -> tuple:
        report = reported(objective, run)
        norm = root(total(squares_of(report, params, penalty)))
        # A norm that overflows is not known, and nothing is scaled by 1/∞.
        limit = jnp.where(jnp.isfinite(norm), jnp.asarray(max_norm, norm.dtype), jnp.nan)
        share = jnp.minimum(1, limit / jnp.where(norm == 0, limit, norm)) / count
        grads = gradients_of(report, share, AXIS, params)
        return value_of(run), checked_state(run.state), run.outputs, grads, lax.psum(share, AXIS)

    value, new_state, outputs, grads, shares = over_examples(
        objective, params, state, batch, train=train, key=key, of_one=of_one
    )
    if penalty is not None:
        grads = add_gradients(grads, jax.tree.map(lambda p: shares.astype(p.dtype) * p, penalty))
    check_batch(objective, outputs, batch)
    return (value + cost, Aux(new_state, outputs)), grads


def bounded_sum(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    *,
    max_norm: float,
    key: jax.Array | None = None,
) -> tuple[tuple[jax.Array, Aux], Params]:
    """``((value, aux), sums)``: Σₙ cₙ gₙ, which no example moves by more than ``max_norm``, whatever it holds.

    As ``clipped_gradients`` in training, without penalties; but an example of weight 0 adds nothing, and so does one
    whose gradient, or its norm, is not finite: the sum would not be finite either, and tell that the example is there.
    Rows are scaled and added up in at least float32, the dtype of the sums: rounding a sum to 16 bits can move it by
    more than an example. ‖gₙ‖² counts with what rounding its rows may have hidden, ε M Σ_m l_m² Σ_m r_m² for each
    kernel: where huge rows cancel, an example's share is that small.
    """
    objective = prepared(objective, True)

    def of_one(run: Run) -> tuple:
        report = reported(objective, run)
        square = total(squares_of(report, params, None))
        # Of rows that nearly cancel the norm is not known, and their sum would drown that of the others in rounding.
        norm = root(square + jnp.finfo(square.dtype).eps * _rounding(report, square.dtype))
        counts = jnp.isfinite(norm) & (run.weight > 0)
        limit = jnp.asarray(max_norm, norm.dtype)
        share = jnp.where(counts, jnp.minimum(1, limit / jnp.where(norm == 0, limit, norm)), 0)
        sums = gradients_of(_counted(report, counts), share, AXIS, widened(params))
        return value_of(run), checked_state(run.state), run.outputs, sums

    value, new_state, outputs, sums = over_examples(objective, params, state, batch, train=True, key=key, of_one=of_one)
    check_batch(objective, outputs, batch)
    return (value, Aux(new_state, outputs)), sums


def widened(tree: Any) -> Any:
    """Floating leaves in at least float32."""
    return jax.tree.map(lambda leaf: leaf.astype(wide_dtype(leaf.dtype)) if is_floating(leaf) else leaf, tree)


def _rounding(report: Any, dtype: Any) -> jax.Array:
    """The sum of ``rounding`` over a report."""

    def of(node: Any) -> jax.Array:
        return _rounding(node.report, dtype) if isinstance(node, Through) else node.rounding().astype(dtype)

    return sum((of(node) for node in jax.tree.leaves(report, is_leaf=is_reported)), jnp.zeros((), dtype))


def _counted(report: Any, counts: jax.Array) -> Any:
    """A report in at least float32, 0 unless the example counts: a share of 0 would leave 0 · ∞."""

    def of(node: Any) -> Any:
        if isinstance(node, Through):  # what it holds beside the report depends on the parameters alone
            return dataclasses.replace(node, report=_counted(node.report, counts))
        return jax.tree.map(lambda leaf: jnp.where(counts, leaf, 0) if is_floating(leaf) else leaf, widened(node))

    return jax.tree.map(of, report, is_leaf=is_reported)
