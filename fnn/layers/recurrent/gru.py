"""The gated recurrent unit."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.layers.activation.sigmoids import Sigmoid, Tanh
from fnn.layers.recurrent._recurrent import Parameters
from fnn.layers.recurrent._recurrent_cell import RecurrentCell
from fnn.layers.recurrent._sequences import Carry


@dataclasses.dataclass(frozen=True)
class GRU(RecurrentCell, name="gru"):
    """The gated recurrent unit: a mean of the old state and a candidate, with a reset of what the candidate sees.

    Forward:   p_t = x_t W + b,  q_t = h_(t−1) U + b',  each in three blocks
               r = σ(p_r + q_r),  z = σ(p_z + q_z),  n = tanh(p_n + r ⊙ q_n)
               h_t = (1 − z) ⊙ n + z ⊙ h_(t−1);  y_t = h_t
    Backward:  dp_n = dh_t ⊙ (1 − z) ⊙ (1 − n²),  dp_z = dh_t ⊙ (h_(t−1) − n) ⊙ z (1 − z)
               dp_r = dp_n ⊙ q_n ⊙ r (1 − r),  dq = (dp_r, dp_z, r ⊙ dp_n),  dh_(t−1) = dy_(t−1) + dh_t ⊙ z + dq Uᵀ
               dW = Σ x_tᵀ dp_t,  db = Σ dp_t,  dU = Σ h_(t−1)ᵀ dq_t,  db' = Σ dq_t,  dx_t = dp_t Wᵀ

    Params:  ``kernel`` W (D, 3H), ``recurrent_kernel`` U (H, 3H), ``bias`` b, ``recurrent_bias`` b' (3H,), in the order
             r z n; with ``layer_norm`` also ``input_scale``, ``recurrent_scale`` (3H,)
    State:   none
    Cache:   ``x`` (N, T, D) with 0 for padding, ``lengths`` (N,) or None, ``carry`` (h₀,); of all steps, each
             (T, N, H), ``carries`` (h_t,) and ``kept`` (r, z, n, q_n); ``weights``, the parameters and the dropout
             ``mask`` (N, H); ``form`` Static, of the input
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)`` → y (N, T, H); the last y (N, H) with
             ``return_sequences=False``; the pair (y, carry) with ``return_carry=True``. The lengths are integers
             (N,) or None, the carry is h (N, H), 0 if not given. Any floating dtype,
             kept; sums and what is carried are in at least float32

    Steps past a sequence's length are padding: y is 0 there, the carry stays as it is, and x has gradient 0 whatever it
    holds, NaN included. ``reverse`` runs from the last valid step to the first; every output stays at its own step.
    ``layer_norm`` standardises x W and h U over all 3H features, each with a scale of its own, before they are added to
    anything. ``recurrent_dropout`` drops entries of h_(t−1) before the product with U, with one mask for all steps.
    ``start`` and ``step`` are the form of one step, for decoding.

    The reset acts after the product, its bias inside, so that all products of a step are one; z is the part of the old
    state that is kept (some papers write 1 − z).

    Errors: ``ValueError`` for an x that is not (N, T, D), for lengths that are not (N,) or lie outside [0, T] (under
    jit such a sequence is NaN), for a carry of another shape, for training with ``recurrent_dropout`` without a key;
    ``TypeError`` for lengths that are not integers and for a carry of another structure or dtype.

    >>> layer = GRU(3)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4, 2), "float32"))
    >>> layer.apply(params, state, jnp.ones((5, 4, 2)))[0].shape
    (5, 4, 3)

    Source: Cho et al. 2014, in the later form of Chung et al. 2014 with the reset after the product.
    """

    gates: ClassVar[int] = 3

    def parameters(self, inputs: int) -> Parameters:
        table = super().parameters(inputs)
        return table | {"recurrent_bias": table["bias"]}

    def cell(self, p: jax.Array, q: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        (p_r, p_z, p_n), (q_r, q_z, q_n) = jnp.split(p, 3, -1), jnp.split(q, 3, -1)
        r, z = Sigmoid().f(p_r + q_r), Sigmoid().f(p_z + q_z)
        n = jnp.tanh(p_n + r * q_n)
        return ((1 - z) * n + z * carry[0],), (r, z, n, q_n)

    def cell_backward(self, kept: Any, previous: Carry, carry: Carry, dcarry: Carry) -> tuple[jax.Array, Carry]:
        (r, z, n, q_n), (dh,), slope = kept, dcarry, Sigmoid().derivative
        dp_n = dh * (1 - z) * Tanh().derivative(n)
        blocks = (dp_n * q_n * slope(r), dh * (previous[0] - n) * slope(z), dp_n)
        return jnp.concatenate(blocks, -1), (dh * z,)

    def recurrent_delta(self, kept: Any, dp: jax.Array) -> jax.Array:
        dp_r, dp_z, dp_n = jnp.split(dp, 3, -1)
        return jnp.concatenate((dp_r, dp_z, dp_n * kept[0]), -1)
