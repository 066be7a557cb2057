"""The focal loss: cross-entropy that gives easy examples less weight."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import floating_array
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range, nan_where_any
from fnn.layer import Cache
from fnn.losses.class_weight import Classification
from fnn.losses.cross_entropy import CrossEntropy
from fnn.losses.labels import class_labels


@dataclasses.dataclass(frozen=True)
class Focal(Classification):
    """Cross-entropy times (1 − p)^γ, p the probability of the label: ``gamma`` γ = 0 is cross-entropy.

    Forward:   c = log Σⱼ e^(zⱼ) − z_label,  u = 1 − e^(−c) = 1 − p,  t = u^γ c,  value = Σ w t / Σ w
    Backward:  dc = u^γ (1 + γ e^(−c) c/u) · dvalue · w / Σ w,  dz = (softmax(z) − y) dc, y one-hot

    Cache:   ``cross_entropy``, the cache of ``CrossEntropy``; ``cost`` c (…)
    Shapes:  logits z (…, V), integer labels (…), weights of the leading axes → scalar

    For yes-or-no answers use two logits, (z, 0). The paper's α, a weight per class, is ``class_weight=alpha``; the mean
    is then divided by the sum of α[label] (see ``Classification``). Labels equal to ``ignore_index`` do not count. For
    an impossible label, c = ∞, the value is ∞ and dc = dvalue · w / Σ w, the limit for large c.

    Errors: ``ValueError`` for a gamma below 0, for labels of another shape and, outside jit, for a label outside
    [0, V); ``TypeError`` for labels that are not integers. Inside jit a label outside makes the value NaN.

    >>> Focal()(jnp.zeros((1, 2)), jnp.array([0]))
    Array(0.1732868, dtype=float32)

    Source: Lin et al. 2017, eq. 4.
    """

    applies = "softmax"

    gamma: float = 2.0
    _: dataclasses.KW_ONLY
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_in_range(self, gamma=AT_LEAST_ZERO)

    @property
    def _cross_entropy(self) -> CrossEntropy:
        return CrossEntropy(ignore_index=self.ignore_index)

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits = floating_array(prediction)
        labels = class_labels(target, logits, self.ignore_index)
        self.check_classes(logits.shape[-1])
        cost, cache = self._cross_entropy.terms(logits, labels)
        sure, c, u, gamma = self._parts(cost)
        terms = jnp.where(sure, jnp.where(gamma == 0, cost, 0), jnp.where(cost == jnp.inf, cost, u**gamma * c))
        return nan_where_any([self.gamma], terms), {"cross_entropy": cache, "cost": cost}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        sure, c, u, gamma = self._parts(cache["cost"])
        slope = u**gamma * (1 + gamma * jnp.exp(-c) * c / u)
        slope = jnp.where(sure, jnp.where(gamma == 0, 1, 0), jnp.where(cache["cost"] == jnp.inf, 1, slope))
        return self._cross_entropy.terms_backward(cache["cross_entropy"], slope * dterms)

    def _parts(self, cost: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """Where the label is certain (c = 0); c and u, computed from c = 1 there and where c = ∞, since u^γ may have no
        slope at those; and γ."""
        sure = cost == 0
        c = jnp.where(sure | (cost == jnp.inf), 1, cost)
        return sure, c, -jnp.expm1(-c), jnp.asarray(self.gamma, cost.dtype)

    def counted(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        return self._cross_entropy.counted(target, shape)

    def check(self, prediction: Any, target: Any) -> None:
        class_labels(target, prediction, self.ignore_index)
        self.check_classes(prediction.shape[-1])
