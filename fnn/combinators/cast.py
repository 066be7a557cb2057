"""Mixed precision: a layer computed in another dtype."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import Visit
from fnn.combinators.reparameterized import Reparameterized
from fnn.errors import is_floating
from fnn.layer import Cache, Layer, Params, State, Static, floating_leaves
from fnn.walk import map_nodes


@dataclasses.dataclass(frozen=True)
class Cast(Reparameterized, name="cast"):
    """Runs the inner layer in the dtype ``compute``; parameters, inputs, outputs and gradients keep their dtypes.

    Forward:   x' = x, θ' = θ in ``compute``;  y = f(x'; θ') in the dtype of x
    Backward:  dy' = dy in ``compute``;  dx, dθ = the inner backward, in the dtypes of x and θ

    Params, State: the inner ones unchanged: master weights and running statistics keep their precision
    Cache:     ``inner``: the inner cache, in ``compute``; ``dtypes`` Static, of the floating leaves of x; and the other
               entries of ``Reparameterized``
    Shapes:    those of the inner layer; if the input is only indices, the output has the dtype of the parameters

    Norms, softmax and losses accumulate in float32 whatever the input dtype; products of bfloat16 do so on every
    platform. There is no loss scaling, which float16 (not bfloat16) may need.

    Errors: ``ValueError`` for a dtype that is not floating, or float64 without x64; ``TypeError`` if not a dtype.

    >>> from fnn.layers import Dense
    >>> layer = Cast(Dense(3))
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> y, _, cache = layer.forward(params, state, jnp.ones((5, 2)))
    >>> params["kernel"].dtype.name, cache["inner"]["x"].dtype.name, y.dtype.name
    ('float32', 'bfloat16', 'float32')

    Source: Micikevicius et al. 2018, §3.1.
    """

    compute: str = "bfloat16"

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            dtype = jnp.dtype(self.compute)
        except TypeError:
            raise TypeError(f"compute is a floating dtype such as 'bfloat16', got {self.compute!r}") from None
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(f"compute is a floating dtype such as 'bfloat16', got {dtype.name!r}")
        object.__setattr__(self, "compute", dtype.name)

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        return _cast(params, self.compute), state, {"dtypes": Static(_dtypes(params))}

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        return _back(dparams, cache["dtypes"].value)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, state, cache = super().forward(params, state, self._lowered(x), train=train, key=key)
        return _cast(y, _outer(x, params)), state, {**cache, "dtypes": Static(_dtypes(x))}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        y, state = super().apply(params, state, self._lowered(x), train=train, key=key)
        return _cast(y, _outer(x, params)), state

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        y, carry = super().step(params, carry, self._lowered(x), state=state)
        return _cast(y, _outer(x, params)), carry

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        report, dx = super().fold(cache, _cast(dy, self.compute), visit)
        return report, _back(dx, cache["dtypes"].value)

    def _lowered(self, x: Any) -> Any:
        if jax.dtypes.canonicalize_dtype(self.compute) != self.compute:
            raise ValueError(
                f"compute={self.compute!r} is not available; switch it on with"
                f" jax.config.update('jax_enable_x64', True)"
            )
        return _cast(x, self.compute)


def uncast(layer: Layer) -> Layer:
    """The layer with every ``Cast`` inside removed: the same function without its rounding."""
    return map_nodes(lambda node: node.layer.inner if isinstance(node.layer, Cast) else node.layer, layer)


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype if is_floating(leaf) else None), tree)


def _dtypes(tree: Any) -> tuple:
    return tuple(jnp.asarray(leaf).dtype for leaf in floating_leaves(tree)[0])


def _back(gradient: Any, dtypes: tuple) -> Any:
    leaves, rebuild = floating_leaves(gradient)
    return rebuild([leaf.astype(dtype) for leaf, dtype in zip(leaves, dtypes, strict=True)])


def _outer(x: Any, params: Params) -> Any:
    """The dtype of the output: that of the input, else of the parameters, else JAX's default."""
    return next(iter(_dtypes(x) or _dtypes(params)), jnp.zeros(()).dtype)
