"""Root-mean-square normalisation."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import floating_array, output_gradient
from fnn.guards.inputs import array_or_shape
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Cache, Layer, Params, State, wide_dtype
from fnn.layers.norm._scaled import init_scaled, scale_of, scaled, scaled_gradients
from fnn.layers.norm._standardize import inverse_root, rescale_backward, rows_of, sums_over_positions


@dataclasses.dataclass(frozen=True)
class RMSNorm(Layer, name="rms_norm"):
    """Divides the channels at every position by their root mean square, then scales each.

    Forward:   x̂ = x r,  r = 1/√(mean(x²) + ε),  the mean over the last axis;  y = γ ⊙ x̂
    Backward:  dγ = Σ dy ⊙ x̂  (over all leading axes),  dx̂ = γ ⊙ dy,  dx = r (dx̂ − x̂ · mean(dx̂ ⊙ x̂))

    Params:  ``scale`` γ (C,), left out by ``use_scale=False``
    State:   none
    Cache:   ``x`` (…, C), ``inverse`` r (…, 1), ``scale`` (C,) if any; x̂ is recomputed
    Shapes:  (…, C) → (…, C), any floating dtype, kept; computed in at least float32

    A single channel is allowed and keeps only its sign, x̂ = sign(x) where x² ≫ ε; in ``LayerNorm``, which raises,
    nothing would be left of it.

    Errors: ``ValueError`` for a scalar and for an epsilon below 0.

    >>> layer = RMSNorm()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4), "float32"))
    >>> layer.apply(params, state, jnp.array([[0.0, -8.0, 0.0, 0.0]]))[0].round(3)
    Array([[ 0., -2.,  0.,  0.]], dtype=float32)

    Source: Zhang and Sennrich 2019, eq. 4.
    """

    _: dataclasses.KW_ONLY
    epsilon: float = 1e-6
    use_scale: bool = True

    over_time = "each step"

    def __post_init__(self) -> None:
        keep_in_range(self, epsilon=AT_LEAST_ZERO)

    @property
    def use_bias(self) -> bool:
        return False

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        _check_axes(array_or_shape(x))
        return init_scaled(self, x), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        _check_axes(x)
        sets = rows_of(x.shape).merged(x)
        wide = sets.of(x).astype(wide_dtype(x.dtype))
        inverse = inverse_root(sets.mean(jnp.square(wide)), self.epsilon)
        y, kept = scaled(self, params, wide * inverse, x.dtype)
        y, inverse = y.reshape(x.shape), inverse.reshape(*x.shape[:-1], 1)
        return y, state, {"x": x, "inverse": inverse, **kept}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        x = cache["x"]
        dy = output_gradient(dy, x.shape)
        dtype, sets = dy.dtype, rows_of(x.shape).merged(x)
        inverse = cache["inverse"].reshape(sets.statistic)
        normal = sets.of(x).astype(inverse.dtype) * inverse
        dy = sets.of(dy).astype(normal.dtype)
        sums = sums_over_positions(dy, normal, sets)
        dx = rescale_backward(dy, normal, inverse, scale_of(cache, dy), sums, sets)
        return scaled_gradients(self, sums, dtype), dx.reshape(x.shape).astype(dtype)


def _check_axes(x: Any) -> None:
    if x.ndim < 1:
        raise ValueError("expected an input (…, C), got a scalar")
