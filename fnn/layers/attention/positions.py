"""Position embeddings added to the features: learned, or sinusoidal."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import floating_array, is_concrete, output_gradient, parameter, positive
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, VarianceScaling
from fnn.layer import Cache, Layer, Params, State, Static, float_dtype
from fnn.layers.attention._position import first_position, next_position, one_step
from fnn.layers.attention.rotary_embedding import angles


@dataclasses.dataclass(frozen=True)
class PositionalEmbedding(Layer, name="positional_embedding"):
    """Adds a learned vector to every position.

    Forward:   y[n, t, :] = x[n, t, :] + P[t, :]
    Backward:  dP[t, :] = Σₙ dy[n, t, :],  0 for positions past the input's;  dx = dy

    Params:  ``embedding`` P (length, F)
    State:   none
    Cache:   ``shape`` Static, of x
    Shapes:  (N, T, F) → the same, T ≤ length, any floating dtype, kept

    Errors: ``ValueError`` for T > length or an input that is not (N, T, F). A single step past the table raises too,
    and is NaN inside a program.

    >>> layer = PositionalEmbedding(10)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 4), "float32"))
    >>> params["embedding"].shape
    (10, 4)

    Source: Gehring et al. 2017, §3.1.
    """

    length: int
    _: dataclasses.KW_ONLY
    embedding_init: Initializer = VarianceScaling(in_axis=-1, out_axis=-2)

    over_time = "each step"

    def __post_init__(self) -> None:
        positive("length", self.length)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        _check_sequence(array_or_shape(x))
        return {"embedding": self.embedding_init(key, (self.length, x.shape[-1]), float_dtype(x))}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = _check_sequence(floating_array(x))
        if x.shape[1] > self.length:
            raise ValueError(f"expected at most {self.length} positions, got an input of length {x.shape[1]}")
        table = parameter(params, "embedding", (self.length, x.shape[-1]), x.dtype)
        return x + table[None, : x.shape[1]], state, {"shape": Static(x.shape)}

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> dict:
        if length > self.length:
            raise ValueError(f"expected at most {self.length} positions, got length={length}")
        return first_position()

    def step(self, params: Params, carry: dict, x: Any, *, state: State | None = None) -> tuple[jax.Array, dict]:
        x, position = one_step(x, 2, "(N, F)"), carry["position"]
        if is_concrete(position) and int(position) >= self.length:
            raise ValueError(f"expected at most {self.length} positions, got one more")
        table = parameter(params, "embedding", (self.length, x.shape[-1]), x.dtype)
        vector = jnp.where(position < self.length, lax.dynamic_index_in_dim(table, position), jnp.nan)
        return x + vector.astype(x.dtype), next_position(carry)

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        dy = output_gradient(dy, cache["shape"].value)
        dtable = jnp.pad(dy.sum(0), ((0, self.length - dy.shape[1]), (0, 0)))
        return {"embedding": dtable}, dy


@dataclasses.dataclass(frozen=True)
class SinusoidalEmbedding(Layer, name="sinusoidal_embedding"):
    """Adds sinusoids of the position, each pair of features with its own wavelength.

    Forward:   y[n, t, :] = x[n, t, :] + P[t, :],  P[t, 2i] = sin φ,  P[t, 2i + 1] = cos φ,  φ = t · 10000^(−2i/F)
    Backward:  dx = dy

    Params, State, Cache: none
    Shapes:  (N, T, F) → the same, any floating dtype, kept; the angles are accurate to float32 rounding at any position

    Errors: ``ValueError`` for an input that is not (N, T, F).

    >>> SinusoidalEmbedding().apply({}, {}, jnp.zeros((1, 2, 2)))[0].round(3)
    Array([[[0.   , 1.   ],
            [0.841, 0.54 ]]], dtype=float32)

    Source: Vaswani et al. 2017, §3.5.
    """

    over_time = "each step"

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = _check_sequence(floating_array(x))
        return x + _waves(jnp.arange(x.shape[1]), x)[None], state, {}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return {}, dy

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> dict:
        return first_position()

    def step(self, params: Params, carry: dict, x: Any, *, state: State | None = None) -> tuple[jax.Array, dict]:
        x = one_step(x, 2, "(N, F)")
        return x + _waves(carry["position"].reshape(1), x), next_position(carry)


def _waves(positions: jax.Array, x: jax.Array) -> jax.Array:
    """P (T, F) at these positions (T,)."""
    phi = angles(positions, x.shape[-1], x.dtype)
    waves = jnp.stack([jnp.sin(phi), jnp.cos(phi)], -1)
    return waves.reshape(len(positions), -1)[:, : x.shape[-1]].astype(x.dtype)


def _check_sequence(x: Any) -> Any:
    if x.ndim != 3:
        raise ValueError(f"expected an input (N, T, F), got the shape {tuple(x.shape)}")
    return x
