"""Negative log-likelihoods of counts and of real numbers."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from fnn.errors import describe, exact_array, floating_array, is_concrete
from fnn.layer import Cache, Static, wide_dtype
from fnn.losses.loss import Loss
from fnn.losses.pairs import real_target, same_shape


@dataclasses.dataclass(frozen=True)
class Poisson(Loss):
    """The negative log-likelihood of counts, from the logarithm of their rate.

    Forward:   t = e^z − y z, and with ``full`` + log y!;  value = Σ w t / Σ w;  y z = 0 where y = 0, and t = ∞ where
               e^z is (a rate that overflows outgrows every y z)
    Backward:  dz = (e^z − y) · dvalue · w / Σ w

    Cache:   ``slope`` e^z − y, ``dtype`` Static
    Shapes:  log-rates z and counts y (N, …) of one shape, y integer or floating, weights w of its leading axes → scalar

    ``full`` adds the term that does not depend on the prediction (log y! exactly, by log Γ, not by Stirling's formula).

    Errors: ``ValueError`` for shapes that differ and, outside jit, for a negative count; inside jit a negative count
    makes the value NaN.

    >>> Poisson()(jnp.zeros(2), jnp.array([0, 3]))
    Array(1., dtype=float32)
    """

    _: dataclasses.KW_ONLY
    full: bool = False

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        log_rate, counts = same_shape(prediction, target)
        self.check(log_rate, counts)
        wide = wide_dtype(log_rate.dtype)
        z, y = log_rate.astype(wide), counts.astype(wide)
        rate, valid = jnp.exp(z), y >= 0
        # A rate of 0 (z = −∞) is exact for a count of 0; and ∞ − ∞ is ∞ here.
        terms = jnp.where((y == 0) | (rate == jnp.inf), rate, rate - y * z)
        if self.full:
            terms = terms + gammaln(y + 1)
        slope = jnp.where(valid, rate - y, 0)
        return jnp.where(valid, terms, jnp.nan), {"slope": slope, "dtype": Static(log_rate.dtype)}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        return (cache["slope"] * dterms).astype(cache["dtype"].value)

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Counts with the rate e^z."""
        return jax.random.poisson(key, jnp.exp(prediction.astype(wide_dtype(prediction.dtype))))

    def check(self, prediction: Any, target: Any) -> None:
        if is_concrete(target) and not np.all(np.asarray(target) >= 0):
            raise ValueError("targets are counts, at least 0; only the prediction is a logarithm")


@dataclasses.dataclass(frozen=True)
class GaussianNLL(Loss):
    """The negative log-likelihood of a normal distribution with predicted mean and variance.

    Forward:   (μ, s) = the two halves of the last axis, s = log σ²;  u = (μ − y) e^(−s/2);  t = ½ (s + u²), and with
               ``full`` + ½ log 2π;  value = Σ w t / Σ w
    Backward:  dμ = u e^(−s/2) · dvalue · w / Σ w,  ds = ½ (1 − u²) · dvalue · w / Σ w

    Cache:   ``standard`` u and ``root``, e^(−s/4) (…, F), ``dtype`` Static
    Shapes:  prediction (…, 2F): F means, then the F logarithms of their variances; target (…, F) of its dtype; weights
             of the leading axes of the target → scalar

    ``Dense(2 * F)`` predicts both, as does ``Parallel(mean=…, log_variance=…, merge="concatenate")``.
    u = 0 where μ = y, however small the variance: μ − y is multiplied by e^(−s/4) twice, and that factor is clipped to
    the largest finite number. Beyond that, u² is ∞ for any μ ≠ y anyway.

    Errors: ``ValueError`` for a last axis that is not twice the target's or other axes that differ, ``TypeError`` for
    dtypes that differ.

    >>> GaussianNLL()(jnp.array([[1.0, 0.0]]), jnp.array([[3.0]]))
    Array(2., dtype=float32)

    Source: Nix and Weigend 1994.
    """

    _: dataclasses.KW_ONLY
    full: bool = False

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        prediction, target = floating_array(prediction), exact_array(target)
        if target.ndim < 1 or prediction.shape != (*target.shape[:-1], 2 * target.shape[-1]):
            raise ValueError(
                f"expected a prediction (…, 2F), means and then logarithms of variances, for a target (…, F);"
                f" got {describe(prediction)} and {describe(target)}"
            )
        mean, log_variance = jnp.split(prediction, 2, -1)
        mean, y = real_target(mean, target)
        s = log_variance.astype(mean.dtype)
        root = jnp.exp(-0.25 * jnp.maximum(s, -4 * math.floor(math.log(float(jnp.finfo(s.dtype).max)))))
        standard = (mean - y) * root * root
        terms = 0.5 * (s + jnp.square(standard))
        if self.full:
            terms = terms + 0.5 * math.log(2 * math.pi)
        return terms, {"standard": standard, "root": root, "dtype": Static(prediction.dtype)}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        standard, root = cache["standard"], cache["root"]
        slopes = (standard * root * root, 0.5 * (1 - jnp.square(standard)))
        return jnp.concatenate([slope * dterms for slope in slopes], -1).astype(cache["dtype"].value)

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Normal with the predicted mean and variance."""
        mean, log_variance = jnp.split(prediction.astype(wide_dtype(prediction.dtype)), 2, -1)
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        return (mean + jnp.exp(log_variance / 2) * noise).astype(prediction.dtype)

    def select(self, keep: jax.Array, prediction: Any) -> Any:
        if keep.ndim == getattr(prediction, "ndim", None):
            keep = jnp.concatenate([keep, keep], -1)  # one weight for an entry's mean and its variance
        return super().select(keep, prediction)
