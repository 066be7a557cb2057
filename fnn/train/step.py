"""One training step, and the steps of an epoch: the pure functions behind ``make_train`` and ``fit``."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.augment.mixed_targets import check_mixed_targets
from fnn.augment.mixing import augmented, mixes
from fnn.combinators.frozen import frozen_layers
from fnn.errors import returned, tuple_of
from fnn.layer import Params, State, named_key
from fnn.metrics import Metric
from fnn.metrics.sums import added, running, whole
from fnn.objective import Aux, Method, Objective, unpacked
from fnn.optim.declared import rules_of
from fnn.optim.nonfinite import accepted
from fnn.optim.transform import apply_updates, expect_optimizer, update
from fnn.paths import lies_in, map_named
from fnn.rules.examples import of_logits
from fnn.rules.reports import with_reports
from fnn.train.data import Batches, Length
from fnn.train.in_backward import check_in_backward, step_in_backward
from fnn.train.poisson import Poisson
from fnn.train.privacy import Privacy
from fnn.train.privacy_checks import check_readers
from fnn.train.scoring import Scoring, Totals, check_names
from fnn.train.settings import check_settings, check_state
from fnn.values import Value

Augment = Callable[[jax.Array, Any], Any]
"""``augment(key, inputs) -> inputs``: a random change of a batch of training inputs that keeps their shapes.

If its attribute ``mixes`` is true (``fnn.augment.Mixup``), it changes targets too: ``augment(key, batch) -> batch``.
"""


class Learned(NamedTuple):
    """What training changes: parameters, state and optimiser state."""

    params: Params
    state: State
    opt_state: Any


class Found(NamedTuple):
    """What the backward pass of a batch gives: an objective that fits ``aux``, and the extras for the optimiser."""

    objective: Objective
    value: jax.Array
    aux: Aux
    grads: Params
    extra: dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Training(Value):
    """The settings of a run that never change, with the pure functions that run it."""

    objective: Objective
    optimizer: Any
    metrics: Sequence[Metric] = ()
    augment: Augment | None = None
    method: Method = "manual"
    shuffle: bool = True
    evaluate_averaged: bool = True
    update_in_backward: bool = False
    privacy: Privacy | None = None
    sampling: Poisson | None = None
    """How batches are drawn, with ``privacy``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple_of(Metric, "metrics", self.metrics))
        check_names(self.names(validation=False))
        expect_optimizer("training", self.optimizer)
        check_settings(self.augment, self.method, self.shuffle, self.evaluate_averaged, self.update_in_backward)
        if (self.privacy is None) != (self.sampling is None):
            raise ValueError("a private run has both a privacy and the sampling that it accounts for")
        check_readers(self.privacy, self.optimizer, self.metrics, self.objective.loss)
        if self.update_in_backward:
            check_in_backward(self.objective, self.optimizer, self.method, private=self.privacy is not None)

    @property
    def scoring(self) -> Scoring:
        """The loss and the metrics of outputs, which are also validated."""
        return Scoring(self.objective, [metric for metric in self.metrics if not metric.of_gradients])

    @property
    def of_gradients(self) -> list[Any]:
        """The metrics that a training step alone can measure."""
        return [metric for metric in self.metrics if metric.of_gradients]

    @property
    def measured(self) -> Sequence[Metric]:
        """The metrics that see the training targets as given; none if the targets are mixed first."""
        return () if mixes(self.augment) else self.scoring.metrics

    def init(self, key: jax.Array, inputs: Any) -> tuple[Params, State]:
        """Initial parameters and state."""
        if self.privacy is not None:  # a layer of your own may read values
            inputs = jax.eval_shape(lambda inputs: inputs, inputs)
        return self.objective.init(named_key(key, "init"), inputs)

    def start(self, key: jax.Array, inputs: Any, params: Any = None, state: Any = None) -> Learned:
        """Parameters and state, initial ones if none are given, and the initial optimiser state."""
        if params is None:
            params, state = self.init(key, inputs)
        return Learned(params, state, self.optimizer.init(params))

    def spent(self, epochs: int) -> dict[str, float]:
        """What those epochs have spent of the privacy budget, for the history."""
        if self.privacy is None or self.sampling is None:
            return {}
        return {"epsilon": self.privacy.spent(self.sampling, Length(epochs))[-1]}

    def order(self, key: jax.Array, samples: int) -> jax.Array:
        """The order of the samples in an epoch."""
        return jax.random.permutation(named_key(key, "order"), samples) if self.shuffle else jnp.arange(samples)

    def augmented(self, batch: tuple, key: jax.Array) -> tuple:
        """The batch as training sees it."""
        return batch if self.augment is None else augmented(self.augment, named_key(key, "augment"), batch)

    def step(self, learned: Learned, batch: tuple, key: jax.Array) -> tuple[Learned, Totals]:
        """One update on one batch."""
        batch = self.augmented(batch, key)
        _, targets, weights = unpacked(batch)
        if self.update_in_backward:
            return self._step_in_backward(learned, batch, key)
        found = self.gradients(learned, batch, key)
        value, aux, grads = found.value, found.aux, found.grads
        weight = found.objective.loss.weight(aux.outputs, targets, weights)
        extra = {"weight": weight, **found.extra}
        self._check_mixed(aux.outputs, targets, weights)
        made = update(self.optimizer, grads, learned.opt_state, learned.params, **extra)
        updates, opt_state = returned(self.optimizer, "update", "(updates, opt_state)", made)
        if frozen := frozen_layers(self.objective.model):  # even with weight decay and penalties
            updates = map_named(lambda path, u: jnp.zeros_like(u) if lies_in(path, frozen) else u, updates)
        params = apply_updates(learned.params, updates)
        scoring = Scoring(found.objective, self.scoring.metrics)
        totals, state = scoring.totals(value, weight, aux.outputs, targets, weights), aux.state
        totals |= self._measured(learned, batch, key)
        check_state(state, learned.state)
        good = accepted(opt_state)
        if good is not None:  # a skipped step changes neither the batch statistics nor the loss
            state = jax.tree.map(lambda new, old: jnp.where(good, new, old), state, learned.state)
            totals = jax.tree.map(lambda total: jnp.where(good, total, jnp.zeros_like(total)), totals)
        return Learned(params, state, opt_state), totals

    def _check_mixed(self, outputs: Any, targets: Any, weights: Any) -> None:
        """Raises for a metric that cannot use mixed targets."""
        if mixes(self.augment):
            prediction = self.objective.loss.over_steps(outputs, targets, weights).prediction
            check_mixed_targets(self.metrics, self.objective.loss.predictions(prediction), targets)

    def _measured(self, learned: Learned, batch: tuple, key: jax.Array) -> Totals:
        """The sums of the metrics of gradients."""
        at = self.objective, learned.params, learned.state, batch, named_key(key, "model")
        return {metric.name: running(metric.measure(*at)) for metric in self.of_gradients}

    def gradients(self, learned: Learned, batch: tuple, key: jax.Array) -> "Found":
        """What the backward pass of one batch gives."""
        params, state, _ = learned
        model_key = named_key(key, "model")
        if self.privacy is None or self.sampling is None:

            def value_fn(params: Params) -> jax.Array:
                return self.objective(params, state, batch, train=True, key=model_key)[0]

            reports: dict[Any, Any] = {}
            options: Any = {"key": model_key, "train": True, "method": self.method}
            if rules := rules_of(self.optimizer):
                options["report_key"] = named_key(key, "reports")
                (value, aux), grads, reports = with_reports(self.objective, rules, params, state, batch, **options)
            else:
                (value, aux), grads = self.objective.value_and_grad(params, state, batch, **options)
            extra = {"value": value, "grad": grads, "value_fn": value_fn} | ({"reports": reports} if reports else {})
            return Found(self.objective, value, aux, grads, extra)
        objective, expected = of_logits(self.objective), self.sampling.expected
        (value, aux), grads = self.privacy.gradients(
            objective, params, state, batch, expected=expected, key=model_key, noise_key=named_key(key, "privacy")
        )
        # The optimiser sees nothing of the data but the private gradient.
        return Found(objective, value, aux, grads, {"grad": grads, "weight": jnp.asarray(expected, value.dtype)})

    def _step_in_backward(self, learned: Learned, batch: tuple, key: jax.Array) -> tuple[Learned, Totals]:
        """The same update, layer by layer within the backward pass; the optimiser skips no step."""
        _, targets, weights = unpacked(batch)
        value, aux, params, opt_state = step_in_backward(
            self.objective,
            self.optimizer,
            learned.params,
            learned.opt_state,
            learned.state,
            batch,
            named_key(key, "model"),
        )
        weight = self.objective.loss.weight(aux.outputs, targets, weights)
        self._check_mixed(aux.outputs, targets, weights)
        check_state(aux.state, learned.state)
        totals = self.scoring.totals(value, weight, aux.outputs, targets, weights) | self._measured(learned, batch, key)
        return Learned(params, aux.state, opt_state), totals

    def numbered(
        self, learned: Learned, totals: Totals, batches: Batches, key: jax.Array, step: Any
    ) -> tuple[Learned, Totals]:
        """The step with this number in the epoch with this key; adds its totals to the given ones."""
        learned, more = self.step(learned, batches.of(step), jax.random.fold_in(key, step))
        return learned, self.merged(totals, more)

    def none(self, params: Params, state: State, data: tuple) -> Totals:
        """Empty totals, to add to."""
        return self.scoring.none(params, state, data) | {each.name: running(each.none()) for each in self.of_gradients}

    def merged(self, totals: Totals, more: Totals) -> Totals:
        """The totals of both together."""
        own = {each.name: added(totals[each.name], more[each.name]) for each in self.of_gradients}
        return self.scoring.merged({name: totals[name] for name in totals if name not in own}, more) | own

    def values(self, totals: Totals) -> dict[str, jax.Array]:
        """The loss and all metrics by name, from their totals."""
        own = {each.name: each.value(whole(totals[each.name])) for each in self.of_gradients}
        return self.scoring.values(totals) | own

    def names(self, *, validation: bool) -> list[str]:
        """The names in the history, in order."""
        own = [each.name for each in self.of_gradients] + ["epsilon"] * (self.privacy is not None)
        return self.scoring.names(validation=validation) + own

    def steps(
        self, learned: Learned, totals: Totals, batches: Batches, key: jax.Array, start: Any, stop: Any
    ) -> tuple[Learned, Totals]:
        """The steps of an epoch from ``start`` up to ``stop``, which may be traced."""

        def body(step: jax.Array, carry: tuple[Learned, Totals]) -> tuple[Learned, Totals]:
            return self.numbered(*carry, batches, key, step)

        return jax.lax.fori_loop(start, stop, body, (learned, totals))
