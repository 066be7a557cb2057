"""Cross-entropy from logits, over classes or over independent yes-or-no answers."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array, floating_array, is_concrete
from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, Range, is_number, keep_in_range
from fnn.layer import Cache, Static, wide_dtype
from fnn.losses.class_weight import Classification
from fnn.losses.labels import at_class, class_labels, is_class
from fnn.losses.logits import log_sum_of, shares, shifted
from fnn.losses.pairs import same_shape

SMOOTHING = Range("in [0, 1)", FRACTION.holds, verb="lies")
STRENGTH = Range("a finite strength of at least 0", NOT_NEGATIVE.holds)


@dataclasses.dataclass(frozen=True)
class CrossEntropy(Classification):
    """Softmax and cross-entropy together, from logits.

    Forward:   t = (Σᵢ qᵢ) L − Σᵢ qᵢ zᵢ + λ L²,  L = log Σⱼ e^(zⱼ);  value = Σ w t / Σ w
               q the target distribution: for a label c with smoothing s, qᵢ = (1 − s) [i = c] + s/V
               λ = ``z_loss``, which keeps L near 0; the first two terms are computed from z minus its largest entry
    Backward:  dz = ((Σᵢ qᵢ + 2 λ L) softmax(z) − q) · dvalue · w / Σ w;  for labels and the plain mean, (p − y)/N

    Cache:   ``logits`` z (…, V) and ``target``, unchanged; ``log_sum`` (…, 1), L minus the largest entry of z
    Shapes:  logits (…, V); target integer (…), or one-hot or soft (…, V); weights of the leading axes → scalar

    Labels equal to ``ignore_index`` do not count, in Σ w either. ``class_weight`` c (V,), a dict or ``"balanced"``: the
    weights w are multiplied by c at the label, or by Σᵢ qᵢ cᵢ of the target as it is given (see ``Classification``).
    A logit of −∞ makes a class impossible: it costs nothing and has gradient 0, unless the target gives it probability
    (as smoothing does); then the value is ∞. A logit of +∞ makes it certain: the term is 0 for its label and ∞ for any
    other; with two of them the value is NaN.

    Errors: ``ValueError`` for a target of another shape, for options out of range and, outside jit, for a label outside
    [0, V); ``TypeError`` for a target of shape (…) that is not integer. Inside jit, where values are unknown, such a
    label makes the value NaN; it never wraps.

    >>> CrossEntropy()(jnp.array([[0.0, 0.0], [0.0, 0.0]]), jnp.array([0, 1]))
    Array(0.6931472, dtype=float32)

    Source: Bridle 1990; label smoothing: Szegedy et al. 2016, §7; z-loss: Chowdhery et al. 2022, §5.
    """

    applies = "softmax"

    _: dataclasses.KW_ONLY
    label_smoothing: float = 0.0
    ignore_index: int | None = None
    z_loss: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_in_range(self, label_smoothing=SMOOTHING, z_loss=STRENGTH)

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits = floating_array(prediction)
        target = self._target(logits, target)
        z, largest = self._shifted(logits, target)
        log_sum = log_sum_of(z, largest)
        q = self._distribution(target, z)
        terms = self._total(q, target)[..., 0] * log_sum[..., 0] - shares(q, z).sum(-1)
        if self._has_z_loss:
            terms = terms + jnp.asarray(self.z_loss, z.dtype) * jnp.square(log_sum + largest)[..., 0]
        if target.ndim < logits.ndim:
            terms = jnp.where(is_class(target, logits.shape[-1], self.ignore_index), terms, jnp.nan)
        return terms, {"logits": logits, "log_sum": log_sum, "target": target}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        logits, log_sum, target = cache["logits"], cache["log_sum"], cache["target"]
        z, largest = self._shifted(logits, target)
        q = self._distribution(target, z)
        if target.ndim < logits.ndim:
            dterms = jnp.where(is_class(target, logits.shape[-1], self.ignore_index), dterms, 0)
        slope = self._total(q, target)
        if self._has_z_loss:
            slope = slope + 2 * jnp.asarray(self.z_loss, z.dtype) * (log_sum + largest)
        dz = slope * jnp.exp(z - log_sum) - q
        return (dz * (dterms[..., None] if dterms.ndim else dterms)).astype(logits.dtype)

    def counted(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        target = jnp.asarray(target)
        if self.ignore_index is None or target.shape != shape:  # a distribution has one axis more
            return None
        return target != self.ignore_index

    @property
    def likelihood(self) -> "CrossEntropy":
        return CrossEntropy()

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Labels with the probabilities softmax(z)."""
        return jax.random.categorical(key, prediction.astype(wide_dtype(prediction.dtype)))

    @property
    def _has_z_loss(self) -> bool:
        return not is_number(self.z_loss) or self.z_loss != 0  # a tracer may be any number

    def check(self, prediction: Any, target: Any) -> None:
        self._target(prediction, target)

    def _target(self, logits: Any, target: Any) -> jax.Array:
        target = exact_array(target)
        if logits.ndim < 1 or target.shape not in (logits.shape, logits.shape[:-1]):
            raise ValueError(
                f"expected labels {logits.shape[:-1]} or a distribution {logits.shape} for logits {describe(logits)},"
                f" got {describe(target)}"
            )
        self.check_classes(logits.shape[-1])
        return target if target.ndim == logits.ndim else class_labels(target, logits, self.ignore_index)

    def _shifted(self, logits: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The logits minus the largest, and the largest."""
        z = logits.astype(wide_dtype(logits.dtype))
        if self.ignore_index is not None and target.ndim < z.ndim:
            z = jnp.where((target == self.ignore_index)[..., None], 0, z)  # they may be NaN
        return shifted(z)

    def _distribution(self, target: jax.Array, z: jax.Array) -> jax.Array:
        q = (target if target.ndim == z.ndim else at_class(target, z.shape)).astype(z.dtype)
        if is_number(self.label_smoothing) and self.label_smoothing == 0:
            return q
        smoothing = jnp.asarray(self.label_smoothing, z.dtype)
        # Smoothing preserves the sum of a target, whatever it is.
        return (1 - smoothing) * q + smoothing * q.mean(-1, keepdims=True)

    def _total(self, q: jax.Array, target: jax.Array) -> jax.Array:
        """Σᵢ qᵢ (…, 1): of a label it is 1, and 0 if it is no class, without a sum over the classes."""
        if target.ndim == q.ndim:
            return q.sum(-1, keepdims=True)
        return is_class(target, q.shape[-1])[..., None].astype(q.dtype)


@dataclasses.dataclass(frozen=True)
class BinaryCrossEntropy(Classification):
    """Sigmoid and cross-entropy together, from logits, for each entry independently.

    Forward:   t = y log(1 + e⁻ᶻ) + (1 − y) log(1 + e^z),  value = Σ w t / Σ w
    Backward:  dz = ((1 − y) sigmoid(z) − y sigmoid(−z)) · dvalue · w / Σ w,  which is (sigmoid(z) − y) · …

    Cache:   ``logits`` z and ``target`` y, unchanged; ``dtype`` Static, to compute in
    Shapes:  logits and target of one shape; the target boolean, integer or floating, in [0, 1] → scalar

    ``class_weight`` c holds the weights of 0 and of 1: w is multiplied by (1 − y) c₀ + y c₁. It is the same for every
    entry of a row (see ``Classification``); ``weights`` of the shape of the target can differ.

    A logit of ±∞ is a certain answer: if it is right, y = [z > 0], value and gradient are 0; if it is wrong, the value
    is ∞ and the gradient its limit, ±w / Σ w.

    Errors: ``ValueError`` for shapes that differ ((N, 1) against (N,) included) and, outside jit, for a target outside
    [0, 1]; inside jit such a target makes the value NaN.

    >>> BinaryCrossEntropy()(jnp.zeros(2), jnp.array([0, 1]))
    Array(0.6931472, dtype=float32)
    """

    applies = "sigmoid"
    classes = (0, 1)

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits, target = same_shape(prediction, target)
        self.check(logits, target)
        wide = wide_dtype(logits.dtype)
        z = logits.astype(wide)
        y = target.astype(wide)
        # A softplus for each answer: log(1 + e^z) − yz cancels to 0 for a confident right answer.
        terms = shares(y, jax.nn.softplus(-z)) + shares(1 - y, jax.nn.softplus(z))
        terms = terms + jnp.where((y >= 0) & (y <= 1), 0, jnp.nan).astype(wide)
        return terms, {"logits": logits, "target": target, "dtype": Static(wide)}

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Answers with the probability sigmoid(z) of a yes."""
        return jax.random.bernoulli(key, jax.lax.logistic(prediction.astype(wide_dtype(prediction.dtype))))

    def check(self, prediction: Any, target: Any) -> None:
        if is_concrete(target):
            values = np.asarray(target)
            if not np.all((values >= 0) & (values <= 1)):
                raise ValueError("targets are labels or probabilities in [0, 1]; labels ±1 are for hinge losses")

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        logits, wide = cache["logits"], cache["dtype"].value
        z, y = logits.astype(wide), cache["target"].astype(wide)
        slope = (1 - y) * jax.lax.logistic(z) - y * jax.lax.logistic(-z)
        return (slope * dterms).astype(logits.dtype)
