"""How the epochs of a run follow one another: until early stopping says so, or such that they can be differentiated."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.train.data import Length, Plan
from fnn.train.early_stopping import EarlyStopping, Watch

Values = dict[str, jax.Array]


def until_stopped(
    one_epoch: Callable[[jax.Array, Any], tuple[Any, Values]],
    learned: Any,
    *,
    epochs: int,
    names: list[str],
    early_stopping: EarlyStopping | None,
    sign: int = -1,
    judged: Callable[[jax.Array], jax.Array] | None = None,
) -> tuple[Any, Values, jax.Array]:
    """``(learned, history, epochs_run)`` of at most ``epochs`` epochs, in a loop that ends where early stopping does.

    ``judged(epoch)`` says whether early stopping looks at an epoch; ``None``: at every one.
    """
    shapes = jax.eval_shape(lambda learned: one_epoch(jnp.array(0), learned)[1], learned)
    history = {name: missing((epochs, *shapes[name].shape), shapes[name].dtype) for name in names}
    watch = None if early_stopping is None else early_stopping.start(learned)

    def goes_on(carry: tuple) -> jax.Array:
        epoch, _, _, watch = carry
        more = epoch < epochs
        return more if early_stopping is None else more & ~early_stopping.stops(watch)

    def body(carry: tuple) -> tuple:
        epoch, learned, history, watch = carry
        learned, values = one_epoch(epoch, learned)
        history = {name: history[name].at[epoch].set(values[name]) for name in names}
        if early_stopping is not None:
            update, monitored = early_stopping.update, values[early_stopping.monitor]

            def look(watch: Watch) -> Watch:
                return update(watch, monitored, learned, sign)

            watch = look(watch) if judged is None else jax.lax.cond(judged(epoch), look, lambda watch: watch, watch)
        return epoch + 1, learned, history, watch

    start = jnp.array(0, jnp.int32), learned, history, watch
    epoch, learned, history, watch = jax.lax.while_loop(goes_on, body, start)
    if early_stopping is not None and watch is not None:
        learned = early_stopping.result(watch, learned)
    return learned, history, epoch


def in_chunks(
    one_epoch: Callable[..., tuple[Any, Values]], learned: Any, length: Length, plan: Plan, chunk: int
) -> tuple[Any, Values, jax.Array]:
    """``(learned, history, epochs_run)`` by scans over checkpointed chunks of ``chunk`` steps: a gradient can go back.

    Several short epochs make one chunk; in an epoch longer than a chunk, ``one_epoch(epoch, learned, stop, chunk)``
    makes chunks of its own, and the epoch is computed again too.
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
    """``jax.lax.scan(body, carry, arange(length))``; a gradient stores the carry of every ``chunk``-th turn.

    What lies between is computed again, chunk by chunk (``jax.checkpoint``).
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


def missing(shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """The entries of an epoch that was not run or not validated: NaN; -1 where they are integers, which have no NaN."""
    return jnp.full(shape, jnp.nan if jnp.issubdtype(dtype, jnp.inexact) else -1).astype(dtype)
