"""Calls that are not steps: transformations after an accumulation, or after a skipped step, wait for the next step.

An optimiser that waits returns an update of 0, and the transformations after it would see only that: a momentum would
decay, an average would count the same weights twice, weight decay and schedules would continue. So a state says by
``stepped`` whether the call was a step: that of ``accumulate`` between its updates, and that of ``skip_nonfinite``.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def stepped(opt_state: Any) -> jax.Array | None:
    """Whether the call that returned this state was a step; ``None`` if no part of it ever waits.

    >>> from fnn.optim import accumulate, sgd
    >>> optimizer = accumulate(sgd(1.0), 2)
    >>> _, opt_state = optimizer.update(jnp.ones(2), optimizer.init(jnp.ones(2)))
    >>> print(stepped(opt_state), stepped(sgd(1.0).init(jnp.ones(2))))
    False None
    """
    nodes = [node for node in jax.tree.leaves(opt_state, is_leaf=_knows) if _knows(node)]
    return all_stepped(*(node.mini_step == 0 if hasattr(node, "mini_step") else node.stepped for node in nodes))


def all_stepped(*said: jax.Array | None) -> jax.Array | None:
    """Whether all those that can wait made a step; ``None`` if none of them can wait."""
    found = [each for each in said if each is not None]
    return jnp.stack(found).all(0) if found else None


def where_stepped(real: jax.Array | None, new: Any, old: Any) -> Any:
    """``new`` after a step, or if nothing ever waits; else ``old``."""
    return new if real is None else jax.tree.map(lambda one, other: jnp.where(real, one, other), new, old)


def or_wait(real: jax.Array, run: Callable[[], tuple[Any, Any]], state: Any) -> tuple[Any, Any]:
    """``(updates, state)`` of ``run`` after a step, else updates of 0 and the state as it was."""
    updates = jax.eval_shape(run)[0]

    def wait() -> tuple[Any, Any]:
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), updates), state

    return jax.lax.cond(real, run, wait)


def as_one_batch(opt_state: Any, grads: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """The extras of all accumulated batches and the current one as one batch, for the transformations that follow.

    ``opt_state`` is the accumulating state before the call. If there are several, in groups say, the extras are those
    of the current batch.
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=_holds_batches)
    held = [node for node in nodes if _holds_batches(node)]
    if len(held) != 1 or jax.tree.structure(held[0].mean) != jax.tree.structure(grads):
        return extra
    return held[0].with_batch(grads, extra)[1]


def _knows(node: Any) -> bool:
    return hasattr(node, "stepped") or hasattr(node, "mini_step")  # optax.MultiSteps, 0 again after a step


def _holds_batches(node: Any) -> bool:
    return hasattr(node, "with_batch")
