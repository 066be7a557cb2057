"""Recurrent networks that feed back their output: Jordan's, Elman's, and those between."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.errors import instance_hint, parameter, positive
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Params, State, float_dtype, named_key
from fnn.layers.activation._elementwise import Elementwise
from fnn.layers.activation.sigmoids import Tanh
from fnn.layers.recurrent._projection import (
    Projection,
    add_bias,
    kernel_gradient,
    product,
    product_transposed,
    projection_gradients,
)
from fnn.layers.recurrent._recurrent import Recurrent, input_features
from fnn.layers.recurrent._sequences import Carry, check_sequence

FED_BACK = ("recurrent", "feedback")
"""The weights through which the members h and y of the carry act."""


@dataclasses.dataclass(frozen=True)
class FeedbackRNN(Recurrent, name="feedback_rnn"):
    """Hidden units that see the last output, each itself, and each other, as the options say; and an output layer.

    Forward:   a_t = x_t W + h_(t−1) (M ⊙ U) + y_(t−1) F + b,  h_t = f(a_t),  y_t = h_t V + c
    Backward:  dh_t += dy_t Vᵀ,  da_t = f'(a_t) ⊙ dh_t
               dh_(t−1) = da_t (M ⊙ U)ᵀ,  dy_(t−1) += da_t Fᵀ
               dW = Σ x_tᵀ da_t,  dU = M ⊙ Σ h_(t−1)ᵀ da_t,  dF = Σ y_(t−1)ᵀ da_t,  dV = Σ h_tᵀ dy_t
               db = Σ da_t,  dc = Σ dy_t,  dx_t = da_t Wᵀ

    M is 1 on the diagonal with ``self_feedback`` and off it with ``lateral``, else 0. Jordan's network feeds back its
    output alone (``lateral=False, self_feedback=False``), Elman's its hidden units (``output_feedback=False``).

    Params:  ``kernel`` W (D, H), ``bias`` b (H,), ``output_kernel`` V (H, O), ``output_bias`` c (O,);
             ``recurrent_kernel`` U (H, H) unless M is 0, ``feedback_kernel`` F (O, H) with ``output_feedback``. The
             entries of U where M is 0 start at 0, have no effect and the gradient 0.
    State:   none
    Cache:   ``x``, ``carries`` (h_t, y_t), ``carry`` (h₀, y₀), ``kept`` a_t (T, N, H) where f' is a function of it and
             not of h_t, ``weights``; see ``fnn/layers/recurrent/_recurrent.py``
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)``, the carry being the tuple (h, y) → (N, T, O), or
             the last y (N, O) with ``return_sequences=False``; with ``return_carry=True`` the pair (y, carry)

    f is any elementwise layer without parameters. Without a carry h₀ and y₀ are 0. Conventions of lengths, padding and
    ``reverse``, and errors: as of ``SimpleRNN``; and ``TypeError`` for an activation that is not elementwise.

    >>> layer = FeedbackRNN(3, 1, lateral=False, self_feedback=False)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4, 2), "float32"))
    >>> sorted(params)
    ['bias', 'feedback_kernel', 'kernel', 'output_bias', 'output_kernel']
    >>> layer.apply(params, state, jnp.ones((5, 4, 2)))[0].shape
    (5, 4, 1)

    Source: Jordan 1986; Elman 1990.
    """

    outputs: int
    _: dataclasses.KW_ONLY
    output_feedback: bool = True
    lateral: bool = True
    self_feedback: bool = True
    activation: Elementwise = Tanh()

    visible: ClassVar[int] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("outputs", self.outputs)
        if not isinstance(self.activation, Elementwise):
            raise TypeError(
                f"activation is an elementwise layer, got {self.activation!r}{instance_hint(self.activation)}"
            )

    def carry_sizes(self) -> tuple[int, ...]:
        return (self.features, self.outputs)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        dtype = float_dtype(check_sequence(arrays_or_shapes(x)))
        kernels = {"kernel": (input_features(x), self.features), "output_kernel": (self.features, self.outputs)}
        if self.output_feedback:
            kernels["feedback_kernel"] = (self.outputs, self.features)
        params = {name: self.kernel_init(named_key(key, name), shape, dtype) for name, shape in kernels.items()}
        for name, size in (("bias", self.features), ("output_bias", self.outputs)):
            params[name] = self.bias_init(named_key(key, name), (size,), dtype)
        if self._hidden_feedback:
            recurrent = self.recurrent_init(named_key(key, "recurrent_kernel"), (self.features,) * 2, dtype)
            params["recurrent_kernel"] = self._allowed(recurrent)
        return params, {}

    def weights(self, params: Params, x: jax.Array, *, train: bool, key: jax.Array | None) -> dict[str, Any]:
        hidden, outputs, dtype = self.features, self.outputs, x.dtype

        def read(kernel: str, bias: str, size: int, features: int) -> Projection:
            shape = (size, features)
            return Projection(
                parameter(params, kernel, shape, dtype), None, parameter(params, bias, (features,), dtype)
            )

        weights: dict[str, Any] = {
            "input": read("kernel", "bias", x.shape[-1], hidden),
            "output": read("output_kernel", "output_bias", hidden, outputs),
        }
        if self._hidden_feedback:
            weights["recurrent"] = self._allowed(parameter(params, "recurrent_kernel", (hidden, hidden), dtype))
        if self.output_feedback:
            weights["feedback"] = parameter(params, "feedback_kernel", (outputs, hidden), dtype)
        return weights

    def project(self, weights: Any, x: jax.Array) -> jax.Array:
        return product(x, weights["input"].kernel)

    def advance(self, weights: Any, projected: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        a = add_bias(weights["input"], projected)
        for name, before in zip(FED_BACK, carry, strict=True):
            a = a + product(before, weights[name]) if name in weights else a
        h = self.activation.f(a)
        y = add_bias(weights["output"], product(h, weights["output"].kernel))
        return (h, y), a if self.activation.cached == "x" else None

    def retreat(
        self, weights: Any, kept: Any, prepared: Any, previous: Carry, carry: Carry, dcarry: Carry
    ) -> tuple[Carry, Any]:
        dh, dy = dcarry
        dh = dh + product_transposed(dy, weights["output"].kernel)
        value = carry[0] if kept is None else kept
        _, da = self.activation.backward({self.activation.cached: value}, dh)
        dprevious = [
            product_transposed(da, weights[name]) if name in weights else jnp.zeros_like(each)
            for name, each in zip(FED_BACK, dcarry, strict=True)
        ]
        return tuple(dprevious), (da, dy)

    def gradients(
        self, weights: Any, kept: Any, prepared: Any, previous: Carry, carries: Carry, deltas: Any, x: jax.Array
    ) -> tuple[Params, jax.Array]:
        da, dy = deltas
        dinput, _ = projection_gradients(weights["input"], None, x, da)
        doutput, _ = projection_gradients(weights["output"], None, carries[0], dy)
        dparams = {"kernel": dinput.kernel, "bias": dinput.bias}
        dparams |= {"output_kernel": doutput.kernel, "output_bias": doutput.bias}
        if "recurrent" in weights:
            dparams["recurrent_kernel"] = self._allowed(kernel_gradient(previous[0], da))
        if "feedback" in weights:
            dparams["feedback_kernel"] = kernel_gradient(previous[1], da)
        return dparams, product_transposed(da, weights["input"].kernel).astype(x.dtype)

    @property
    def _hidden_feedback(self) -> bool:
        return self.lateral or self.self_feedback

    def _allowed(self, kernel: jax.Array) -> jax.Array:
        """M ⊙ U, as a selection."""
        own = jnp.eye(self.features, dtype=bool)
        return jnp.where(jnp.where(own, self.self_feedback, self.lateral), kernel, 0)
