"""A metric of one of several outputs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax

from fnn.errors import describe, instance_hint
from fnn.losses.steps import as_samples, parted, steps_of
from fnn.metrics.metric import Metric


@dataclasses.dataclass(frozen=True)
class Of(Metric):
    """A metric of one output, by its name, of a model with several: ``Of("kind", Accuracy())``.

        value = metric(outputs[output], targets[output], weights[output])

    Outputs and targets are dicts, as a ``Graph`` with several outputs returns them and ``MultiLoss`` takes them.
    Weights are one array, or a dict by name; a name that it leaves out has weights of 1. In the history it stands
    under ``accuracy/kind`` and ``validation_accuracy/kind``.

    Errors: ``TypeError`` if not given a name and a metric, and for outputs or targets that are not a dict;
    ``ValueError`` for a name that they do not have, and for a metric of gradients, which are those of all outputs.

    >>> import jax.numpy as jnp
    >>> from fnn.metrics import Accuracy
    >>> outputs = {"kind": jnp.array([[1.0, 2.0], [3.0, 0.0]]), "size": jnp.array([1.0, 2.0])}
    >>> Of("kind", Accuracy())(outputs, {"kind": jnp.array([1, 1]), "size": jnp.array([1.0, 1.0])})
    Array(0.5, dtype=float32)
    """

    output: str
    metric: Metric

    def __post_init__(self) -> None:
        if not isinstance(self.output, str) or not self.output:
            raise TypeError(f"Of takes the name of an output first, got {self.output!r}")
        if not isinstance(self.metric, Metric):
            raise TypeError(f"Of takes a metric second, got {self.metric!r}{instance_hint(self.metric)}")
        if self.metric.of_gradients:
            raise ValueError(f"{self.metric!r} is of the gradients of the whole model: give it by itself")

    @property
    def name(self) -> str:
        return f"{self.metric.name}/{self.output}"

    @property
    def higher_is_better(self) -> bool:
        return self.metric.higher_is_better

    @property
    def cuts_at_zero(self) -> bool:
        return self.metric.cuts_at_zero

    def of(self, outputs: Any, targets: Any, weights: Any = None) -> tuple[Any, Any, Any]:
        """The output, its targets and its weights, or raises."""
        found = []
        for what, tree in (("outputs", outputs), ("targets", targets)):
            if not isinstance(tree, Mapping):
                raise TypeError(f"{self!r} needs {what} by name, a dict, got {describe(tree)}")
            if self.output not in tree:
                raise ValueError(f"{self!r} needs {what} with that name, got {list(tree)}")
            found.append(tree[self.output])
        return *found, weights.get(self.output) if isinstance(weights, Mapping) else weights

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        output, *rest = self.of(outputs, targets, weights)
        self.metric.check(parted(output)[0], *rest)

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        output, target, each, _ = as_samples(steps_of(*self.of(outputs, targets, weights)))
        return self.metric.update(output, target, each)

    def merge(self, one: Any, other: Any) -> Any:
        return self.metric.merge(one, other)

    def value(self, sums: Any) -> jax.Array:
        return self.metric.value(sums)


def measure_of(metric: Metric) -> Metric:
    """The metric itself, of an ``Of`` that which it measures."""
    return metric.metric if isinstance(metric, Of) else metric
