"""Steps whose numbers are not finite: left out whole, and counted."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.transform import Optimizer, constructor, expect_optimizer, increment, update, zero_count
from fnn.optim.waiting import all_stepped, stepped


class SkipNonfiniteState(NamedTuple):
    """State of ``skip_nonfinite``: ``skipped`` in all, ``in_a_row`` of late, and whether the last was ``accepted``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    skipped: jax.Array
    in_a_row: jax.Array
    accepted: jax.Array
    inner: Any

    ranges = MappingProxyType({})

    @property
    def stepped(self) -> jax.Array | None:
        """Whether the last call was a step: accepted, and none that the optimiser inside waits at."""
        return all_stepped(self.accepted, stepped(self.inner))


@constructor
def skip_nonfinite(optimizer: Any) -> Optimizer:
    """Leaves a step out if the gradient, the value or the update holds an infinity or a NaN.

        all finite:   the optimiser's update and new state
        otherwise:    an update of 0, the optimiser's state bit for bit as it was, skipped ← skipped + 1

    Such a step is never taken after all, however many come in a row. ``count`` counts the steps that were accepted.
    What stands behind it in a ``chain`` waits for the next that is: its update is 0, its state stays.
    Training keeps the model's state (batch statistics) of before, too: it asks ``accepted(opt_state)``. It
    stands outside everything that must stand still with it: ``skip_nonfinite(chain(adam(…), ema(…)))``; ``accumulate``
    and ``groups`` refuse it inside. Raises ``TypeError`` for what is no optimiser.

    >>> from fnn.optim import sgd
    >>> optimizer = skip_nonfinite(sgd(1.0))
    >>> updates, opt_state = optimizer.update(jnp.array(jnp.nan), optimizer.init(jnp.zeros(())))
    >>> print(updates, opt_state.skipped, accepted(opt_state))
    0.0 1 False
    """
    expect_optimizer("skip_nonfinite", optimizer)

    def init(params: Any) -> SkipNonfiniteState:
        inner = optimizer.init(params)
        # Three zeros and not one thrice, so that jit may be given them all to overwrite.
        return SkipNonfiniteState(zero_count(), {}, zero_count(), zero_count(), jnp.ones((), bool), inner)

    def skip_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, SkipNonfiniteState]:
        updates, inner = update(optimizer, grads, state.inner, params, **extra)
        good = all_finite((grads, updates, extra.get("value")))

        def keep(new: Any, old: Any) -> jax.Array:
            return jnp.where(good, new, old)

        updates = jax.tree.map(lambda u: jnp.where(good, u, jnp.zeros_like(u)), updates)
        return updates, SkipNonfiniteState(
            keep(increment(state.count), state.count),
            {},
            keep(state.skipped, increment(state.skipped)),
            keep(jnp.zeros_like(state.in_a_row), increment(state.in_a_row)),
            good,
            jax.tree.map(keep, inner, state.inner),
        )

    return Optimizer(init, skip_update)


def all_finite(tree: Any) -> jax.Array:
    """Whether every floating entry of every leaf is finite."""
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(finite).all() if finite else jnp.ones((), bool)


def accepted(opt_state: Any) -> jax.Array | None:
    """Whether the last step was taken, by every ``skip_nonfinite`` in an optimiser state; ``None`` if there is none."""
    found = [state.accepted for state in _skip_states(opt_state)]
    return jnp.stack(found).all(0) if found else None


def skipped_in_a_row(opt_state: Any) -> jax.Array | None:
    """How many of the last steps every ``skip_nonfinite`` left out, the most of any; ``None`` if there is none."""
    found = [state.in_a_row for state in _skip_states(opt_state)]
    return jnp.stack(found).max(0) if found else None


def refuse_inner_skips(opt_state: Any, wrapper: str) -> None:
    """Raises for a ``skip_nonfinite`` inside: what is skipped there is not the step that training takes."""
    if accepted(opt_state) is not None:
        raise ValueError(
            f"skip_nonfinite stands outside {wrapper}, or a part of a bad step is taken:"
            f" write skip_nonfinite({wrapper}(…))"
        )


def _skip_states(opt_state: Any) -> list[SkipNonfiniteState]:
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, SkipNonfiniteState))
    return [node for node in nodes if isinstance(node, SkipNonfiniteState)]
