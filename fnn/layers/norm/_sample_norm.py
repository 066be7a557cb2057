"""The base of layers that normalise within each sample."""

import dataclasses
from typing import Any

import jax

from fnn.errors import floating_array
from fnn.guards.inputs import array_or_shape
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Cache, Layer, Params, State
from fnn.layers.norm._scaled import init_scaled, scaled, scaled_backward
from fnn.layers.norm._standardize import Axes, inverse_root, moments, normalized, standardize_backward


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

    def sets(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Axes]:
        """The shape to view an input of this shape in, and the axes of that view that make up a set."""
        raise NotImplementedError(f"{type(self).__name__} does not define sets")

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        self.sets(tuple(array_or_shape(x).shape))
        return init_scaled(self, x), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        view, axes = self.sets(x.shape)
        mean, var = moments(x.reshape(view), axes)
        inverse = inverse_root(var, self.epsilon)
        normal = normalized(x.reshape(view), mean, inverse).reshape(x.shape)
        y, kept = scaled(self, params, normal, x.dtype)
        return y, state, {"x": x, "mean": mean, "inverse": inverse, **kept}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        x, inverse = cache["x"], cache["inverse"]
        view, axes = self.sets(x.shape)
        normal = normalized(x.reshape(view), cache["mean"], inverse)
        dparams, dnormal = scaled_backward(self, cache, dy, normal.reshape(x.shape))
        dx = standardize_backward(dnormal.reshape(view), normal, inverse, axes)
        return dparams, dx.reshape(x.shape).astype(dy.dtype)
