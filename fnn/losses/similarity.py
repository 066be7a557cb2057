"""Losses of the similarity of vectors."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks
from fnn.errors import describe, floating_array
from fnn.guards.ranges import ABOVE_ZERO, keep_in_range
from fnn.layer import Cache, Static, wide_dtype
from fnn.losses.loss import Loss
from fnn.losses.pairs import real_target
from fnn.squares import unit


@dataclasses.dataclass(frozen=True)
class CosineSimilarity(Loss):
    """One minus the cosine between prediction and target along the last axis: 0 for equal directions, 2 for opposite.

    Forward:   t = 1 − p̂·ŷ,  p̂ = p/|p|, ŷ = y/|y|,  value = Σ w t / Σ w;  t = 1 where either is the zero vector
    Backward:  dp = −(ŷ − (p̂·ŷ) p̂) / |p| · dvalue · w / Σ w, and 0 where either is the zero vector

    Cache:   ``prediction`` p and ``target`` y (…, F) in the dtype to compute in, ``dtype`` Static
    Shapes:  prediction and target (…, F) of one shape and dtype, weights of the leading axes → scalar

    Errors: ``ValueError`` for shapes that differ or a scalar, ``TypeError`` for dtypes that differ.

    >>> CosineSimilarity()(jnp.array([[3.0, 0.0]]), jnp.array([[1.0, 1.0]]))
    Array(0.29289323, dtype=float32)
    """

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        dtype = jnp.asarray(prediction).dtype
        p, y = real_target(prediction, target)
        if p.ndim < 1:
            raise ValueError(f"expected vectors (…, F), got {describe(p)}")
        cosine = (unit(p)[0] * unit(y)[0]).sum(-1)
        return 1 - cosine, {"prediction": p, "target": y, "dtype": Static(dtype)}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        (p, norm), (y, _) = unit(cache["prediction"]), unit(cache["target"])
        slope = (p * y).sum(-1, keepdims=True) * p - y
        slope = jnp.where(norm == 0, 0, slope / jnp.where(norm == 0, 1, norm))
        return (slope * (dterms[..., None] if dterms.ndim else dterms)).astype(cache["dtype"].value)


@dataclasses.dataclass(frozen=True)
class Triplet(Loss):
    """Asks the anchor to be closer to the positive than to the negative by a margin.

    Forward:   (a, b, c) = anchor, positive, negative;  t = max(0, s),  s = |a − b| − |a − c| + margin,
               value = Σ w t / Σ w
    Backward:  with u = (a − b)/|a − b|, v = (a − c)/|a − c| and g = dvalue · w / Σ w where s > 0, else 0:
               da = (u − v) g,  db = −u g,  dc = v g;  the direction between equal points is 0

    Cache:   ``prediction`` (…, 3, F), ``active``, s > 0 (…)
    Shapes:  prediction (…, 3, F): anchor, positive, negative; target None; weights of the leading axes → scalar

    The prediction is one array: a model that maps (N, 3, D) to (N, 3, F), as ``Dense`` and other layers on the last
    axis do, is trained on batches ``(inputs, None)`` or ``(inputs, None, weights)``.

    Errors: ``ValueError`` for a margin that is not above 0, for a prediction of another shape and for a target.

    >>> Triplet(1.0)(jnp.array([[[0.0], [3.0], [2.5]]]), None)
    Array(1.5, dtype=float32)

    Source: Schroff, Kalenichenko and Philbin 2015, eq. 3, with distances not squared.
    """

    margin: float

    def __post_init__(self) -> None:
        keep_in_range(self, margin=ABOVE_ZERO)

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        prediction = floating_array(prediction)
        if prediction.ndim < 2 or prediction.shape[-2] != 3:
            raise ValueError(
                f"expected a prediction (…, 3, F) of anchor, positive and negative, got {describe(prediction)}"
            )
        self.check(prediction, target)
        (_, near), (_, far) = self._directions(prediction)
        short = (near - far)[..., 0] + jnp.asarray(self.margin, near.dtype)
        met = short <= 0
        return jnp.where(met, 0, short), {"prediction": prediction, "active": ~met}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        prediction = cache["prediction"]
        # where, not a product with 0: a negative at infinite distance has no direction (NaN) and costs nothing.
        u, v = (jnp.where(cache["active"][..., None], each, 0) for each, _ in self._directions(prediction))
        g = dterms[..., None] if dterms.ndim else dterms
        return jnp.stack([(u - v) * g, -u * g, v * g], -2).astype(prediction.dtype)

    def check(self, prediction: Any, target: Any) -> None:
        if target is not None:
            raise ValueError(
                f"triplets have no target, got {describe(target)}; pass batches (inputs, None), inputs (N, 3, …)"
            )

    def kinks_at(self, prediction: Any, target: None) -> Kinks:
        near, far = (np.linalg.norm(prediction[..., 0, :] - prediction[..., i, :], axis=-1) for i in (1, 2))
        short = near - far + self.margin
        count = ((short == 0) | ((short > 0) & ((near == 0) | (far == 0)))).sum()
        return Kinks(int(count), near.size, "triplets are exactly on the margin, or have points that coincide")

    def _directions(self, prediction: jax.Array) -> tuple[tuple[jax.Array, jax.Array], ...]:
        x = prediction.astype(wide_dtype(prediction.dtype))
        anchor, positive, negative = (x[..., place, :] for place in range(3))
        return unit(anchor - positive), unit(anchor - negative)
