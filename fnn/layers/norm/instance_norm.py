"""Instance normalisation."""

import dataclasses
import math

from fnn.layers.norm._sample_norm import SampleNorm
from fnn.layers.norm._standardize import Sets


@dataclasses.dataclass(frozen=True)
class InstanceNorm(SampleNorm, name="instance_norm"):
    """Standardises every channel of every sample over its positions, then scales and shifts it.

    Forward:   μ, σ² over the spatial axes;  x̂ = (x − μ) r,  r = 1/√(σ² + ε);  y = γ ⊙ x̂ + β
    Backward:  dγ = Σ dy ⊙ x̂,  dβ = Σ dy  (over all axes but the last),  dx̂ = γ ⊙ dy
               dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)),  the means over the spatial axes

    Params:  ``scale`` γ, ``bias`` β, each (C,); left out by ``use_scale=False``, ``use_bias=False``
    State:   none
    Cache:   ``x`` (N, spatial, C), ``mean``, ``inverse`` r (N, 1, …, C), ``scale`` (C,) if any; x̂ is recomputed
    Shapes:  (N, spatial, C) → (N, spatial, C), any floating dtype, kept; computed in at least float32

    Errors: ``ValueError`` for an input without spatial axes, for a single position (its variance is 0) and for an
    epsilon below 0.

    >>> import jax, jax.numpy as jnp
    >>> layer = InstanceNorm()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2, 2), "float32"))
    >>> layer.apply(params, state, jnp.array([[[1.0, 30.0], [5.0, 10.0]]]))[0].round(3).tolist()
    [[[-1.0, 1.0], [1.0, -1.0]]]

    Source: Ulyanov, Vedaldi and Lempitsky 2016, eq. 3.
    """

    over_time = "mixed"

    def sets(self, shape: tuple[int, ...]) -> Sets:
        if len(shape) < 3:
            raise ValueError(f"expected an input (N, spatial, …, C), got the shape {shape}")
        if math.prod(shape[1:-1]) == 1:
            raise ValueError(f"a channel needs at least two positions for a variance, got one: {shape}")
        return Sets(shape, tuple(range(1, len(shape) - 1)), shape[-1])
