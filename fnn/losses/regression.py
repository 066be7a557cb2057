"""Losses of real-valued predictions: functions of the difference from the target."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.corners import Kinks
from fnn.guards.ranges import ABOVE_ZERO, keep_in_range
from fnn.layer import Cache, Static, wide_dtype
from fnn.losses.loss import Loss
from fnn.losses.pairs import real_target
from fnn.squares import root, scale


@dataclasses.dataclass(frozen=True)
class DifferenceLoss(Loss):
    """The base of losses that depend on the difference e = p − y alone: a subclass defines ``cost`` and ``slope``.

    Forward:   t = cost(e),  value = Σ w t / Σ w
    Backward:  dp = slope(e) · dvalue · w / Σ w

    Cache:   ``difference`` e, ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included), ``TypeError`` for dtypes that differ.
    """

    def cost(self, e: jax.Array) -> jax.Array:
        """The cost of a difference, written so that ``jax.grad`` gives the documented slope at kinks."""
        raise NotImplementedError

    def slope(self, e: jax.Array) -> jax.Array:
        """Its derivative."""
        raise NotImplementedError

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        dtype = jnp.asarray(prediction).dtype
        prediction, target = real_target(prediction, target)
        difference = prediction - target
        return self.cost(difference), {"difference": difference, "dtype": Static(dtype)}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        return (self.slope(cache["difference"]) * dterms).astype(cache["dtype"].value)


@dataclasses.dataclass(frozen=True)
class MeanSquaredError(DifferenceLoss):
    """The mean of squared differences, over all entries.

    Forward:   t = (p − y)²,  value = Σ w t / Σ w
    Backward:  dp = 2 (p − y) · dvalue · w / Σ w

    Cache:   ``difference`` p − y, ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included), ``TypeError`` for dtypes that differ.

    >>> MeanSquaredError()(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0]))
    Array(2.5, dtype=float32)
    """

    def cost(self, e: jax.Array) -> jax.Array:
        return jnp.square(e)

    def slope(self, e: jax.Array) -> jax.Array:
        return 2 * e

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Normal with mean p and variance ½, of which (p − y)² is the negative log-likelihood."""
        noise = jax.random.normal(key, prediction.shape, wide_dtype(prediction.dtype))
        return prediction + (noise * math.sqrt(0.5)).astype(prediction.dtype)


@dataclasses.dataclass(frozen=True)
class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of squared differences.

    Forward:   m = Σ w ((p − y)/s)² / Σ w,  value = s √m,  s a power of two that keeps the squares in range, mostly 1
    Backward:  dp = (p − y) / (s √m) · dvalue · w / Σ w, and 0 where m = 0

    Cache:   ``mean``, the cache of the mean of ((p − y)/s)²;  ``root`` √m;  ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    The root of a mean is not additive over micro-batches: the loss that training reports for an epoch is the mean over
    its batches.

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included), ``TypeError`` for dtypes that differ.

    >>> RootMeanSquaredError()(jnp.array([1.0, 7.0]), jnp.array([0.0, 0.0]))
    Array(5., dtype=float32)
    """

    def forward(self, prediction: Any, target: Any, weights: Any = None) -> tuple[jax.Array, Cache]:
        prediction, target, weights, lengths = self.over_steps(prediction, target, weights)
        dtype = jnp.asarray(prediction).dtype
        prediction, target = real_target(prediction, target)
        difference = prediction - target
        if weights is not None:
            difference = self.select(jnp.asarray(weights).astype(bool), difference)
        s = scale(difference)
        mean, cache = super().forward(difference * (1 / s), jnp.zeros_like(difference), weights)
        value = root(mean)
        cache = {"mean": cache, "root": value, "dtype": Static(dtype)}
        return s.reshape(()) * value, cache if lengths is None else {**cache, "beside": Static(True)}

    def backward(self, cache: Cache, dvalue: Any = 1.0) -> Any:
        value: jax.Array = cache["root"]
        dmean = jnp.asarray(dvalue, value.dtype) / (2 * jnp.where(value == 0, 1, value))
        dp = super().backward(cache["mean"], jnp.where(value == 0, 0, dmean)).astype(cache["dtype"].value)
        return (dp, None) if "beside" in cache else dp


@dataclasses.dataclass(frozen=True)
class MeanAbsoluteError(DifferenceLoss):
    """The mean of absolute differences, over all entries.

    Forward:   t = |p − y|,  value = Σ w t / Σ w
    Backward:  dp = sign(p − y) · dvalue · w / Σ w, with sign(0) = 0

    Cache:   ``difference`` p − y, ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included), ``TypeError`` for dtypes that differ.

    >>> MeanAbsoluteError()(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0]))
    Array(1.5, dtype=float32)
    """

    def cost(self, e: jax.Array) -> jax.Array:
        return magnitude(e)

    def slope(self, e: jax.Array) -> jax.Array:
        return jnp.sign(e)

    def kinks_at(self, prediction: Any, target: Any) -> Kinks:
        return Kinks(int((prediction == target).sum()), prediction.size, "predictions equal the target")


@dataclasses.dataclass(frozen=True)
class Huber(DifferenceLoss):
    """Quadratic up to ``delta`` δ and linear beyond, so that the gradient of an outlier is at most δ.

    Forward:   t = ½ e² where |e| ≤ δ, δ (|e| − ½ δ) beyond, e = p − y
    Backward:  dp = clip(e, −δ, δ) · dvalue · w / Σ w

    Cache:   ``difference`` p − y, ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    Errors: ``ValueError`` for a delta that is not above 0 and for shapes that differ ((N, 1) against (N,) included),
    ``TypeError`` for dtypes that differ.

    >>> Huber()(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0]))
    Array(1.3125, dtype=float32)

    Source: Huber 1964, eq. 1.
    """

    delta: float = 1.0

    def __post_init__(self) -> None:
        keep_in_range(self, delta=ABOVE_ZERO)

    def cost(self, e: jax.Array) -> jax.Array:
        delta = jnp.asarray(self.delta, e.dtype)
        near = jnp.abs(e) <= delta
        square, beyond = jnp.square(jnp.where(near, e, 0)), magnitude(jnp.where(near, 0, e))
        return jnp.where(near, 0.5 * square, delta * (beyond - 0.5 * delta))

    def slope(self, e: jax.Array) -> jax.Array:
        delta = jnp.asarray(self.delta, e.dtype)
        return jnp.clip(e, -delta, delta)


@dataclasses.dataclass(frozen=True)
class LogCosh(DifferenceLoss):
    """The logarithm of the hyperbolic cosine: ½ e² near 0, |e| − log 2 far from it, smooth between.

    Forward:   t = log cosh e, e = p − y;  ½ log(1 + sinh² e) for |e| < 1, |e| + log(1 + e^(−2|e|)) − log 2 beyond
    Backward:  dp = tanh e · dvalue · w / Σ w

    Cache:   ``difference`` p − y, ``dtype`` Static
    Shapes:  prediction p and target y (N, …) of one shape and dtype, weights w of its leading axes → scalar

    The two forms are equal; each keeps the digits where the other loses them.

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included), ``TypeError`` for dtypes that differ.

    >>> LogCosh()(jnp.array([0.0, 1000.0]), jnp.array([0.0, 0.0])).round(3)
    Array(499.653, dtype=float32)
    """

    def cost(self, e: jax.Array) -> jax.Array:
        small = jnp.abs(e) < 1
        near, far = jnp.where(small, e, 0), jnp.where(small, 1, jnp.abs(e))
        beyond = far + jnp.log1p(jnp.exp(-2 * far)) - math.log(2)
        return jnp.where(small, 0.5 * jnp.log1p(jnp.square(jnp.sinh(near))), beyond)

    def slope(self, e: jax.Array) -> jax.Array:
        return jnp.tanh(e)


def magnitude(x: jax.Array) -> jax.Array:
    """|x|, whose ``jax.grad`` is sign(x): 0 at 0, where ``jnp.abs`` has slope 1, and NaN for NaN."""
    return x * lax.stop_gradient(jnp.sign(x))
