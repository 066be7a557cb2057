"""The loss and the metrics of a model at inference: what needs an objective but no optimiser."""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import tuple_of
from fnn.layer import Params, State
from fnn.losses.steps import as_samples
from fnn.metrics import Metric, ratio
from fnn.metrics.of import measure_of
from fnn.metrics.sums import added, running, whole
from fnn.objective import Objective, unpacked
from fnn.train.data import Batches, Stretch
from fnn.values import Value

Totals = dict[str, Any]
"""The sums behind the loss and the metrics, by name; ``Scoring.merged`` adds them up over batches.

They are running sums (``fnn.metrics.sums``), so that a total over 10⁶ batches keeps all its digits.
"""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Scoring(Value):
    """The loss and metrics to report, with the pure functions that compute them."""

    objective: Objective
    metrics: Sequence[Metric] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.objective, Objective):
            raise TypeError(f"expected an Objective(model, loss), got {self.objective!r}")
        object.__setattr__(self, "metrics", tuple_of(Metric, "metrics", self.metrics))
        check_names(self.names(validation=False))

    def names(self, *, validation: bool) -> list[str]:
        """The names in the history, in order."""
        names = ["loss", *(metric.name for metric in self.metrics)]
        return names + [f"validation_{name}" for name in names] * validation

    def totals(self, value: jax.Array, weight: jax.Array, outputs: Any, targets: Any, weights: Any) -> Totals:
        """The totals of one batch, from the value and the weight of its loss."""
        weight = weight.astype(value.dtype)
        # A batch of weight 0 adds nothing, even if its value is not finite.
        loss: Totals = {"sum": jnp.where(weight == 0, 0, value * weight), "weight": weight}
        for name, each in self.objective.loss.components(outputs, targets, weights).items():
            strength, part, own = map(partial(jnp.asarray, dtype=value.dtype), each)
            loss.setdefault("components", {})[name] = {
                "sum": jnp.where(own == 0, 0, part * own),
                "weight": own,
                "counted": jnp.where(weight == 0, 0, part * weight),
                "strength": jnp.where(own == 0, 0, strength * own),
            }
        totals: Totals = {"loss": running(loss)}
        if self.metrics:
            steps = self.objective.loss.over_steps(outputs, targets, weights)
            steps = steps._replace(prediction=self.objective.loss.predictions(steps.prediction))
            outputs, targets, weights, _ = as_samples(steps)
        for metric in self.metrics:
            sums = metric.update(outputs, targets, weights)
            totals[metric.name] = running(sums) if _adds_up(metric) else sums
        return totals

    def merged(self, totals: Totals, more: Totals) -> Totals:
        """The totals of both together."""
        merges = {metric.name: metric.merge for metric in self.metrics}
        return {name: merges.get(name, added)(sums, more[name]) for name, sums in totals.items()}

    def judged(self, params: Params, state: State, batch: tuple) -> Totals:
        """The totals of one batch at inference."""
        _, targets, weights = unpacked(batch)
        value, aux = self.objective(params, state, batch)
        weight = self.objective.loss.weight(aux.outputs, targets, weights)
        return self.totals(value, weight, aux.outputs, targets, weights)

    def none(self, params: Params, state: State, data: tuple) -> Totals:
        """Empty totals, to add to."""
        return zeros(jax.eval_shape(self.judged, params, state, jax.tree.map(lambda leaf: leaf[:1], data)))

    def scores(self, totals: Totals, params: Params, state: State, batches: Batches, start: Any, stop: Any) -> Totals:
        """Adds the totals of the batches from ``start`` up to ``stop``, which may be traced."""
        # When a run is differentiated, this keeps no activations of a batch; otherwise it does nothing.
        judged = jax.checkpoint(self.judged)

        def body(step: jax.Array, totals: Totals) -> Totals:
            return self.merged(totals, judged(params, state, batches.of(step)))

        return jax.lax.fori_loop(start, stop, body, totals)

    def values(self, totals: Totals) -> dict[str, jax.Array]:
        """The loss and the metrics by name, from their totals."""
        values = {"loss": mean_of(loss_of(totals))}
        for metric in self.metrics:
            sums = totals[metric.name]
            values[metric.name] = metric.value(whole(sums) if _adds_up(metric) else sums)
        return values

    def evaluate(self, params: Params, state: State, stretches: Iterable[Stretch]) -> dict[str, jax.Array]:
        """The loss and the metrics over an epoch of batches, inside a program."""
        totals = None
        for batches, start, stop in stretches:
            totals = self.none(params, state, batches.data) if totals is None else totals
            totals = self.scores(totals, params, state, batches, start, stop)
        return self.values(totals or {})


def check_names(names: list[str]) -> None:
    """Raises if two entries of the history have one name, or one that a validation entry could have."""
    if len(set(names)) < len(names) or any(name.startswith("validation_") for name in names):
        raise ValueError(f"history entries need different names that do not begin with validation_, got {names}")


def loss_of(totals: Totals) -> Any:
    """The running sum of the loss, ``sum``, and its ``weight``."""
    return whole(totals["loss"])


def mean_of(loss: Any) -> jax.Array:
    """The mean loss over all batches, of its totals.

    Σ a_i L_i of several losses is put right for each, whose mean goes by weights of its own: the a_i L_i that the
    batches' weights gave are taken out, and those that its own weights give put in. The same weights change nothing.
    """
    mean = ratio(loss["sum"], loss["weight"])
    for each in loss.get("components", {}).values():
        own = each["weight"]
        none: Any = jnp.where(own == 0, 1, own)
        right = each["strength"] / none * (each["sum"] / none - ratio(each["counted"], loss["weight"]))
        change: Any = jnp.where(jnp.isfinite(right), right, 0)  # else it does not count, or the mean is not finite
        mean = mean + change
    return mean


def _adds_up(metric: Metric) -> bool:
    """Whether the sums of a metric are merged by adding them leaf by leaf."""
    return type(measure_of(metric)).merge is Metric.merge


def zeros(shapes: Any) -> Any:
    """Zeros of these shapes and dtypes."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
