"""Recurrent networks that feed back their output: Jordan's, Elman's, and those between."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.errors import instance_hint, positive
from fnn.layer import Cache, Params
from fnn.layers.activation._elementwise import Elementwise
from fnn.layers.activation.sigmoids import Tanh
from fnn.layers.recurrent._affine_map import INPUT, AffineMap, KernelGradient, product
from fnn.layers.recurrent._recurrent import Parameters, Recurrent
from fnn.layers.recurrent._sequences import Carry, before_each, input_gradient

OUTPUT = AffineMap("output_kernel", bias="output_bias")
FED_BACK = (AffineMap("recurrent_kernel"), AffineMap("feedback_kernel"))
"""The maps by which the members h and y of the carry act."""


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
    Cache:   ``x`` (N, T, D) with 0 for padding, ``lengths`` (N,) or None, ``carry`` (h₀, y₀); of all steps ``carries``
             (h_t (T, N, H), y_t (T, N, O)) and ``kept`` a_t (T, N, H) where f' is a function of it and not of h_t, else
             None; ``weights``, the parameters with M ⊙ U for U; ``form`` Static, of the input
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)`` → y (N, T, O); the last y (N, O) with
             ``return_sequences=False``; the pair (y, carry) with ``return_carry=True``. The lengths are integers
             (N,) or None, the carry is (h (N, H), y (N, O)), 0 if not given. Any floating dtype, kept; sums and what
             is carried are in at least float32

    f is any elementwise layer without parameters. Steps past a sequence's length are padding: y is 0 there, the carry
    stays as it is, and x has gradient 0 whatever it holds, NaN included. ``reverse`` runs from the last valid step to
    the first; every output stays at its own step. ``start`` and ``step`` are the form of one step, for decoding.

    Errors: ``ValueError`` for an x that is not (N, T, D), for lengths that are not (N,) or lie outside [0, T] (under
    jit such a sequence is NaN), for a carry of another shape; ``TypeError`` for lengths that are not integers, for a
    carry of another structure or dtype, and for an activation that is not elementwise.

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

    def parameters(self, inputs: int) -> Parameters:
        hidden, outputs = self.features, self.outputs
        table: Parameters = {
            "kernel": (self.kernel_init, (inputs, hidden)),
            "bias": (self.bias_init, (hidden,)),
            "output_kernel": (self.kernel_init, (hidden, outputs)),
            "output_bias": (self.bias_init, (outputs,)),
        }
        if self.output_feedback:
            table["feedback_kernel"] = (self.kernel_init, (outputs, hidden))
        if self.lateral or self.self_feedback:
            table["recurrent_kernel"] = (lambda *drawn: self._allowed(self.recurrent_init(*drawn)), (hidden, hidden))
        return table

    def weights(self, params: Params, x: jax.Array, *, train: bool, key: jax.Array | None) -> Params:
        weights = super().weights(params, x, train=train, key=key)
        return self._with_allowed(weights)

    def advance(self, weights: Params, projected: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        a = INPUT.with_bias(weights, projected)
        for each, before in _present(weights, carry):
            a = a + each.without_bias(weights, before)
        h = self.activation.f(a)
        y = OUTPUT.with_bias(weights, OUTPUT.without_bias(weights, h))
        return (h, y), a if self.activation.cached == "x" else None

    def gradients(self, cache: Cache, dy: Any, kernel_gradient: KernelGradient) -> tuple[Params, Any]:
        weights, x, carries = cache["weights"], jnp.swapaxes(cache["x"], 0, 1), cache["carries"]
        previous = before_each(carries, cache["carry"], self.reverse)
        transposed = {name: weight.T for name, weight in weights.items()}  # once, not at every step

        def retreat(kept: Any, previous: Carry, carry: Carry, dcarry: Carry) -> tuple[Any, Carry]:
            dh, dy = dcarry
            dh = dh + product(dy, transposed["output_kernel"])
            value = carry[0] if kept is None else kept
            _, da = self.activation.backward({self.activation.cached: value}, dh)
            dprevious = [
                product(da, transposed[each.kernel]) if each.kernel in weights else jnp.zeros_like(before)
                for each, before in zip(FED_BACK, previous, strict=True)
            ]
            return (da, dy), tuple(dprevious)

        (da, dy), dstart = self.back_through_time(cache, dy, retreat, previous)
        dparams, _ = INPUT.gradients(weights, None, x, da, kernel_gradient)
        for each, entering, delta in ((OUTPUT, carries[0], dy), *((*pair, da) for pair in _present(weights, previous))):
            dparams |= each.gradients(weights, None, entering, delta, kernel_gradient)[0]
        return self._with_allowed(dparams), input_gradient(cache, product(da, transposed["kernel"]), dstart)

    def _with_allowed(self, weights: Params) -> Params:
        """These parameters, or their gradients, with M ⊙ U."""
        name = "recurrent_kernel"
        if self.lateral and self.self_feedback:
            return weights
        return weights | {name: self._allowed(weights[name])} if name in weights else weights

    def _allowed(self, kernel: jax.Array) -> jax.Array:
        """M ⊙ U, as a selection."""
        own = jnp.eye(self.features, dtype=bool)
        return jnp.where(jnp.where(own, self.self_feedback, self.lateral), kernel, 0)


def _present(weights: Params, carry: Carry) -> list[tuple[AffineMap, jax.Array]]:
    """The maps that feed back, with the members of the carry on which they act."""
    return [(each, member) for each, member in zip(FED_BACK, carry, strict=True) if each.kernel in weights]
