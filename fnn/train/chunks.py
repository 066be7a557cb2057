"""Epochs in checkpointed chunks of steps, so that a whole run can be differentiated in little memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.train.data import Length, Plan

Values = dict[str, jax.Array]


def in_chunks(
    one_epoch: Callable[..., tuple[Any, Values]], learned: Any, length: Length, plan: Plan, chunk: int
) -> tuple[Any, Values, jax.Array]:
    """``(learned, history, epochs_run)`` by scans over checkpointed chunks of ``chunk`` steps, in reverse mode too.

    Several short epochs make one chunk; an epoch longer than a chunk is split into chunks by ``one_epoch(epoch,
    learned, stop, chunk)``, and recomputed as well.
    """
    inner = chunk if plan.steps > chunk else None
    whole, parts = length.epochs - (length.last is not None), []
    if whole:
        learned, history = checkpointed_scan(
            lambda learned, epoch: one_epoch(epoch, learned, None, inner), learned, whole, max(1, chunk // plan.count)
        )
        parts.append(history)
    if length.last is not None:
        last = jax.checkpoint(one_epoch, static_argnums=(2, 3))
        learned, values = last(jnp.array(whole, jnp.int32), learned, length.last, inner)
        parts.append(jax.tree.map(lambda value: value[None], values))
    return learned, joined(parts), jnp.array(length.epochs, jnp.int32)


def checkpointed_scan(
    body: Callable[[Any, jax.Array], tuple[Any, Any]], carry: Any, length: int, chunk: int
) -> tuple[Any, Any]:
    """``jax.lax.scan(body, carry, arange(length))``; a gradient stores the carry of every ``chunk``-th iteration.

    The backward pass recomputes the iterations in between, chunk by chunk (``jax.checkpoint``).
    """

    def some(carry: Any, start: jax.Array, count: int) -> tuple[Any, Any]:
        return jax.lax.scan(body, carry, start + jnp.arange(count, dtype=jnp.int32))

    again = jax.checkpoint(some, static_argnums=2)
    whole, rest = divmod(length, chunk)
    parts = []
    if whole:
        starts = chunk * jnp.arange(whole, dtype=jnp.int32)
        carry, stacked = jax.lax.scan(lambda carry, start: again(carry, start, chunk), carry, starts)
        parts.append(jax.tree.map(lambda leaf: leaf.reshape(whole * chunk, *leaf.shape[2:]), stacked))
    if rest:
        carry, last = again(carry, jnp.array(whole * chunk, jnp.int32), rest)
        parts.append(last)
    return carry, joined(parts)


def joined(parts: list[Any]) -> Any:
    """The parts of a history, one after another."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
