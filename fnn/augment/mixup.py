"""Mixup."""

import dataclasses

import jax
import jax.numpy as jnp  # noqa: F401  (the example)

from fnn.augment.mixing import Mixing, blend


@dataclasses.dataclass(frozen=True)
class Mixup(Mixing):
    """Averages two samples:  x' = λ x + (1 − λ) x_p,  y' = λ y + (1 − λ) y_p,  λ ~ Beta(alpha, alpha).

    It maps ``(inputs, targets)``, or ``(inputs, targets, weights)``, to the same; ``fnn/augment/mixing.py`` explains
    pairs, weights and labels. λ is drawn for each sample, as in the paper (its code draws one per batch). Small alphas
    leave nearly all samples unchanged, 1 draws λ uniformly; an ``alpha`` of 0 mixes nothing. Training metrics use the
    mixed targets, like the loss; a metric that needs labels raises (validation data have labels).

    Shapes:  inputs (N, …) of any floating dtype, kept; integer labels (N, …) become (N, …, classes), floating targets
             keep shape and dtype; weights (N,)
    Errors: ``ValueError`` for an alpha below 0, a probability outside [0, 1], integer labels without ``classes`` or out
    of range (inside jit these become NaN), weights that are not (N,); ``TypeError`` if not a batch.

    >>> inputs, targets = Mixup(1.0, classes=2)(jax.random.key(1), (jnp.array([[0.0], [1.0]]), jnp.array([0, 1])))
    >>> inputs.ravel().round(2), targets.round(2)
    (Array([0.06, 0.75], dtype=float32), Array([[0.94, 0.06],
           [0.25, 0.75]], dtype=float32))

    Source: Zhang et al. 2018.
    """

    def mixed(self, key: jax.Array, own: jax.Array, other: jax.Array, share: jax.Array) -> tuple[jax.Array, jax.Array]:
        return blend(own, other, share), share
