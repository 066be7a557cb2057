"""The coefficient of determination."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, exact_array
from fnn.losses.loss import check_weights, expanded
from fnn.metrics.metric import Metric, ratio


@dataclasses.dataclass(frozen=True)
class R2(Metric):
    """The share of the targets' variance that the predictions explain: 1 − Σ w (y − p)² / Σ w (y − ȳ)².

    Every place after the first axis is an output of its own, and the value is the plain mean over outputs, as
    scikit-learn's. A constant target has 1 if it is predicted exactly, else 0.

    The mean ȳ is not known before the last batch, and sums must add up, so the variance comes from deviations
    d = y − ``center`` as Σ w d² − (Σ w d)² / Σ w. The difference cancels: its relative error is about
    eps · (1 + (ȳ − center)² / variance), a few digits in float32 when the mean is a hundred standard deviations from
    the center. Give a ``center`` near the mean of such targets, that of the training data say. A variance within
    rounding of zero counts as zero.

    Errors: ``ValueError`` for outputs and targets of different shapes; nothing is broadcast.

    >>> R2()(jnp.array([1.0, 2.0, 4.0]), jnp.array([1.0, 2.0, 3.0]))
    Array(0.5, dtype=float32)
    """

    _: dataclasses.KW_ONLY
    center: float = 0.0

    name = "r2"

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> dict[str, jax.Array]:
        outputs, targets = jnp.asarray(outputs), exact_array(targets)
        if outputs.shape != targets.shape or outputs.ndim < 1:
            raise ValueError(
                f"outputs and targets (N, …) have the same shape, got {describe(outputs)} and {describe(targets)};"
                f" nothing is broadcast, so reshape one of them"
            )
        dtype = jnp.zeros(()).dtype
        outputs, targets = outputs.astype(dtype), targets.astype(dtype)
        each = jnp.ones(targets.shape, dtype)
        if weights is not None:
            check_weights(weights)
            each = expanded(jnp.asarray(weights), targets.shape).astype(dtype)
        residual, d = targets - outputs, targets - jnp.asarray(self.center, dtype)
        # A selection: what weighs nothing may be NaN.
        residual, d = (jax.lax.select(each == 0, jnp.zeros_like(x), x) for x in (residual, d))
        return {
            "weight": each.sum(0),
            "residual": (each * residual * residual).sum(0),
            "deviation": (each * d).sum(0),
            "squares": (each * d * d).sum(0),
        }

    def value(self, sums: dict[str, jax.Array]) -> jax.Array:
        weight, residual, squares = sums["weight"], sums["residual"], sums["squares"]
        variation = squares - sums["deviation"] * ratio(sums["deviation"], weight)
        constant = variation <= 8 * jnp.finfo(squares.dtype).eps * squares
        explained = 1 - residual / jnp.where(constant, 1, variation)
        scores = jnp.where(constant, (residual == 0).astype(squares.dtype), explained)
        return jnp.where(weight == 0, jnp.nan, scores).mean()
