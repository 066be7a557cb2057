"""Layer normalisation."""

import dataclasses

from fnn.layers.norm._sample_norm import SampleNorm
from fnn.layers.norm._standardize import Sets, rows_of


@dataclasses.dataclass(frozen=True)
class LayerNorm(SampleNorm, name="layer_norm"):
    """Standardises the channels at every position, then scales and shifts each.

    Forward:   μ, σ² over the last axis;  x̂ = (x − μ) r,  r = 1/√(σ² + ε);  y = γ ⊙ x̂ + β
    Backward:  dγ = Σ dy ⊙ x̂,  dβ = Σ dy  (over all leading axes),  dx̂ = γ ⊙ dy
               dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)),  the means over the last axis

    Params:  ``scale`` γ, ``bias`` β, each (C,); left out by ``use_scale=False``, ``use_bias=False``
    State:   none
    Cache:   ``x`` (…, C), ``mean``, ``inverse`` r (…, 1), ``scale`` (C,) if any; x̂ is recomputed
    Shapes:  (…, C) → (…, C), any floating dtype, kept; computed in at least float32

    Errors: ``ValueError`` for a scalar, for a single channel (its variance is 0) and for an epsilon below 0.

    >>> import jax, jax.numpy as jnp
    >>> layer = LayerNorm()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> layer.apply(params, state, jnp.array([[1.0, 5.0]]))[0].round(3)
    Array([[-1.,  1.]], dtype=float32)

    Source: Ba, Kiros and Hinton 2016, eq. 3 and 4.
    """

    over_time = "each step"

    def sets(self, shape: tuple[int, ...]) -> Sets:
        if len(shape) < 1:
            raise ValueError("expected an input (…, C), got a scalar")
        if shape[-1] == 1:
            raise ValueError(f"a position needs at least two channels for a variance, got one: {shape}")
        return rows_of(shape)
