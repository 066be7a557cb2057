"""The base of layers that normalise within each sample."""

import dataclasses
from typing import Any

import jax

from fnn.errors import floating_array, output_gradient
from fnn.guards.inputs import array_or_shape
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Cache, Layer, Params, State
from fnn.layers.norm._scaled import init_scaled, scale_of, scaled, scaled_gradients
from fnn.layers.norm._standardize import (
    Sets,
    inverse_root,
    moments,
    normalized,
    standardize_backward,
    sums_over_positions,
)


@dataclasses.dataclass(frozen=True)
class SampleNorm(Layer, name="sample_norm"):
    """Standardises sets of entries of a sample, then scales and shifts each channel; a subclass defines ``sets``.

    Forward:   μ, σ² of each set;  x̂ = (x − μ) r,  r = 1/√(σ² + ε);  y = γ ⊙ x̂ + β
    Backward:  dγ = Σ dy ⊙ x̂,  dβ = Σ dy,  dx̂ = γ ⊙ dy
               dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)),  the means over each set

    Cache:   ``x``, ``mean`` and ``inverse`` r, one per set, and ``scale`` if there is one; x̂ is recomputed

    If σ² of a set overflows, r and y are NaN, not the 0 that 1/∞ would give.
    """

    _: dataclasses.KW_ONLY
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True

    def __post_init__(self) -> None:
        keep_in_range(self, epsilon=AT_LEAST_ZERO)

    def sets(self, shape: tuple[int, ...]) -> Sets:
        """The sets of an input of this shape."""
        raise NotImplementedError(f"{type(self).__name__} does not define sets")

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        self.sets(tuple(array_or_shape(x).shape))
        return init_scaled(self, x), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        own = self.sets(x.shape)
        sets = own.merged(x)
        mean, var = moments(sets.of(x), sets)
        inverse = inverse_root(var, self.epsilon)
        normal = normalized(sets.of(x), sets.spread(mean), sets.spread(inverse))
        y, kept = scaled(self, params, normal, x.dtype)
        cache = {"x": x, "mean": mean.reshape(own.statistic), "inverse": inverse.reshape(own.statistic), **kept}
        return y.reshape(x.shape), state, cache

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        x = cache["x"]
        dy = output_gradient(dy, x.shape)
        dtype = dy.dtype
        sets = self.sets(x.shape).merged(x)
        mean, inverse = (sets.spread(cache[name].reshape(sets.statistic)) for name in ("mean", "inverse"))
        normal = normalized(sets.of(x), mean, inverse)
        dy = sets.of(dy).astype(normal.dtype)
        sums = sums_over_positions(dy, normal, sets)
        dx = standardize_backward(dy, normal, inverse, scale_of(cache, dy), sums, sets)
        return scaled_gradients(self, sums, dtype), dx.reshape(x.shape).astype(dtype)
