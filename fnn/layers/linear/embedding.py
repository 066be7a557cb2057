"""Embedding: a table with one vector per symbol."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, floating_array, is_concrete, output_gradient, parameter, positive
from fnn.guards.foreign import foreign
from fnn.guards.inputs import refuse_shapes
from fnn.initializers import Initializer, VarianceScaling
from fnn.layer import Cache, Layer, Params, State, wide_dtype
from fnn.layers._rows import times


@dataclasses.dataclass(frozen=True)
class Embedding(Layer, name="embedding"):
    """Looks up a vector for every index.

    Forward:   y[…, :] = E[x[…], :]
    Backward:  dE[v, :] = Σ_(…: x[…] = v) dy[…, :],  dx = None (indices have no gradient)

    Params:  ``embedding`` E (V, F)
    State:   none
    Cache:   ``x`` (…)
    Shapes:  integer (…) → (…, F)

    Errors: ``TypeError`` for indices that are not integers; outside jit ``ValueError`` for an index outside [0, V).
    Inside jit, where values are unknown, such an index gives a row of NaN and no gradient; it never wraps.

    ``attend`` scores every symbol with the same table. To tie the head of a model to its embedding, write
    ``Tied(Serial(embedding=Embedding(V, F), …, head=Dense(V, use_bias=False)), {"head/kernel":
    "embedding/embedding"}, transform="transpose")``: one table, trained with the gradients of both uses.

    >>> layer = Embedding(10, 4)
    >>> params, state = layer.init(jax.random.key(0), jnp.zeros((1, 3), int))
    >>> layer.apply(params, state, jnp.array([[1, 2, 3]]))[0].shape
    (1, 3, 4)
    """

    vocabulary: int
    features: int
    _: dataclasses.KW_ONLY
    embedding_init: Initializer = VarianceScaling(in_axis=-1, out_axis=-2)

    over_time = "each step"

    def __post_init__(self) -> None:
        positive("vocabulary", self.vocabulary)
        positive("features", self.features)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        refuse_shapes(x)
        dtype = jnp.zeros(()).dtype
        return {"embedding": self.embedding_init(key, (self.vocabulary, self.features), dtype)}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = self._indices(x)
        table = params.get("embedding") if isinstance(params, dict) else None
        dtype = jnp.zeros(()).dtype if table is None else table.dtype
        table = parameter(params, "embedding", (self.vocabulary, self.features), dtype)
        y = table.at[x].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        return y, state, {"x": x}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, None]:
        dy = output_gradient(dy, (*cache["x"].shape, self.features))
        wide = jnp.zeros((self.vocabulary, self.features), wide_dtype(dy.dtype))
        rows = wide.at[cache["x"]].add(dy.astype(wide.dtype), mode="drop", wrap_negative_indices=False)
        return {"embedding": rows.astype(dy.dtype)}, None

    def attend(self, params: Params, x: Any) -> jax.Array:
        """The logits of every symbol: the products of a vector with each row of the table.

        Forward:   y = x Eᵀ
        Backward:  dx = dy E,  dE = dyᵀ x  (summed over all leading axes), as for ``Dense`` with the kernel Eᵀ

        Shapes:  (…, F) → (…, V), any floating dtype, kept. Errors: ``ValueError`` for another last axis.
        """
        x = floating_array(x)
        table = parameter(params, "embedding", (self.vocabulary, self.features), x.dtype)
        if x.ndim < 1 or x.shape[-1] != self.features:
            raise ValueError(f"expected vectors (…, {self.features}), got the shape {x.shape}")
        return times(x, table.T)

    def _indices(self, given: Any) -> jax.Array:
        if isinstance(given, tuple | list | dict | None):
            raise TypeError(f"expected one array of indices, got {describe(given)}")
        if (other := foreign(given)) is not None:
            raise other.refusal("expected one array of indices")
        x = jnp.asarray(given)
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise TypeError(f"expected integer indices, got {describe(x)}")
        if x.size == 0:
            raise ValueError(f"the batch is empty: {describe(x)}")
        if is_concrete(given):
            # Checked before conversion to JAX's default 32-bit integers, into which larger NumPy ones wrap silently.
            values = np.asarray(given)
            low, high = int(values.min()), int(values.max())
            if low < 0 or high >= self.vocabulary:
                raise ValueError(f"indices lie in [0, {self.vocabulary}), got values from {low} to {high}")
        return x.astype(jnp.int32) if x.dtype.itemsize < 4 else x  # 8 bits cannot count up to V
