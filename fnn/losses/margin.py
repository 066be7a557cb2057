"""Margin losses: by how much an answer misses the required margin."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks
from fnn.errors import floating_array
from fnn.layer import Cache, Static, wide_dtype
from fnn.losses.class_weight import Classification
from fnn.losses.labels import at_class, check_signs, class_labels, is_class, is_sign
from fnn.losses.pairs import same_shape


@dataclasses.dataclass(frozen=True)
class SignedMargin(Classification):
    """The base of losses of the margin y z for labels ±1: the amount by which it falls short of ``least``.

    Forward:   t = max(0, s),  s = least − y z
    Backward:  dz = −y · dvalue · w / Σ w where t counts, else 0

    Cache:   ``slope`` −y or 0, ``dtype`` Static
    """

    classes = (-1, 1)
    least: ClassVar[float]

    def met(self, short: jax.Array) -> jax.Array:
        """Whether the margin is wide enough to cost nothing; a convention at ``short`` = 0."""
        raise NotImplementedError

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits, labels = same_shape(prediction, target)
        self.check(logits, labels)
        wide = wide_dtype(logits.dtype)
        valid: jax.Array = is_sign(labels.astype(wide))
        y = jnp.where(valid, labels.astype(wide), 0)
        short = jnp.where(valid, self.least - y * logits.astype(wide), jnp.nan)
        met = self.met(short)  # NaN meets no margin
        slope = jnp.where(met, 0, jnp.where(valid & jnp.isnan(short), jnp.nan, -y))
        return jnp.where(met, 0, short), {"slope": slope, "dtype": Static(logits.dtype)}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        return (cache["slope"] * dterms).astype(cache["dtype"].value)

    def check(self, prediction: Any, target: Any) -> None:
        check_signs(target)

    def kinks_at(self, prediction: Any, target: Any) -> Kinks:
        exact = prediction * target == self.least
        return Kinks(int(exact.sum()), prediction.size, f"margins are exactly {self.least:g}")


@dataclasses.dataclass(frozen=True)
class Hinge(SignedMargin):
    """The hinge loss of a linear support vector machine, for labels ±1.

    Forward:   t = max(0, 1 − y z),  value = Σ w t / Σ w
    Backward:  dz = −y · dvalue · w / Σ w where y z < 1, else 0; at the margin of exactly 1 it is 0

    Cache:   ``slope`` −y or 0, ``dtype`` Static
    Shapes:  outputs z and labels y (N, …) of one shape, weights w of its leading axes → scalar

    ``class_weight``: the weights of −1 and of 1, by which w is multiplied (see ``Classification``).

    With ``L2(1/(C N))`` on the kernel the minimum is that of the support vector machine ½‖w‖² + C Σ t.

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included) and, outside jit, for labels other than
    −1 and 1; inside jit such a label makes the value NaN.

    >>> Hinge()(jnp.array([0.5, -2.0, 3.0, -1.0]), jnp.array([1, 1, 1, -1]))
    Array(0.875, dtype=float32)

    Source: Cortes and Vapnik 1995.
    """

    least = 1.0

    def met(self, short: jax.Array) -> jax.Array:
        return short <= 0


@dataclasses.dataclass(frozen=True)
class PerceptronLoss(SignedMargin):
    """The perceptron criterion, for labels ±1: how far misclassified samples are on the wrong side.

    Forward:   t = max(0, −y z),  value = Σ w t / Σ w
    Backward:  dz = −y · dvalue · w / Σ w where y z ≤ 0, else 0; at y z = 0 it is −y, or zero weights would never learn

    Cache:   ``slope`` −y or 0, ``dtype`` Static
    Shapes:  outputs z and labels y (N, …) of one shape, weights w of its leading axes → scalar

    ``class_weight``: the weights of −1 and of 1, by which w is multiplied (see ``Classification``).

    Only misclassified samples add to the sum, and N times the value is −Σ y z over them. With batches of one sample and
    z = x·w + b, gradient descent with learning rate α is Rosenblatt's rule w ← w + α y x, b ← b + α y.

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included) and, outside jit, for labels other than
    −1 and 1; inside jit such a label makes the value NaN.

    >>> PerceptronLoss()(jnp.array([0.5, -2.0, 0.0]), jnp.array([1, 1, 1]))
    Array(0.6666667, dtype=float32)

    Source: Rosenblatt 1958; as a loss: Bishop 2006, eq. 4.54.
    """

    least = 0.0

    def met(self, short: jax.Array) -> jax.Array:
        return short < 0


@dataclasses.dataclass(frozen=True)
class MultiClassHinge(Classification):
    """The hinge loss of the label against its strongest rival class (Crammer and Singer).

    Forward:   r = argmax_(j≠c) zⱼ, the first of equals;  t = max(0, 1 + z_r − z_c), of the label c;
               value = Σ w t / Σ w
    Backward:  dz_c = −g, dz_r = g, 0 elsewhere, g = dvalue · w / Σ w where t > 0, else 0

    Cache:   ``labels`` c (…), ``rival`` r (…), ``slope`` (…), 1 where t > 0, else 0; ``shape`` and ``dtype`` Static
    Shapes:  logits z (…, V), V ≥ 2; integer labels (…); weights of the leading axes → scalar

    ``class_weight`` (V,), a dict or ``"balanced"``: w is multiplied by that of the label (see ``Classification``).

    Errors: ``ValueError`` for labels of another shape, for a single class and, outside jit, for a label outside [0, V);
    ``TypeError`` for labels that are not integers. Inside jit a label outside makes the value NaN.

    >>> MultiClassHinge()(jnp.array([[2.0, 1.5, -1.0], [0.0, 3.0, 0.0]]), jnp.array([0, 1]))
    Array(0.25, dtype=float32)

    Source: Crammer and Singer 2001.
    """

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits = floating_array(prediction)
        labels = class_labels(target, logits)
        self.check_classes(logits.shape[-1])
        if logits.shape[-1] < 2:
            raise ValueError(f"expected logits (…, V) of two classes or more, got the shape {logits.shape}")
        z = logits.astype(wide_dtype(logits.dtype))
        own = at_class(labels, z.shape)
        # By index, not by jnp.max, whose automatic gradient splits a tie.
        rivals = jnp.where(own, -jnp.inf, z)
        rival = jnp.argmax(rivals, -1).astype(labels.dtype)
        # Taken from the rivals: if all of them are −∞, the argmax may be the label. And 1 is added last, or a lead of 0
        # between large logits would cost nothing.
        lead = jnp.take_along_axis(rivals, rival[..., None], -1)[..., 0] - jnp.where(own, z, 0).sum(-1)
        valid: jax.Array = is_class(labels, z.shape[-1])
        short = jnp.where(valid, 1 + lead, jnp.nan)
        met = short <= 0
        facts = {"shape": Static(logits.shape), "dtype": Static(logits.dtype)}
        slope = jnp.where(valid & ~met, jnp.where(jnp.isnan(short), jnp.nan, 1), 0).astype(z.dtype)
        return jnp.where(met, 0, short), {"labels": labels, "rival": rival, "slope": slope, **facts}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        labels, rival, shape = cache["labels"], cache["rival"], cache["shape"].value
        g: jax.Array = (cache["slope"] * dterms)[..., None]
        dz = jnp.where(at_class(rival, shape), g, 0) - jnp.where(at_class(labels, shape), g, 0)
        return dz.astype(cache["dtype"].value)

    def check(self, prediction: Any, target: Any) -> None:
        class_labels(target, prediction)
        self.check_classes(prediction.shape[-1])

    def kinks_at(self, prediction: Any, target: Any) -> Kinks:
        own = np.take_along_axis(prediction, target[..., None].astype(int), -1)
        others = np.where(np.arange(prediction.shape[-1]) == target[..., None], -np.inf, prediction)
        short = 1 + others.max(-1) - own[..., 0]
        tied = (others == others.max(-1, keepdims=True)).sum(-1) > 1
        count = ((short == 0) | (tied & (short > 0))).sum()
        return Kinks(int(count), target.size, "margins are exactly 1, or those of several rivals")
