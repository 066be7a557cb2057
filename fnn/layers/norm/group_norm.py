"""Group normalisation."""

import dataclasses
import math

from fnn.errors import positive
from fnn.layers.norm._sample_norm import SampleNorm
from fnn.layers.norm._standardize import Sets


@dataclasses.dataclass(frozen=True)
class GroupNorm(SampleNorm, name="group_norm"):
    """Standardises groups of consecutive channels of every sample, then scales and shifts each channel.

    Forward:   μ, σ² over the C/groups channels of a group at all positions;  x̂ = (x − μ) r,  r = 1/√(σ² + ε)
               y = γ ⊙ x̂ + β
    Backward:  dγ = Σ dy ⊙ x̂,  dβ = Σ dy  (over all axes but the last),  dx̂ = γ ⊙ dy
               dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)),  the means over each group

    Params:  ``scale`` γ, ``bias`` β, each (C,); left out by ``use_scale=False``, ``use_bias=False``
    State:   none
    Cache:   ``x`` (N, …, C), ``mean``, ``inverse`` r (N, 1, …, groups), ``scale`` (C,) if any; x̂ is recomputed
    Shapes:  (N, …, C) → (N, …, C), with or without spatial axes; any floating dtype, kept; computed in at least float32

    With one group this is layer normalisation over the whole sample, with C groups ``InstanceNorm``.

    Errors: ``ValueError`` for a number of groups that does not divide the channels, for a group of one value (its
    variance is 0) and for an epsilon below 0; ``TypeError`` if ``groups`` is not an integer.

    >>> import jax, jax.numpy as jnp
    >>> layer = GroupNorm(2)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4), "float32"))
    >>> layer.apply(params, state, jnp.array([[1.0, 5.0, 30.0, 10.0]]))[0].round(3)
    Array([[-1.,  1.,  1., -1.]], dtype=float32)

    Source: Wu and He 2018, eq. 1 to 7.
    """

    groups: int

    over_time = "mixed"

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("groups", self.groups)

    def sets(self, shape: tuple[int, ...]) -> Sets:
        if len(shape) < 2:
            raise ValueError(f"expected an input (N, …, C), got the shape {shape}")
        channels = shape[-1]
        if channels % self.groups:
            raise ValueError(f"groups={self.groups} does not divide the {channels} channels of the input")
        if math.prod(shape[1:]) == self.groups:
            raise ValueError(
                f"a group needs at least two values for a variance, got one:"
                f" {channels} channels in {self.groups} groups at one position"
            )
        return Sets(shape, tuple(range(1, len(shape) - 1)), self.groups)
