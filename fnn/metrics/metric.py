"""The base of metrics: the sums of one batch, how to merge the sums of two, and the value of the total."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.errors import describe
from fnn.guards.signatures import check_methods
from fnn.guards.spelling import check_spelling, closest
from fnn.losses.steps import as_samples, steps_of
from fnn.metrics.sums import added

BETTER = "higher_is_better"
"""The class attribute that says which way a metric improves."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """The base of metrics: ``update`` gives the sums of one batch, ``merge`` those of two, ``value`` the metric.

    All three are pure and work under jit, so a metric streams over batches, epochs and devices alike. ``name``, a class
    attribute or a property, is its key in the history. A value may be an array; its history is then an array too.

    To write a metric, define ``update`` and ``value``. The sums of batches are added, and a run loses no digits however
    many batches there are (``fnn.metrics.sums``). If sums combine in another way, define ``merge`` too; a run starts
    from sums of zeros, so merging those must change nothing.
    """

    name: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    cuts_at_zero: ClassVar[bool] = False
    """Whether yes-or-no answers are read as logits: above 0 means yes."""
    of_gradients: ClassVar[bool] = False
    """Whether a training step measures it, from ``measure(objective, params, state, batch, key)``, and nothing else."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "a metric", aside=("merge", "check"))
        check_methods(cls, update=("outputs", "targets", "weights"), value=("sums",))
        for name in vars(cls):
            if name != BETTER and closest(name, [BETTER], similar=0.7):
                raise TypeError(f"{cls.__name__}.{name} is never read: set {BETTER} to say which way a metric improves")

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        """The sums of one batch: a pytree of arrays, which ``merge`` combines with those of other batches."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def merge(self, one: Any, other: Any) -> Any:
        """The sums of two sets of batches together; by default the leaves are added."""
        return added(one, other)

    def value(self, sums: Any) -> jax.Array:
        """The metric from the totals."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Raises if the targets do not fit the outputs (arrays, or their shapes). ``fit``, ``evaluate`` and
        ``make_train`` call it while values are known, before they enter a program. Does nothing by default."""

    def __call__(self, outputs: Any, targets: Any, weights: Any = None) -> jax.Array:
        """The metric of one batch; for ``(outputs, lengths)``, each step within the lengths is a sample."""
        outputs, targets, weights, _ = as_samples(steps_of(outputs, targets, weights))
        return self.value(self.update(outputs, targets, weights))


def refuse_several(outputs: Any) -> None:
    """Raises for outputs by name: a metric is of one."""
    if isinstance(outputs, dict):
        raise TypeError(f"expected one output, got {describe(outputs)}; Of(name, metric) is a metric of one of them")


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """The quotient; NaN, without an error or a warning, if nothing was counted."""
    return jnp.where(denominator == 0, jnp.nan, numerator / jnp.where(denominator == 0, 1, denominator))
