"""What every metric is: sums for one batch, how those of two are put together, and the value that their total has."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.guards.signatures import check_methods
from fnn.guards.spelling import check_spelling, closest
from fnn.losses.steps import as_samples, steps_of
from fnn.metrics.sums import added

BETTER = "higher_is_better"
"""The class attribute that says which way a metric improves."""


@dataclasses.dataclass(frozen=True)
class Metric:
    """The base of metrics: ``update`` gives the sums of one batch, ``merge`` those of two, ``value`` the metric.

    All are pure and jittable, so a metric streams over batches, epochs and devices alike. ``name`` is that of its entry
    in the history, a class attribute or a property; a value may be an array, whose history is then one too.

    A metric of your own needs ``update`` and ``value``; its sums are added, and in a run no digit of them gets lost,
    however many batches there are (``fnn.metrics.sums``). One whose sums are put together in another way gives
    ``merge``: sums of zeros, from which a run sets out, must change nothing.
    """

    name: ClassVar[str] = "metric"
    higher_is_better: ClassVar[bool] = True
    cuts_at_zero: ClassVar[bool] = False
    """Whether single answers are taken for logits, and so for a yes above 0."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "a metric", aside=("merge", "check"))
        check_methods(cls, update=("outputs", "targets", "weights"), value=("sums",))
        for name in vars(cls):
            if name != BETTER and closest(name, [BETTER], similar=0.7):
                raise TypeError(
                    f"{cls.__name__}.{name} is read by nobody: a metric says by {BETTER} which way it improves"
                )

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        """The sums of one batch: a pytree of arrays, which ``merge`` puts together with those of the other batches."""
        raise NotImplementedError(f"{type(self).__name__} does not define update")

    def merge(self, one: Any, other: Any) -> Any:
        """The sums of two sets of batches as those of both; by default every leaf is added."""
        return added(one, other)

    def value(self, sums: Any) -> jax.Array:
        """The metric from the totals."""
        raise NotImplementedError(f"{type(self).__name__} does not define value")

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        """Raises for targets that do not fit the outputs (arrays, or their shapes): ``fit``, ``evaluate`` and
        ``make_train`` ask before values can no longer be looked at, inside a program. By default nothing is asked."""

    def __call__(self, outputs: Any, targets: Any, weights: Any = None) -> jax.Array:
        """The metric of one batch; of ``(outputs, lengths)``, of the steps within the lengths, each a sample."""
        outputs, targets, weights, _ = as_samples(steps_of(outputs, targets, weights))
        return self.value(self.update(outputs, targets, weights))


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """The quotient; NaN, not an error or a warning, where nothing was counted."""
    return jnp.where(denominator == 0, jnp.nan, numerator / jnp.where(denominator == 0, 1, denominator))
