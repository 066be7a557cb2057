"""Divergences between distributions."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.scipy.special import xlogy

from fnn.errors import describe, is_concrete, is_floating
from fnn.layer import Cache, wide_dtype
from fnn.losses.cross_entropy import CrossEntropy
from fnn.losses.loss import Loss
from fnn.losses.pairs import same_shape


@dataclasses.dataclass(frozen=True)
class KLDivergence(Loss):
    """The Kullback–Leibler divergence of softmax(prediction) from the target, KL(q ‖ p): from logits.

    Forward:   t = Σᵢ qᵢ (log qᵢ − log pᵢ),  p = softmax(z), 0 log 0 = 0;  value = Σ w t / Σ w
    Backward:  dz = ((Σᵢ qᵢ) p − q) · dvalue · w / Σ w, the same as for cross-entropy, which differs by a constant

    Cache:   that of ``CrossEntropy``
    Shapes:  logits z and target distributions q (…, V), weights of the leading axes → scalar

    The mean is over distributions (PyTorch's ``batchmean``), not over their entries. Logits may be log-probabilities:
    log-softmax leaves those unchanged. Pass a target of log-probabilities as ``jnp.exp(target)``.

    Errors: ``ValueError`` for shapes that differ and, outside jit, for a negative target; ``TypeError`` for a target
    that is not floating. Inside jit a negative target makes the value NaN.

    >>> import jax.numpy as jnp
    >>> KLDivergence()(jnp.zeros((1, 2)), jnp.array([[1.0, 0.0]]))
    Array(0.6931472, dtype=float32)

    Source: Kullback and Leibler 1951.
    """

    applies = "softmax"

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits, target = same_shape(prediction, target)
        if not is_floating(target):
            raise TypeError(f"the target is a distribution of floating dtype, got {describe(target)}")
        self.check(logits, target)
        terms, cache = CrossEntropy().terms(logits, target)
        q = target.astype(wide_dtype(logits.dtype))
        return terms + xlogy(q, q).sum(-1), cache

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        return CrossEntropy().terms_backward(cache, dterms)

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Labels with the probabilities softmax(z), one-hot."""
        return jax.nn.one_hot(CrossEntropy().drawn(key, prediction), prediction.shape[-1], dtype=prediction.dtype)

    def check(self, prediction: Any, target: Any) -> None:
        if is_concrete(target) and not np.all(np.asarray(target) >= 0):
            raise ValueError(
                "the target is a distribution, with entries of at least 0; for log-probabilities pass jnp.exp(target)"
            )
