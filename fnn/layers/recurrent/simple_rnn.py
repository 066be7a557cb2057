"""The simple recurrent layer."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.layers.activation.sigmoids import Tanh
from fnn.layers.recurrent._cell import RecurrentCell
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
    Cache:   ``x``, ``carries`` h_t, ``carry`` h₀, ``weights``; see ``fnn/layers/recurrent/_recurrent.py``
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)``, the lengths integers (N,) or None, the carry h₀
             (N, H) → (N, T, H), or the last h (N, H) with ``return_sequences=False``; with ``return_carry=True`` the
             pair (y, carry)

    Past its length a sequence is padding: there y is 0, the carry stays (of a length 0, the first one), and x has
    gradient 0 whatever it holds. ``reverse`` runs from the last valid step to the first, every output at its own place.
    Options: ``layer_norm``, ``recurrent_dropout`` (``fnn/layers/recurrent/_cell.py``). ``step`` is the one-step form.

    Errors: ``ValueError`` for an x that is not (N, T, D), lengths that are not (N,) or, outside jit, not in [0, T]
    (inside, such a sequence gives NaN), a carry of another shape, ``layer_norm`` of one feature, training with
    ``recurrent_dropout`` without a key; ``TypeError`` for lengths that are not integers, another structure or dtype.

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
