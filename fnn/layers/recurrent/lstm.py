"""The long short-term memory."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.initializers import Initializer
from fnn.layers.activation.sigmoids import Sigmoid, Tanh
from fnn.layers.recurrent._recurrent_cell import RecurrentCell
from fnn.layers.recurrent._sequences import Carry


@dataclasses.dataclass(frozen=True)
class ForgetGateBias:
    """The biases (4H,) of an LSTM: ``value`` for the forget gate, 0 for the others (Jozefowicz et al. 2015)."""

    value: float = 1.0

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        features = shape[-1] // 4
        return jnp.zeros(shape, dtype).at[..., features : 2 * features].set(self.value)


@dataclasses.dataclass(frozen=True)
class LSTM(RecurrentCell, name="lstm"):
    """Long short-term memory: a cell c that gates write to, keep and read from.

    Forward:   p_t = x_t W + b,  q_t = h_(t−1) U,  a = p_t + q_t in four blocks
               i = σ(a_i),  f = σ(a_f),  g = tanh(a_g),  o = σ(a_o)
               c_t = f ⊙ c_(t−1) + i ⊙ g,  h_t = o ⊙ tanh(c_t);  y_t = h_t
    Backward:  with u = tanh(c_t):  dc_t += dh_t ⊙ o ⊙ (1 − u²),  da_o = dh_t ⊙ u ⊙ o (1 − o)
               da_i = dc_t ⊙ g ⊙ i (1 − i),  da_f = dc_t ⊙ c_(t−1) ⊙ f (1 − f),  da_g = dc_t ⊙ i ⊙ (1 − g²)
               dc_(t−1) = dc_t ⊙ f,  dh_(t−1) = dy_(t−1) + da Uᵀ,  dp_t = dq_t = da
               dW = Σ x_tᵀ dp_t,  db = Σ dp_t,  dU = Σ h_(t−1)ᵀ dq_t,  dx_t = dp_t Wᵀ

    Params:  ``kernel`` W (D, 4H), ``recurrent_kernel`` U (H, 4H), ``bias`` b (4H,), in the order i f g o; with
             ``layer_norm`` also ``input_scale``, ``recurrent_scale`` (4H,)
    State:   none
    Cache:   ``x`` (N, T, D) with 0 for padding, ``lengths`` (N,) or None, ``carry`` (h₀, c₀); of all steps, each
             (T, N, H), ``carries`` (h_t, c_t) and ``kept`` (i, f, g, o); ``weights``, the parameters and the dropout
             ``mask`` (N, H); ``form`` Static, of the input. tanh(c_t) is computed again
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)`` → y (N, T, H); the last y (N, H) with
             ``return_sequences=False``; the pair (y, carry) with ``return_carry=True``. The lengths are integers
             (N,) or None, the carry is (h, c), each (N, H), 0 if not given. Any floating dtype,
             kept; sums and what is carried are in at least float32

    Steps past a sequence's length are padding: y is 0 there, the carry stays as it is, and x has gradient 0 whatever it
    holds, NaN included. ``reverse`` runs from the last valid step to the first; every output stays at its own step.
    ``layer_norm`` standardises x W and h U over all 4H features, each with a scale of its own, before they are added to
    anything. ``recurrent_dropout`` drops entries of h_(t−1) before the product with U, with one mask for all steps.
    ``start`` and ``step`` are the form of one step, for decoding.

    The bias of the forget gate starts at 1, the others at 0. Glorot's fans are those of the whole kernel, (D, 4H); each
    block (H, H) of the recurrent kernel is an orthogonal matrix of its own.

    Errors: ``ValueError`` for an x that is not (N, T, D), for lengths that are not (N,) or lie outside [0, T] (under
    jit such a sequence is NaN), for a carry of another shape, for training with ``recurrent_dropout`` without a key;
    ``TypeError`` for lengths that are not integers and for a carry of another structure or dtype.

    >>> layer = LSTM(3, return_carry=True)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4, 2), "float32"))
    >>> y, (h, c) = layer.apply(params, state, jnp.ones((5, 4, 2)))[0]
    >>> y.shape, h.shape, c.shape, bool((y[:, -1] == h).all())
    ((5, 4, 3), (5, 3), (5, 3), True)

    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 (the forget gate).
    """

    _: dataclasses.KW_ONLY
    bias_init: Initializer = ForgetGateBias()

    gates: ClassVar[int] = 4

    def carry_sizes(self) -> tuple[int, ...]:
        return (self.features, self.features)

    def cell(self, p: jax.Array, q: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        i, f, g, o = jnp.split(p + q, 4, -1)
        i, f, g, o = Sigmoid().f(i), Sigmoid().f(f), jnp.tanh(g), Sigmoid().f(o)
        c = f * carry[1] + i * g
        return (o * jnp.tanh(c), c), (i, f, g, o)

    def cell_backward(self, kept: Any, previous: Carry, carry: Carry, dcarry: Carry) -> tuple[jax.Array, Carry]:
        (i, f, g, o), (dh, dc) = kept, dcarry
        u, slope = jnp.tanh(carry[1]), Sigmoid().derivative
        dc = dc + dh * o * Tanh().derivative(u)
        blocks = (
            dc * g * slope(i),
            dc * previous[1] * slope(f),
            dc * i * Tanh().derivative(g),
            dh * u * slope(o),
        )
        return jnp.concatenate(blocks, -1), (jnp.zeros_like(dh), dc * f)
