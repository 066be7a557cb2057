"""The coefficient of determination."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, exact_array
from fnn.losses.loss import check_weights, expanded
from fnn.metrics.metric import Metric
from fnn.metrics.sums import Sum, summed, two_sum, whole


@dataclasses.dataclass(frozen=True)
class R2(Metric):
    """The share of the targets' variance that the predictions explain: 1 − Σ w (y − p)² / Σ w (y − ȳ)².

    Every place after the first axis is an output of its own (of sequences with lengths, after the axis of steps), and
    the value is the plain mean over outputs, as scikit-learn's. A constant target has 1 if it is predicted exactly,
    else 0; a single sample has no variance: NaN.

    The mean ȳ is not known before the last batch, so a batch gives its weight W, its own mean μ and the squares about
    that, M = Σ w (y − μ)², and those of two sets of batches a and b become

        δ = μ_b − μ_a        μ = μ_a + δ W_b / W        M = M_a + M_b + δ² W_a W_b / W        W = W_a + W_b

    Nothing cancels, so targets of 3000 ± 1 lose no digit in float32. What no digit is left of, squares that overflow or
    underflow, is NaN. So is the value where a prediction is infinite or NaN.

    ``center`` is accepted, and changes nothing: it was the number about which squares were summed before.

    Errors: ``ValueError`` for outputs and targets of different shapes; nothing is broadcast.

    >>> R2()(jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 2.0, 3.0]))
    Array(0.5, dtype=float32)

    Source: Chan, Golub and LeVeque 1983, the moments of two sets.
    """

    _: dataclasses.KW_ONLY
    center: float = 0.0

    name = "r2"

    def check(self, outputs: Any, targets: Any, weights: Any = None) -> None:
        if jnp.shape(outputs) != jnp.shape(targets) or jnp.ndim(outputs) < 1:
            raise ValueError(
                f"outputs and targets (N, …) have the same shape, got {describe(outputs)} and {describe(targets)};"
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
        # Selections: what weighs nothing may be NaN.
        residual = jax.lax.select(counted, targets - outputs, zero)
        y = jax.lax.select(counted, targets, zero)
        weight = summed(each)
        # A number near the mean, from which the distances are exact but for their own last digit; that of equal
        # targets is their value, so that their squares are 0.
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
        # Squares so small that some may have become 0, or so large that they are not finite, say nothing.
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
    """What to write where a last axis of 1 is all that differs."""
    if outputs == (*targets, 1):
        return " (targets[..., None])"
    if targets == (*outputs, 1):
        return " (outputs[..., None])"
    if len(outputs) == len(targets) + 1:
        return "; labels of classes are for Accuracy()"
    return ""
