"""The recurrent layers whose step is one product of the state with a kernel and gates entry by entry."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.errors import parameter
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Params, State, float_dtype, is_training, named_key, required_key
from fnn.layers.random.dropout import Dropout, drops
from fnn.layers.recurrent._projection import (
    Projection,
    Standardized,
    add_bias,
    product_delta,
    product_transposed,
    project,
    projection_gradients,
    standardized,
)
from fnn.layers.recurrent._recurrent import Recurrent, input_features
from fnn.layers.recurrent._sequences import Carry, check_sequence

INPUT = Projection("kernel", "input_scale", "bias")
RECURRENT = Projection("recurrent_kernel", "recurrent_scale", "recurrent_bias")


@dataclasses.dataclass(frozen=True)
class RecurrentCell(Recurrent, name="recurrent_cell"):
    """The base of ``SimpleRNN``, ``LSTM`` and ``GRU``: a subclass gives ``gates``, ``cell`` and ``cell_backward``.

    Forward:   p_t = x_t W + b,  q_t = (m ⊙ h_(t−1)) U,  s_t = cell(p_t, q_t, s_(t−1)),  h_t the first member of s_t
    Backward:  dp_t, dq_t, ds_(t−1) = cellᵀ(ds_t),  dh_(t−1) += m ⊙ (dq_t Uᵀ)
               dW = Σ x_tᵀ dp_t,  db = Σ dp_t,  dU = Σ (m ⊙ h_(t−1))ᵀ dq_t,  dx_t = dp_t Wᵀ

    With ``layer_norm`` the products x W and h U are each standardised over their k H features and scaled, by
    ``input_scale`` and ``recurrent_scale`` (``_projection.py``). In training with ``recurrent_dropout`` > 0,
    m is one mask (N, H) a call, its survivors 1/(1 − rate); else it is 1.

    Errors: ``ValueError`` for ``layer_norm`` of a single feature (its variance is 0).

    Source: Ba, Kiros and Hinton 2016; Gal and Ghahramani 2016, eq. 7 (one mask for all steps).
    """

    _: dataclasses.KW_ONLY
    layer_norm: bool = False
    recurrent_dropout: float = 0.0

    gates: ClassVar[int] = 1
    """k: how many products of size H a step has."""

    recurrent_bias: ClassVar[bool] = False
    """Whether q has a bias of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        Dropout(self.recurrent_dropout)  # checks the rate

    def cell(self, p: jax.Array, q: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        """The new carry, and what ``cell_backward`` needs besides."""
        raise NotImplementedError(f"{type(self).__name__} does not define cell")

    def cell_backward(self, kept: Any, previous: Carry, carry: Carry, dcarry: Carry) -> tuple[jax.Array, Carry]:
        """dp, and dprevious without what passes through q."""
        raise NotImplementedError(f"{type(self).__name__} does not define cell_backward")

    def recurrent_delta(self, kept: Any, dp: jax.Array) -> jax.Array:
        """dq from dp, for one step or all: p and q are added, unless the cell says otherwise."""
        return dp

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        width, dtype = self._width(), float_dtype(check_sequence(arrays_or_shapes(x)))
        keys = jax.random.split(named_key(key, "recurrent_kernel"), self.gates)
        blocks = [self.recurrent_init(each, (self.features, self.features), dtype) for each in keys]
        params = {
            "kernel": self.kernel_init(named_key(key, "kernel"), (input_features(x), width), dtype),
            "recurrent_kernel": jnp.concatenate(blocks, -1),
            "bias": self.bias_init(named_key(key, "bias"), (width,), dtype),
        }
        if self.recurrent_bias:
            params["recurrent_bias"] = self.bias_init(named_key(key, "recurrent_bias"), (width,), dtype)
        if self.layer_norm:
            params |= {name: jnp.ones((width,), dtype) for name in (INPUT.scale, RECURRENT.scale)}
        return params, {}

    def weights(self, params: Params, x: jax.Array, *, train: bool, key: jax.Array | None) -> Any:
        width = (self._width(),)

        def read(names: Projection, size: int, bias: bool) -> Projection:
            return Projection(
                parameter(params, names.kernel, (size, *width), x.dtype),
                parameter(params, names.scale, width, x.dtype) if self.layer_norm else None,
                parameter(params, names.bias, width, x.dtype) if bias else None,
            )

        recurrent = read(RECURRENT, self.features, self.recurrent_bias)
        weights: dict[str, Any] = {"input": read(INPUT, x.shape[-1], True), "recurrent": recurrent}
        if drops(self.recurrent_dropout) and is_training(train):
            units = jnp.ones((x.shape[-2], self.features), x.dtype)
            dropout = Dropout(self.recurrent_dropout)
            weights["mask"] = dropout.apply({}, {}, units, train=True, key=required_key(self, key))[0]
        return weights

    def _width(self) -> int:
        """k H, or an error where those are to be standardised and are one alone."""
        width = self.gates * self.features
        if self.layer_norm and width == 1:
            raise ValueError(
                f"layer_norm needs at least two features to take a variance of, got one: {self!r};"
                f" give it more features, or leave layer_norm out"
            )
        return width

    def project(self, weights: Any, x: jax.Array) -> jax.Array:
        return project(weights["input"], x)

    def advance(self, weights: Any, projected: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        own, recurrent = weights["input"], weights["recurrent"]
        q = project(recurrent, _masked(weights, carry[0]))
        return self.cell(add_bias(own, projected), add_bias(recurrent, q), carry)

    def prepare(self, weights: Any, previous: Carry) -> Standardized | None:
        return standardized(weights["recurrent"], _masked(weights, previous[0]))

    def retreat(
        self, weights: Any, kept: Any, prepared: Any, previous: Carry, carry: Carry, dcarry: Carry
    ) -> tuple[Carry, jax.Array]:
        dp, (dh, *others) = self.cell_backward(kept, previous, carry, dcarry)
        dproduct = product_delta(weights["recurrent"], prepared, self.recurrent_delta(kept, dp))
        through = _masked(weights, product_transposed(dproduct, weights["recurrent"].kernel))
        return (dh + through, *others), dp

    def gradients(
        self, weights: Any, kept: Any, prepared: Any, previous: Carry, carries: Carry, deltas: jax.Array, x: jax.Array
    ) -> tuple[Params, jax.Array]:
        own, recurrent = weights["input"], weights["recurrent"]
        dinput, dproduct = projection_gradients(own, standardized(own, x), x, deltas)
        entering = _masked(weights, previous[0])
        drecurrent, _ = projection_gradients(recurrent, prepared, entering, self.recurrent_delta(kept, deltas))
        named = [*zip(INPUT, dinput, strict=True), *zip(RECURRENT, drecurrent, strict=True)]
        dparams = {name: gradient for name, gradient in named if gradient is not None}
        return dparams, product_transposed(dproduct, own.kernel).astype(x.dtype)


def _masked(weights: Any, h: jax.Array) -> jax.Array:
    """m ⊙ h for h (…, N, H)."""
    mask = weights.get("mask")
    return h if mask is None else h * mask.astype(h.dtype).reshape((1,) * (h.ndim - 2) + mask.shape)
