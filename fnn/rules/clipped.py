"""The mean of the examples' gradients, each clipped to a norm."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import add_gradients
from fnn.guards.ranges import POSITIVE, in_range
from fnn.layer import Params, State
from fnn.objective import Aux, Objective
from fnn.rules.examples import AXIS, Run, check_batch, checked_state, count_of, over_examples, prepared
from fnn.rules.per_example import reported, squares_of, total, value_of
from fnn.rules.reparameterized import gradients_of
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
