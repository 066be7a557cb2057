"""The dense (fully connected) layer."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from fnn.errors import floating_array, output_gradient, parameter, positive
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State, float_dtype
from fnn.layers._rows import product_of_rows, times
from fnn.layers.linear._kernel_and_bias import add_bias, affine_gradients, init_affine


@dataclasses.dataclass(frozen=True)
class Dense(Layer, name="dense"):
    """An affine map of the last axis.

    Forward:   y = x W + b
    Backward:  dW = xᵀ dy,  db = Σ dy  (both summed over all leading axes),  dx = dy Wᵀ

    Params:  ``kernel`` W (D, F), ``bias`` b (F,) unless ``use_bias=False``
    State:   none
    Cache:   ``x`` (…, D), ``kernel`` (D, F)
    Shapes:  (…, D) → (…, F), any floating dtype, kept

    Errors: ``ValueError`` if the last axis does not match the kernel, ``TypeError`` for an input that is not floating
    or not of the parameters' dtype.

    >>> layer = Dense(3)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> layer.apply(params, state, jax.numpy.ones((5, 2)))[0].shape
    (5, 3)

    Source: Rumelhart, Hinton and Williams 1986, with rows as samples.
    """

    features: int
    _: dataclasses.KW_ONLY
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    over_time = "each step"

    def __post_init__(self) -> None:
        positive("features", self.features)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        if array_or_shape(x).ndim < 1:
            raise ValueError("expected an input (…, D), got a scalar")
        return init_affine(self, key, (x.shape[-1], self.features), float_dtype(x)), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        if x.ndim < 1:
            raise ValueError("expected an input (…, D), got a scalar")
        kernel = parameter(params, "kernel", (x.shape[-1], self.features), x.dtype)
        return add_bias(self, params, times(x, kernel)), state, {"x": x, "kernel": kernel}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return self.gradients(cache, dy, product_of_rows)

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, jax.Array]:
        """``backward``, with ``kernel_gradient(x, dy)`` in the place of xᵀ dy."""
        x, kernel = cache["x"], cache["kernel"]
        dy = output_gradient(dy, (*x.shape[:-1], self.features))
        return affine_gradients(self, kernel_gradient(x, dy), dy), times(dy, kernel.T)
