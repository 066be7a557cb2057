"""One training step, one epoch, one evaluation: the pure functions that ``make_train`` and ``fit`` are made of."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.augment.compose import check_augmentation
from fnn.augment.mixed_targets import check_mixed_targets
from fnn.augment.mixing import augmented, mixes
from fnn.errors import tuple_of
from fnn.layer import Params, State, named_key
from fnn.metrics import Metric, ratio
from fnn.objective import Method, Objective, unpacked
from fnn.optim.nonfinite import accepted
from fnn.optim.transform import apply_updates, expect_optimizer, update
from fnn.train.data import Plan, take
from fnn.train.loops import checkpointed_scan
from fnn.values import Value

Augment = Callable[[jax.Array, Any], Any]
"""``augment(key, inputs) -> inputs``: a random change of a batch of training inputs that keeps their shapes.

One whose attribute ``mixes`` is true (``fnn.augment.Mixup``) changes targets too: ``augment(key, batch) -> batch``.
"""

Totals = dict[str, Any]
"""The sums behind the loss and the metrics, by name; they add up over batches."""


class Learned(NamedTuple):
    """What training changes."""

    params: Params
    state: State
    opt_state: Any


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Training(Value):
    """What stays the same over a run, with the pure functions that run it."""

    objective: Objective
    optimizer: Any
    metrics: Sequence[Metric] = ()
    augment: Augment | None = None
    method: Method = "manual"
    shuffle: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.objective, Objective):
            raise TypeError(f"expected an Objective(model, loss), got {self.objective!r}")
        expect_optimizer("training", self.optimizer)
        object.__setattr__(self, "metrics", tuple_of(Metric, "metrics", self.metrics))
        if self.augment is not None:
            check_augmentation(self.augment)
        names = ["loss", *(metric.name for metric in self.metrics)]
        if len(set(names)) < len(names) or any(name.startswith("validation_") for name in names):
            raise ValueError(f"the entries of a history need different names, not beginning with validation_: {names}")

    def init(self, key: jax.Array, inputs: Any) -> tuple[Params, State]:
        """Initial parameters and state."""
        return self.objective.init(named_key(key, "init"), inputs)

    def start(self, key: jax.Array, inputs: Any) -> Learned:
        """Initial parameters, state and optimiser state."""
        params, state = self.init(key, inputs)
        return Learned(params, state, self.optimizer.init(params))

    def step(self, learned: Learned, batch: tuple, key: jax.Array) -> tuple[Learned, Totals]:
        """One update on one batch."""
        if self.augment is not None:
            batch = augmented(self.augment, named_key(key, "augment"), batch)
        _, targets, weights = unpacked(batch)
        model_key = named_key(key, "model")

        def value_fn(params: Params) -> jax.Array:
            return self.objective(params, learned.state, batch, train=True, key=model_key)[0]

        (value, aux), grads = self.objective.value_and_grad(
            learned.params, learned.state, batch, key=model_key, train=True, method=self.method
        )
        weight = self.objective.loss.weight(aux.outputs, targets, weights)
        extra = {"value": value, "grad": grads, "weight": weight, "value_fn": value_fn}
        if mixes(self.augment):
            check_mixed_targets(self.metrics, self.objective.loss.predictions(aux.outputs), targets)
        updates, opt_state = update(self.optimizer, grads, learned.opt_state, learned.params, **extra)
        params = apply_updates(learned.params, updates)
        totals, state = self._totals(value, weight, aux.outputs, targets, weights), aux.state
        good = accepted(opt_state)
        if good is not None:  # a step that was left out leaves no trace: neither in batch statistics nor in the loss
            state = jax.tree.map(lambda new, old: jnp.where(good, new, old), state, learned.state)
            totals = jax.tree.map(lambda total: jnp.where(good, total, jnp.zeros_like(total)), totals)
        return Learned(params, state, opt_state), totals

    def order(self, key: jax.Array, samples: int) -> jax.Array:
        """The order in which an epoch sees the samples."""
        return jax.random.permutation(named_key(key, "order"), samples) if self.shuffle else jnp.arange(samples)

    def steps(
        self, learned: Learned, totals: Totals, data: tuple, order: jax.Array, plan: Plan, key: jax.Array, limits: tuple
    ) -> tuple[Learned, Totals]:
        """The full-sized steps from ``limits[0]`` up to ``limits[1]`` (which may be traced) of an epoch."""

        def body(index: jax.Array, carry: tuple[Learned, Totals]) -> tuple[Learned, Totals]:
            return self.full_step(index, carry, data, order, plan, key)

        return jax.lax.fori_loop(limits[0], limits[1], body, (learned, totals))

    def full_step(
        self, index: Any, carry: tuple[Learned, Totals], data: tuple, order: jax.Array, plan: Plan, key: jax.Array
    ) -> tuple[Learned, Totals]:
        """The full-sized step of that index in an epoch."""
        learned, totals = carry
        chosen = jax.lax.dynamic_slice_in_dim(order, index * plan.size, plan.size)
        learned, more = self.step(learned, take(data, chosen), jax.random.fold_in(key, index))
        return learned, add(totals, more)

    def rest(
        self, learned: Learned, totals: Totals, data: tuple, order: jax.Array, plan: Plan, key: jax.Array
    ) -> tuple[Learned, Totals]:
        """The last step of an epoch, on what is left."""
        learned, more = self.step(
            learned, take(data, order[plan.size * plan.steps :]), jax.random.fold_in(key, plan.steps)
        )
        return learned, add(totals, more)

    def epoch(
        self, learned: Learned, data: tuple, plan: Plan, key: jax.Array, stop: Any = None, chunk: int | None = None
    ) -> tuple[Learned, dict[str, jax.Array]]:
        """The steps of an epoch, and the loss and metrics over them.

        ``stop``: only so many of them; it may be traced. ``chunk``: in chunks of so many, of which a gradient stores
        only the beginnings; ``stop`` is then a number.
        """
        order, totals = self.order(key, plan.size * plan.steps + plan.rest), self.no_totals(learned, data)
        carry, stop = (learned, totals), plan.count if stop is None else stop
        full = min(stop, plan.steps) if isinstance(stop, int) else jnp.minimum(stop, plan.steps)
        if chunk and isinstance(full, int):
            carry, _ = checkpointed_scan(
                lambda carry, index: (self.full_step(index, carry, data, order, plan, key), None), carry, full, chunk
            )
        elif plan.steps:
            carry = self.steps(*carry, data, order, plan, key, (0, full))

        def rest(carry: tuple[Learned, Totals]) -> tuple[Learned, Totals]:
            return self.rest(*carry, data, order, plan, key)

        if plan.rest and isinstance(stop, int):
            carry = rest(carry) if stop > plan.steps else carry
        elif plan.rest:
            carry = jax.lax.cond(stop > plan.steps, rest, lambda carry: carry, carry)
        learned, totals = carry
        return learned, self.values(totals)

    def evaluate(self, learned: Learned, data: tuple, plan: Plan) -> dict[str, jax.Array]:
        """The loss and metrics in inference, batch by batch."""
        # Where a run is differentiated, the activations of no batch are kept; elsewhere this does nothing.
        judged = jax.checkpoint(self.judged)
        totals, full = self.no_totals(learned, data), plan.size * plan.steps
        if plan.steps:
            batches = jax.tree.map(lambda leaf: leaf[:full].reshape(plan.steps, plan.size, *leaf.shape[1:]), data)
            totals, _ = jax.lax.scan(lambda totals, batch: (add(totals, judged(learned, batch)), None), totals, batches)
        if plan.rest:
            totals = add(totals, judged(learned, jax.tree.map(lambda leaf: leaf[full:], data)))
        return self.values(totals)

    def judged(self, learned: Learned, batch: tuple) -> Totals:
        """The totals of one batch in inference."""
        _, targets, weights = unpacked(batch)
        value, aux = self.objective(learned.params, learned.state, batch)
        weight = self.objective.loss.weight(aux.outputs, targets, weights)
        return self._totals(value, weight, aux.outputs, targets, weights)

    def no_totals(self, learned: Learned, data: tuple) -> Totals:
        """Totals of nothing, to add to."""
        shapes = jax.eval_shape(self.judged, learned, jax.tree.map(lambda leaf: leaf[:1], data))
        return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def values(self, totals: Totals) -> dict[str, jax.Array]:
        """The loss and the metrics from their totals, by name."""
        values = {"loss": ratio(totals["loss"]["sum"], totals["loss"]["weight"])}
        return values | {metric.name: metric.value(totals[metric.name]) for metric in self.metrics}

    def names(self, *, validation: bool) -> list[str]:
        """The names in the history, in order."""
        names = ["loss", *(metric.name for metric in self.metrics)]
        return names + [f"validation_{name}" for name in names] * validation

    def _totals(self, value: jax.Array, weight: jax.Array, outputs: Any, targets: Any, weights: Any) -> Totals:
        weight = weight.astype(value.dtype)
        # A batch of weight 0 counts nothing, whatever its value.
        totals: Totals = {"loss": {"sum": jnp.where(weight == 0, 0, value * weight), "weight": weight}}
        if self.metrics:
            outputs = self.objective.loss.predictions(outputs)
        return totals | {metric.name: metric.update(outputs, targets, weights) for metric in self.metrics}


def add(totals: Totals, more: Totals) -> Totals:
    """The totals of both."""
    return jax.tree.map(jnp.add, totals, more)


def with_validation(values: dict[str, Any], validation: dict[str, Any]) -> dict[str, Any]:
    """One entry of the history from the values of training and of validation."""
    return values | {f"validation_{name}": value for name, value in validation.items()}
