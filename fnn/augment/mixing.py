"""What all augmentations that mix samples share: pairs, shares, targets and weights.

They map a whole batch to a batch, ``(inputs, targets)`` or ``(inputs, targets, weights)``. Every sample i has a partner
p(i), from one permutation of the batch, and its own share λ ~ Beta(α, α), from its own key:

    x'ᵢ = xᵢ and x_p mixed by the subclass with the share λ; it may replace λ by the share that is really left of xᵢ
    y'ᵢ = λ yᵢ + (1 − λ) y_p                      integer labels as one-hot rows of ``classes``

With weights, a sample should count as yᵢ with weight λ wᵢ and as y_p with weight (1 − λ) w_p, so

    w'ᵢ = λ wᵢ + (1 − λ) w_p        y'ᵢ = (λ wᵢ yᵢ + (1 − λ) w_p y_p) / w'ᵢ

For a loss that is linear in its target, like cross-entropy, w' loss(y') is then the sum of both. A sample of weight 0
may hold anything, so it is never mixed with another: λ = 1 for both.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from fnn.augment.augmentation import Augmentation, image_keys
from fnn.augment.coin import coin
from fnn.augment.strength import NOT_NEGATIVE, SHARE, keep_strengths
from fnn.errors import describe, exact_array, floating_array, is_floating, positive
from fnn.guards.ranges import nan_where_any
from fnn.layer import named_key, wide_dtype
from fnn.losses.labels import at_class, class_labels, is_class
from fnn.losses.loss import check_weights
from fnn.objective import unpacked


@dataclasses.dataclass(frozen=True)
class Mixing(Augmentation):
    """The base: a subclass defines ``mixed``; the equations are at the top of this file.

    An ``alpha`` or ``probability`` of 0 mixes nothing: λ = 1, but labels still become one-hot rows.
    """

    alpha: float
    _: dataclasses.KW_ONLY
    classes: int | None = None
    probability: float = 1.0

    mixes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        keep_strengths(self, alpha=NOT_NEGATIVE, probability=SHARE)
        if self.classes is not None:
            positive("classes", self.classes)

    def mixed(self, key: jax.Array, own: jax.Array, other: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The mix of a sample with another, and the share that is left of its own; ``own`` if ``share`` is 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define mixed")

    def __call__(self, key: jax.Array, images: Any) -> Any:
        inputs, targets, weights = unpacked(images)
        inputs = floating_array(inputs)
        targets = self._soft(targets, wide_dtype(inputs.dtype))
        partner = jax.random.permutation(named_key(key, "partner"), len(inputs))
        keys = image_keys(key, len(inputs))
        share = jax.vmap(self._share)(keys)
        if weights is not None:
            weights = self._weights(weights, len(inputs))
            share = jnp.where((weights == 0) | (weights[partner] == 0), 1, share)
        inputs, share = jax.vmap(self.mixed)(keys, inputs, inputs[partner], share)
        inputs = nan_where_any([self.alpha, self.probability], inputs)
        if weights is None:
            return inputs, blend(targets, targets[partner], share)
        parts = share.astype(weights.dtype) * weights, (1 - share).astype(weights.dtype) * weights[partner]
        total = parts[0] + parts[1]
        share = jnp.where(total == 0, 1, parts[0] / jnp.where(total == 0, 1, total))
        return inputs, blend(targets, targets[partner], share), total

    def _share(self, key: jax.Array) -> jax.Array:
        """λ in float32; 1 for a sample that is not mixed."""
        alpha = jnp.asarray(self.alpha, np.float32)
        shape = jnp.where(alpha > 0, alpha, 1)
        drawn = jax.random.beta(named_key(key, "share"), shape, shape, dtype=np.float32)
        return jnp.where((alpha > 0) & coin(named_key(key, "whether"), self.probability), drawn, 1)

    def _soft(self, targets: Any, dtype: Any) -> jax.Array:
        targets = exact_array(targets)
        if is_floating(targets):
            return targets
        if not jnp.issubdtype(targets.dtype, jnp.integer):
            raise TypeError(f"targets to be mixed are labels or floating numbers, got {describe(targets)}")
        if self.classes is None:
            name = type(self).__name__
            raise ValueError(
                f"integer targets cannot be mixed, got {describe(targets)}; for labels of 10 classes write"
                f" {name}({self.alpha}, classes=10), which makes distributions of them; cast numbers to floating"
            )
        shape = (*targets.shape, self.classes)
        labels = class_labels(targets, jax.ShapeDtypeStruct(shape, dtype))
        # Inside jit, where it cannot raise, a label that does not exist becomes NaN.
        return jnp.where(is_class(labels, self.classes)[..., None], at_class(labels, shape), jnp.nan).astype(dtype)

    def _weights(self, weights: Any, samples: int) -> jax.Array:
        check_weights(weights)
        weights = jnp.asarray(weights)
        if weights.shape != (samples,):
            raise ValueError(
                f"{type(self).__name__} mixes whole samples, so it needs one weight per sample, ({samples},), got"
                f" {describe(weights)}"
            )
        return weights if is_floating(weights) else weights.astype(jnp.zeros(()).dtype)


def blend(own: jax.Array, other: jax.Array, share: jax.Array) -> jax.Array:
    """share · own + (1 − share) · other, one share per sample; exactly ``own``, bit for bit, for a share of 1."""
    wide = wide_dtype(own.dtype)
    share = share.astype(wide).reshape(share.shape + (1,) * (own.ndim - share.ndim))
    both = share * own.astype(wide) + (1 - share) * other.astype(wide)
    return jnp.where(share == 1, own, both.astype(own.dtype))


def mixes(augmentation: Any) -> bool:
    """Whether an augmentation mixes samples, and so maps whole batches."""
    return getattr(augmentation, "mixes", False)


def augmented(augmentation: Any, key: jax.Array, batch: tuple) -> tuple:
    """The batch with its inputs augmented, or the whole batch if the augmentation mixes samples."""
    if mixes(augmentation):
        return augmentation(key, batch)
    inputs, *others = batch
    return (augmentation(key, inputs), *others)
