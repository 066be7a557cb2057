"""Gated linear units: an affine map, multiplied elementwise by the activation of another."""

import dataclasses
from typing import Any, ClassVar

import jax

from fnn.backprop import Visit, own_backward
from fnn.errors import floating_array, output_gradient, part, positive
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State, named_key
from fnn.layers.activation._elementwise import Elementwise
from fnn.layers.activation.gelu import Gelu
from fnn.layers.activation.rectifiers import Relu
from fnn.layers.activation.sigmoids import Sigmoid
from fnn.layers.activation.swish import Silu
from fnn.layers.linear.dense import Dense


@dataclasses.dataclass(frozen=True)
class Gated(Layer):
    """The base of gated linear units: a subclass gives the activation a.

    Forward:   y = a(x W + b) ⊙ (x V + c)
    Backward:  as in ``GLU``
    """

    features: int
    _: dataclasses.KW_ONLY
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    activation: ClassVar[Elementwise]

    over_time = "each step"

    def __post_init__(self) -> None:
        positive("features", self.features)

    @property
    def _dense(self) -> Dense:
        """The dense layer of each of the two maps."""
        return Dense(self.features, use_bias=self.use_bias, kernel_init=self.kernel_init, bias_init=self.bias_init)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {name: self._dense.init(named_key(key, name), x)[0] for name in ("gate", "value")}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        gate, _, gate_cache = self._dense.forward(part(params, "gate"), {}, x)
        value, _, value_cache = self._dense.forward(part(params, "value"), {}, x)
        kernels = {"gate_kernel": gate_cache["kernel"], "value_kernel": value_cache["kernel"]}
        return self.activation(gate) * value, state, {"x": x, "gate": gate, "value": value, **kernels}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return self.fold(cache, dy, own_backward)

    def fold(self, cache: Cache, dy: jax.Array, visit: Visit) -> tuple[Any, jax.Array]:
        """``backward`` with ``visit`` in the place of the two dense layers' own."""
        x, value = cache["x"], cache["value"]
        dy = output_gradient(dy, value.shape)
        opened, _, activation_cache = self.activation.forward({}, {}, cache["gate"])
        _, dgate = self.activation.backward(activation_cache, dy * value)
        dgate_params, dx_gate = visit("gate", self._dense, {"x": x, "kernel": cache["gate_kernel"]}, dgate)
        dvalue_params, dx_value = visit("value", self._dense, {"x": x, "kernel": cache["value_kernel"]}, dy * opened)
        return {"gate": dgate_params, "value": dvalue_params}, dx_gate + dx_value


@dataclasses.dataclass(frozen=True)
class GLU(Gated, name="glu"):
    """The gated linear unit: an affine map, multiplied by the sigmoid of another.

    Forward:   y = a(g) ⊙ v,  g = x W + b,  v = x V + c,  a the sigmoid
    Backward:  dg = dy ⊙ v ⊙ a'(g),  dv = dy ⊙ a(g)
               dW = xᵀ dg,  db = Σ dg,  dV = xᵀ dv,  dc = Σ dv  (summed over all leading axes),  dx = dg Wᵀ + dv Vᵀ

    Params:  ``gate`` {``kernel`` W (D, F), ``bias`` b (F,)}, ``value`` {``kernel`` V (D, F), ``bias`` c (F,)}, without
             the biases if ``use_bias=False``
    State:   none
    Cache:   ``x`` (…, D), ``gate`` g and ``value`` v (…, F), ``gate_kernel`` W and ``value_kernel`` V; a(g) is
             recomputed
    Shapes:  (…, D) → (…, F), any floating dtype, kept

    For as many parameters as with plain layers, use two thirds of the hidden units (three matrices instead of two).

    Errors: ``ValueError`` if the last axis does not match the kernels, ``TypeError`` for an input that is not floating
    or not of the parameters' dtype.

    >>> layer = GLU(3)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))
    >>> layer.apply(params, state, jax.numpy.ones((5, 2)))[0].shape
    (5, 3)

    Source: Dauphin et al. 2017, eq. 1; Shazeer 2020, eq. 4.
    """

    activation = Sigmoid()


@dataclasses.dataclass(frozen=True)
class ReGLU(Gated, name="reglu"):
    """The gated linear unit with ReLU instead of the sigmoid; see ``GLU``.

    Forward:   y = relu(g) ⊙ v,  g = x W + b,  v = x V + c
    Backward:  dg = dy ⊙ v ⊙ relu'(g),  dv = dy ⊙ relu(g),  the rest as in ``GLU``;  relu'(g) = 1 for g > 0, else 0

    >>> ReGLU(3).init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))[0]["gate"]["kernel"].shape
    (2, 3)

    Source: Shazeer 2020, eq. 5.
    """

    activation = Relu()


@dataclasses.dataclass(frozen=True)
class GEGLU(Gated, name="geglu"):
    """The gated linear unit with the exact GELU instead of the sigmoid; see ``GLU``.

    Forward:   y = gelu(g) ⊙ v,  g = x W + b,  v = x V + c
    Backward:  dg = dy ⊙ v ⊙ gelu'(g),  dv = dy ⊙ gelu(g),  the rest as in ``GLU``;  gelu'(g) = Φ(g) + g φ(g)

    >>> GEGLU(3).init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))[0]["value"]["kernel"].shape
    (2, 3)

    Source: Shazeer 2020, eq. 5.
    """

    activation = Gelu()


@dataclasses.dataclass(frozen=True)
class SwiGLU(Gated, name="swiglu"):
    """The gated linear unit with SiLU instead of the sigmoid; see ``GLU``.

    Forward:   y = silu(g) ⊙ v,  g = x W + b,  v = x V + c
    Backward:  dg = dy ⊙ v ⊙ silu'(g),  dv = dy ⊙ silu(g),  the rest as in ``GLU``;  silu'(g) = s + g s (1 − s),
               s = sigmoid(g)

    >>> SwiGLU(3, use_bias=False).init(jax.random.key(0), jax.ShapeDtypeStruct((1, 2), "float32"))[0]["gate"].keys()
    dict_keys(['kernel'])

    Source: Shazeer 2020, eq. 5, there without biases and with β = 1.
    """

    activation = Silu()
