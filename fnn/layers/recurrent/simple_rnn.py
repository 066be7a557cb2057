"""The simple recurrent layer."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.layers.activation.sigmoids import Tanh
from fnn.layers.recurrent._recurrent_cell import RecurrentCell
from fnn.layers.recurrent._sequences import Carry


@dataclasses.dataclass(frozen=True)
class SimpleRNN(RecurrentCell, name="simple_rnn"):
    """A layer of tanh units that see their own outputs of the step before.

    Forward:   h_t = tanh(p_t + q_t),  p_t = x_t W + b,  q_t = h_(t−1) U;  y_t = h_t
    Backward:  dp_t = dq_t = (1 − h_t)(1 + h_t) ⊙ dh_t,  dh_(t−1) = dy_(t−1) + dq_t Uᵀ
               dW = Σ x_tᵀ dp_t,  db = Σ dp_t,  dU = Σ h_(t−1)ᵀ dq_t,  dx_t = dp_t Wᵀ

    Params:  ``kernel`` W (D, H), ``recurrent_kernel`` U (H, H), ``bias`` b (H,); with ``layer_norm`` also
             ``input_scale``, ``recurrent_scale`` (H,)
    State:   none
    Cache:   ``x`` (N, T, D) with 0 for padding, ``lengths`` (N,) or None, ``carry`` (h₀,); of all steps, each
             (T, N, H), ``carries`` (h_t,) and ``kept`` (); ``weights``, the parameters and the dropout ``mask`` (N, H);
             ``form`` Static, of the input
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)`` → y (N, T, H); the last y (N, H) with
             ``return_sequences=False``; the pair (y, carry) with ``return_carry=True``. The lengths are integers
             (N,) or None, the carry is h (N, H), 0 if not given. Any floating dtype,
             kept; sums and what is carried are in at least float32

    Steps past a sequence's length are padding: y is 0 there, the carry stays as it is, and x has gradient 0 whatever it
    holds, NaN included. ``reverse`` runs from the last valid step to the first; every output stays at its own step.
    ``layer_norm`` standardises x W and h U over all H features, each with a scale of its own, before they are added to
    anything. ``recurrent_dropout`` drops entries of h_(t−1) before the product with U, with one mask for all steps.
    ``start`` and ``step`` are the form of one step, for decoding.

    Errors: ``ValueError`` for an x that is not (N, T, D), for lengths that are not (N,) or lie outside [0, T] (under
    jit such a sequence is NaN), for a carry of another shape, for ``layer_norm`` of one feature, for training
    with ``recurrent_dropout`` without a key; ``TypeError`` for lengths that are not integers and for a carry of another
    structure or dtype.

    >>> layer = SimpleRNN(3, return_sequences=False)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4, 2), "float32"))
    >>> layer.apply(params, state, (jnp.ones((5, 4, 2)), jnp.array([4, 3, 2, 1, 0])))[0].shape
    (5, 3)

    Source: Elman 1990; Werbos 1990 (backpropagation through time).
    """

    def cell(self, p: jax.Array, q: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        return (jnp.tanh(p + q),), ()

    def cell_backward(self, kept: Any, previous: Carry, carry: Carry, dcarry: Carry) -> tuple[jax.Array, Carry]:
        (h,), (dh,) = carry, dcarry
        return Tanh().derivative(h) * dh, (jnp.zeros_like(dh),)
