"""The coefficient of determination."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, exact_array
from fnn.losses.loss import check_weights, expanded
from fnn.metrics.metric import Metric, refuse_several
from fnn.metrics.sums import Sum, summed, two_sum, whole


@dataclasses.dataclass(frozen=True)
class R2(Metric):
    """The share of the targets' variance that the predictions explain: 1 − Σ w (y − p)² / Σ w (y − ȳ)².

    Each entry beyond the first axis (beyond the time axis for sequences with lengths) is a separate output, and the
    value is the plain mean over outputs, as in scikit-learn. A constant target scores 1 if it is predicted exactly,
    else 0; a single sample has no variance and scores NaN.

    The mean ȳ is not known before the last batch. So a batch gives its weight W, its mean μ and the sum of squares
    about it, M = Σ w (y − μ)², and two sets of batches a and b merge to

        δ = μ_b − μ_a        μ = μ_a + δ W_b / W        M = M_a + M_b + δ² W_a W_b / W        W = W_a + W_b

    Nothing cancels, so targets of 3000 ± 1 lose no digits in float32. If the squares overflow or underflow, the value
    is NaN, and so it is if a prediction is infinite or NaN.

    ``center`` is accepted and has no effect: earlier versions summed the squares about it.

    Errors: ``ValueError`` for outputs and targets of different shapes; nothing is broadcast.

    >>> R2()(jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 2.0, 3.0]))
    Array(0.5, dtype=float32)

    Source: Chan, Golub and LeVeque 1983, the moments of two sets.
    """

    _: dataclasses.KW_ONLY
    center: float = 0.0

    name = "r2"

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        refuse_several(outputs)
        if jnp.shape(outputs) != jnp.shape(targets) or jnp.ndim(outputs) < 1:
            raise ValueError(
                f"outputs and targets (N, …) must have the same shape, got {describe(outputs)} and {describe(targets)};"
                f" nothing is broadcast, so reshape one of them{_hint(jnp.shape(outputs), jnp.shape(targets))}"
            )

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, Any]:
        outputs, targets = jnp.asarray(outputs), exact_array(targets)
        self.check(outputs, targets)
        dtype = jnp.zeros(()).dtype
        outputs, targets = outputs.astype(dtype), targets.astype(dtype)
        each = jnp.ones(targets.shape, dtype)
        if weights is not None:
            check_weights(weights)
            each = expanded(jnp.asarray(weights), targets.shape).astype(dtype)
        counted, zero = each != 0, jnp.zeros_like(targets)
        # select, not a product: entries of weight 0 may be NaN.
        residual = jax.lax.select(counted, targets - outputs, zero)
        y = jax.lax.select(counted, targets, zero)
        weight = summed(each)
        # A number near the mean: distances from it are exact up to their last digit. If all targets are equal it is
        # their value, so that the squares are 0.
        near = jnp.clip(_mean(each * y, weight), _least(y, counted, jnp.inf), -_least(-y, counted, jnp.inf))
        near = jax.lax.stop_gradient(jnp.where(weight.high == 0, 0, near))
        distance = jax.lax.select(counted, y - near[None], zero)
        beyond = _mean(each * distance, weight)
        about = jax.lax.select(counted, distance - beyond[None], zero)
        return {
            "weight": weight,
            "mean": Sum(*two_sum(near, beyond)),
            "squares": summed(each * about * about),
            "residual": summed(each * residual * residual),
            "several": counted.sum(0) > 1,
            "varies": (counted & (y != near[None])).any(0),
            "missed": (counted & (residual != 0)).any(0),
        }

    def merge(self, one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        weight = one["weight"].plus(other["weight"])
        share = other["weight"].high / jnp.where(weight.high == 0, 1, weight.high)
        before, after = one["mean"], other["mean"]
        delta = (after.high - before.high) + (after.low - before.low)
        nothing, only = other["weight"].high == 0, one["weight"].high == 0
        moved = before.plus(Sum.of(delta * share))
        mean = jax.tree.map(lambda a, b, c: jnp.where(nothing, a, jnp.where(only, b, c)), before, after, moved)
        between = jnp.where(nothing | only, 0, delta * delta * share * one["weight"].high)
        return {
            "weight": weight,
            "mean": mean,
            "squares": one["squares"].plus(other["squares"]).plus(Sum.of(between)),
            "residual": one["residual"].plus(other["residual"]),
            "several": one["several"] | other["several"] | (~nothing & ~only),
            "varies": one["varies"] | other["varies"] | (~nothing & ~only & (delta != 0)),
            "missed": one["missed"] | other["missed"],
        }

    def value(self, sums: dict[str, Any]) -> jax.Array:
        weight, squares, residual = whole((sums["weight"], sums["squares"], sums["residual"]))
        info = jnp.finfo(squares.dtype)
        # Squares so small that some may have underflowed, or too large to be finite, carry no information.
        lost = sums["varies"] & (squares <= jnp.maximum(weight, 1) * (info.tiny / info.eps))
        known = sums["several"] & ~lost & jnp.isfinite(squares) & jnp.isfinite(residual)
        explained = 1 - residual / jnp.where(squares == 0, 1, squares)
        scores = jnp.where(sums["varies"], explained, (~sums["missed"]).astype(squares.dtype))
        return jax.lax.select(known, scores, jnp.full_like(squares, jnp.nan)).mean()


def _mean(terms: jax.Array, weight: Sum) -> jax.Array:
    return summed(terms).high / jnp.where(weight.high == 0, 1, weight.high)


def _least(values: jax.Array, counted: jax.Array, beyond: float) -> jax.Array:
    return jnp.where(counted, values, beyond).min(0)


def _hint(outputs: tuple[int, ...], targets: tuple[int, ...]) -> str:
    """How to fix shapes that differ by a last axis."""
    if outputs == (*targets, 1):
        return " (targets[..., None])"
    if targets == (*outputs, 1):
        return " (outputs[..., None])"
    if len(outputs) == len(targets) + 1:
        return "; for class labels use Accuracy()"
    return ""
