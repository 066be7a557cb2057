"""A dense layer between blocks of axes: how attention goes from features to heads and back."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax

from fnn.errors import floating_array, parameter
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State
from fnn.layers._rows import product_of_rows
from fnn.layers.linear.dense import Dense


@dataclasses.dataclass(frozen=True)
class HeadProjection(Layer, name="head_projection"):
    """A dense layer from the last ``contracted`` axes of the input to the axes ``features`` of the output.

    Forward:   y = x W + b  with the input axes D merged into one, and the output axes F too
    Backward:  dW = xᵀ dy,  db = Σ dy  (both summed over all leading axes),  dx = dy Wᵀ, as for ``Dense``

    Params:  ``kernel`` W (*D, *F), ``bias`` b (*F) unless ``use_bias=False``
    Cache:   ``x`` (…, *D), ``kernel`` (*D, *F)
    Shapes:  (…, *D) → (…, *F), any floating dtype, kept

    The initialisers see the kernel as a matrix, so that its fans are Π D and Π F.

    >>> layer = HeadProjection((2, 3))
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4), "float32"))
    >>> params["kernel"].shape
    (4, 2, 3)
    """

    features: tuple[int, ...]
    _: dataclasses.KW_ONLY
    contracted: int = 1
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    over_time = "each step"

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        inputs = array_or_shape(x).shape[-self.contracted :]
        flat = jax.ShapeDtypeStruct((*x.shape[: -self.contracted], math.prod(inputs)), x.dtype)
        return self._folded(self._dense.init(key, flat)[0], inputs), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        leading, inputs = x.shape[: -self.contracted], x.shape[-self.contracted :]
        kernel = parameter(params, "kernel", (*inputs, *self.features), x.dtype)
        flat = {"kernel": kernel.reshape(math.prod(inputs), -1)}
        if self.use_bias:
            flat["bias"] = parameter(params, "bias", self.features, x.dtype).reshape(-1)
        y, _, _ = self._dense.forward(flat, {}, x.reshape(*leading, -1))
        return y.reshape(*leading, *self.features), state, {"x": x, "kernel": kernel}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return self.gradients(cache, dy, product_of_rows)

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, jax.Array]:
        """``backward``, with ``kernel_gradient(x, dy)`` in the place of xᵀ dy, reshaped to the kernel's axes."""
        x, kernel = cache["x"], cache["kernel"]
        leading, inputs = x.shape[: -self.contracted], x.shape[-self.contracted :]
        flat = {"x": x.reshape(*leading, -1), "kernel": kernel.reshape(math.prod(inputs), -1)}
        dparams, dx = self._dense.gradients(flat, dy.reshape(*leading, -1), kernel_gradient)
        return self._folded(dparams, inputs), dx.reshape(x.shape)

    @property
    def _dense(self) -> Dense:
        """The same map with merged axes."""
        return Dense(
            math.prod(self.features),
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
        )

    def _folded(self, params: Params, inputs: tuple[int, ...]) -> Params:
        shapes = {"kernel": (*inputs, *self.features), "bias": self.features}
        return {name: leaf.reshape(shapes[name]) for name, leaf in params.items()}
