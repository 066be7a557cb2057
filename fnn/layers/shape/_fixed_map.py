"""The base of linear layers without parameters: y = A x and dx = Aᵀ dy."""

import dataclasses
from typing import Any

import jax

from fnn.errors import one_array, output_gradient
from fnn.layer import Cache, Layer, Params, State, Static
from fnn.layers.conv._windows import per_axis


@dataclasses.dataclass(frozen=True)
class FixedMap(Layer):
    """The base of fixed linear maps: a subclass defines ``mapped`` and, right below, its ``transpose``.

    Forward:   y = A x
    Backward:  dx = Aᵀ dy, None for an input that is not floating (indices for an embedding, say)

    Cache:   ``shape`` Static, of x
    """

    over_time = "mixed"

    def mapped(self, x: jax.Array) -> jax.Array:
        """A x."""
        raise NotImplementedError

    def transpose(self, dy: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """Aᵀ dy for an x of this shape."""
        raise NotImplementedError

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = one_array(x)
        if x.ndim < 1:
            raise ValueError("expected an input (N, …), got a scalar")
        return self.mapped(x), state, {"shape": Static(x.shape)}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        if dy is None:
            return {}, None
        shape = cache["shape"].value
        mapped = jax.eval_shape(self.mapped, jax.ShapeDtypeStruct(shape, dy.dtype))
        return {}, self.transpose(output_gradient(dy, mapped.shape), shape)


def spatial_factors(x: jax.Array, name: str, factors: int | tuple[int, ...]) -> tuple[int, ...]:
    """One factor for each spatial axis of an image."""
    if x.ndim < 3:
        raise ValueError(f"expected an input (N, spatial, …, C), got the shape {x.shape}")
    return per_axis(name, factors, x.ndim - 2)
