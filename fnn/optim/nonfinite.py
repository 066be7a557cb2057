"""Skips and counts steps whose numbers are not finite."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.accumulators import increment, zero_count
from fnn.optim.transform import Optimizer, constructor, expect_optimizer, update
from fnn.optim.waiting import all_stepped, stepped


class SkipNonfiniteState(NamedTuple):
    """State of ``skip_nonfinite``: steps ``skipped`` in total, skipped last ``in_a_row``; was the last ``accepted``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    skipped: jax.Array
    in_a_row: jax.Array
    accepted: jax.Array
    inner: Any

    ranges = MappingProxyType({})

    @property
    def stepped(self) -> jax.Array | None:
        """Whether the last call was a step: accepted, and the optimiser inside did not wait."""
        return all_stepped(self.accepted, stepped(self.inner))


@constructor
def skip_nonfinite(optimizer: Any) -> Optimizer:
    """Skips a step if the gradient, the value or the update contains an infinity or a NaN.

        all finite:   the optimiser's update and new state
        otherwise:    an update of 0, the optimiser's state bit for bit as it was, skipped ← skipped + 1

    Such a step is never taken, however many come in a row. ``count`` counts the accepted steps. Later transformations
    in a ``chain`` wait for the next accepted step: their update is 0 and their state stays the same. Training asks
    ``accepted(opt_state)``, and also keeps the model's old state (batch statistics) when a step is skipped. Put it
    around everything that must not move in a skipped step: ``skip_nonfinite(chain(adam(…), ema(…)))``. ``accumulate``
    and ``groups`` refuse it inside. Raises ``TypeError`` if not an optimiser.

    >>> from fnn.optim import sgd
    >>> optimizer = skip_nonfinite(sgd(1.0))
    >>> updates, opt_state = optimizer.update(jnp.array(jnp.nan), optimizer.init(jnp.zeros(())))
    >>> print(updates, opt_state.skipped, accepted(opt_state))
    0.0 1 False
    """
    expect_optimizer("skip_nonfinite", optimizer)

    def init(params: Any) -> SkipNonfiniteState:
        inner = optimizer.init(params)
        # Three separate zeros, so that jit may overwrite all of them (donation).
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
    """Whether every ``skip_nonfinite`` in an optimiser state accepted the last step; ``None`` if there is none."""
    found = [state.accepted for state in _skip_states(opt_state)]
    return jnp.stack(found).all(0) if found else None


def skipped_in_a_row(opt_state: Any) -> jax.Array | None:
    """How many steps in a row were skipped last, the most of any ``skip_nonfinite``; ``None`` if there is none."""
    found = [state.in_a_row for state in _skip_states(opt_state)]
    return jnp.stack(found).max(0) if found else None


def refuse_inner_skips(opt_state: Any, wrapper: str) -> None:
    """Raises for a ``skip_nonfinite`` inside, which would skip only a part of the step that training takes."""
    if accepted(opt_state) is not None:
        raise ValueError(
            f"skip_nonfinite goes outside {wrapper}, or part of a bad step would be taken:"
            f" write skip_nonfinite({wrapper}(…))"
        )


def _skip_states(opt_state: Any) -> list[SkipNonfiniteState]:
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, SkipNonfiniteState))
    return [node for node in nodes if isinstance(node, SkipNonfiniteState)]
