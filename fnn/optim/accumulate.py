"""Micro-batches: gradients summed over several batches before one update."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.optim.accumulators import check_gradients, increment, zero_count, zeros_like
from fnn.optim.magnitudes import without_zero
from fnn.optim.nonfinite import refuse_inner_skips
from fnn.optim.transform import Optimizer, apply_updates, constructor, expect_optimizer, update
from fnn.optim.waiting import stepped


class AccumulateState(NamedTuple):
    """State of ``accumulate``: means over the micro-batches since the last update, and the optimiser's own state.

    ``weight`` is the sum of their weights; ``stepped`` says whether the last call was an update.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    stepped: jax.Array
    weight: jax.Array
    mean_value: jax.Array
    mean: Any
    inner: Any

    ranges = MappingProxyType({})

    def with_batch(self, grads: Any, extra: dict[str, Any]) -> tuple[jax.Array, dict[str, Any]]:
        """The total weight including one more batch, and the extras of all these batches as one."""
        a = jnp.asarray(extra.get("weight", 1.0)).astype(self.weight.dtype)
        weight = self.weight + a
        mean = jax.tree.map(lambda m, g: _mean(m, self.weight, g.astype(m.dtype), a), self.mean, grads)
        own = {"weight": weight, "grad": mean}
        if "value" in extra:
            value = jnp.asarray(extra["value"]).astype(self.mean_value.dtype)
            own["value"] = _mean(self.mean_value, self.weight, value, a)
        # value_fn belongs to one batch and is left out: a line search that needs it raises.
        return weight, {name: given for name, given in extra.items() if name != "value_fn"} | own


@constructor
def accumulate(optimizer: Any, steps: int) -> Optimizer:
    """One update of the optimiser for every ``steps`` batches, with the gradient of all of them as one batch.

        G ← (A G + a g) / (A + a),  A ← A + a     a: weight, the sum of the batch's weights, 1 if none is passed
        every ``steps`` calls: the update for the gradient G, then G = A = 0; in between an update of 0

    Weighting makes it exact for batches of different sizes and weights; a mean of means is not (for 1, 2 and 3 in
    batches of two and one it is 2.25, not 2). The optimiser gets ``value`` as the same weighted mean. Training passes
    both; ``value_fn``, which belongs to one batch, is left out. If A is 0 the gradient is 0. Models with batch
    statistics are the exception: their statistics are those of each micro-batch. A call counts as a step for ``count``
    here, but not for the optimiser and its schedules, nor for later transformations in a ``chain``: these wait, and get
    the extras of all the batches. With ``last=True``, which a run passes at its end, the waiting gradients are applied
    even if they come from fewer than ``steps`` batches, and accumulation starts again.

    Raises ``ValueError`` for ``steps`` below 1 and for a ``skip_nonfinite`` inside, ``TypeError`` if not an
    optimiser or no integer.

    >>> from fnn.optim import sgd
    >>> optimizer = accumulate(sgd(1.0), 2)
    >>> opt_state = optimizer.init(jnp.zeros(()))
    >>> for gradient, weight in ((1.5, 2.0), (3.0, 1.0)):  # the means of (1, 2) and of (3,)
    ...     updates, opt_state = optimizer.update(jnp.array(gradient), opt_state, weight=jnp.array(weight))
    ...     print(updates)
    0.0
    -2.0
    """
    expect_optimizer("accumulate", optimizer)
    positive("steps", steps)

    def init(params: Any) -> AccumulateState:
        inner = optimizer.init(params)
        refuse_inner_skips(inner, "accumulate")
        start = jnp.zeros((), bool), jnp.zeros(()), jnp.zeros(()), zeros_like(params)
        return AccumulateState(zero_count(), {}, *start, inner)

    def accumulate_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, AccumulateState]:
        grads, like = check_gradients(grads, params, state.mean)
        weight, whole = state.with_batch(grads, extra)
        last, count = bool(extra.get("last", False)), increment(state.count)
        full = (count % steps == 0) | last
        if last:
            count = count + (-count) % steps
        mean = jax.tree.map(lambda mean, like: mean.astype(like.dtype), whole["grad"], like)

        def apply() -> tuple[Any, Any]:
            return update(optimizer, mean, state.inner, params, **{**whole, "grad": mean})

        def wait() -> tuple[Any, Any]:
            return jax.tree.map(jnp.zeros_like, like), state.inner

        updates, inner = jax.lax.cond(full, apply, wait)
        waiting = weight, whole.get("value", state.mean_value), whole["grad"]
        weight, value, mean = jax.tree.map(lambda leaf: jnp.where(full, 0, leaf), waiting)
        inside = stepped(inner)
        real = full if inside is None else full & inside
        return updates, AccumulateState(count, {}, real, weight, value, mean, inner)

    return Optimizer(init, accumulate_update)


def _mean(mean: jax.Array, weight: jax.Array, x: jax.Array, a: jax.Array) -> jax.Array:
    """(weight · mean + a x) / (weight + a), without overflow in its terms; 0 if both weights are 0."""
    total = weight + a
    power = jnp.ldexp(jnp.ones((), total.dtype), jnp.frexp(total)[1])
    weight, a, total = ((each / power).astype(mean.dtype) for each in (weight, a, total))
    # A batch of weight 0 adds nothing, even if its gradient is not finite.
    return (weight * mean + jnp.where(a == 0, 0, a * x)) / without_zero(total)


def with_remainder(optimizer: Any, opt_state: Any, params: Any, wanted: Any = True) -> tuple[Any, Any]:
    """``(params, opt_state)`` after one more update for the waiting micro-batches, if ``wanted``.

    It is the update for a batch of weight 0, which adds nothing. In ``groups`` only those that accumulate make it.
    """
    waiting = accumulating(opt_state)
    if not waiting:
        return params, opt_state
    weight = jnp.stack([state.weight for state in waiting])

    def apply() -> tuple[Any, Any]:
        nothing = jax.tree.map(jnp.zeros_like, params)
        extra = {"value": waiting[0].mean_value, "grad": nothing, "weight": jnp.zeros(()), "last": True}
        updates, after = update(optimizer, nothing, opt_state, params, **extra)
        return apply_updates(params, updates), after

    return jax.lax.cond((weight > 0).any() & wanted, apply, lambda: (params, opt_state))


def accumulating(opt_state: Any) -> list[AccumulateState]:
    """The states of ``accumulate`` in an optimiser state."""
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda node: isinstance(node, AccumulateState))
    return [node for node in nodes if isinstance(node, AccumulateState)]
