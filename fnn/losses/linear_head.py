"""The head of a loss that does the projection itself: it returns hidden vectors and kernel, not their product."""

import dataclasses
from typing import Any

import jax

from fnn.errors import floating_array, parameter, positive
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, LecunNormal
from fnn.layer import Cache, Layer, Params, State, float_dtype, named_key


@dataclasses.dataclass(frozen=True)
class LinearHead(Layer, name="linear_head"):
    """Returns its input together with its kernel, for a loss that multiplies them itself, a few rows at a time.

    Forward:   y = (h, W)
    Backward:  (dh, dW) = dy:  the loss has already computed the gradient of the kernel

    Params:  ``kernel`` W (D, V), like that of ``Dense(vocabulary, use_bias=False)``
    State:   none
    Cache:   nothing
    Shapes:  (…, D) → ((…, D), (D, V)), any floating dtype, kept

    Errors: ``ValueError`` for a scalar input, for a kernel of another shape and for a vocabulary that is not positive.

    >>> layer = LinearHead(10)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4), "float32"))
    >>> hidden, kernel = layer.apply(params, state, jax.numpy.ones((2, 4)))[0]
    >>> hidden.shape, kernel.shape
    ((2, 4), (4, 10))
    """

    vocabulary: int
    _: dataclasses.KW_ONLY
    kernel_init: Initializer = LecunNormal()

    over_time = "each step"

    def __post_init__(self) -> None:
        positive("vocabulary", self.vocabulary)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        if array_or_shape(x).ndim < 1:
            raise ValueError("expected an input (…, D), got a scalar")
        shape = (x.shape[-1], self.vocabulary)
        return {"kernel": self.kernel_init(named_key(key, "kernel"), shape, float_dtype(x))}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[tuple[jax.Array, jax.Array], State, Cache]:
        x = floating_array(x)
        return (x, parameter(params, "kernel", (x.shape[-1], self.vocabulary), x.dtype)), state, {}

    def backward(self, cache: Cache, dy: tuple[jax.Array, jax.Array]) -> tuple[Params, jax.Array]:
        dhidden, dkernel = dy
        return {"kernel": dkernel}, dhidden

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        return self.apply(params, {}, x)[0], carry  # the kernel has no axis of time
