"""Recurrent layers whose step adds a product of the input and one of the last output."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from fnn.initializers import Ones
from fnn.layer import Cache, Params, is_training, required_key
from fnn.layers.random.dropout import Dropout, drops
from fnn.layers.recurrent._affine_map import INPUT, RECURRENT, KernelGradient, product
from fnn.layers.recurrent._recurrent import Parameters, Recurrent
from fnn.layers.recurrent._sequences import Carry, before_each, input_gradient


@dataclasses.dataclass(frozen=True)
class RecurrentCell(Recurrent, name="recurrent_cell"):
    """The base of ``SimpleRNN``, ``LSTM`` and ``GRU``: a subclass gives ``gates``, ``cell`` and its transpose.

    Forward:   p_t = x_t W + b,  q_t = (m ⊙ h_(t−1)) U,  s_t = cell(p_t, q_t, s_(t−1)),  h_t the first member of s_t
    Backward:  dp_t, dq_t, ds_(t−1) = cellᵀ(ds_t),  dh_(t−1) += m ⊙ (dq_t Uᵀ)
               dW = Σ x_tᵀ dp_t,  db = Σ dp_t,  dU = Σ (m ⊙ h_(t−1))ᵀ dq_t,  dx_t = dp_t Wᵀ

    With ``layer_norm`` x W and h U are each standardised over their k H features and scaled (``_affine_map.py``). In
    training with ``recurrent_dropout`` > 0, m is one mask (N, H) a call, its survivors 1/(1 − rate); else it is 1.

    Source: Ba, Kiros and Hinton 2016; Gal and Ghahramani 2016, eq. 7 (one mask for all steps).
    """

    _: dataclasses.KW_ONLY
    layer_norm: bool = False
    recurrent_dropout: float = 0.0

    gates: ClassVar[int] = 1
    """k: how many products of size H a step has."""

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

    def parameters(self, inputs: int) -> Parameters:
        width = self.gates * self.features
        if self.layer_norm and width == 1:
            raise ValueError(
                f"layer_norm needs at least two features to take a variance of, got one: {self!r};"
                f" give it more features, or leave layer_norm out"
            )

        def blocks(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
            keys = jax.random.split(key, self.gates)  # every block (H, H) is drawn by itself
            return jnp.concatenate([self.recurrent_init(each, (self.features,) * 2, dtype) for each in keys], -1)

        table: Parameters = {"kernel": (self.kernel_init, (inputs, width)), "bias": (self.bias_init, (width,))}
        table["recurrent_kernel"] = (blocks, (self.features, width))
        if self.layer_norm:
            table |= dict.fromkeys(("input_scale", "recurrent_scale"), (Ones(), (width,)))
        return table

    def weights(self, params: Params, x: jax.Array, *, train: bool, key: jax.Array | None) -> Params:
        weights = super().weights(params, x, train=train, key=key)
        if drops(self.recurrent_dropout) and is_training(train):
            units, dropout = jnp.ones((x.shape[-2], self.features), x.dtype), Dropout(self.recurrent_dropout)
            weights["mask"] = dropout.apply({}, {}, units, train=True, key=required_key(self, key))[0]
        return weights

    def advance(self, weights: Params, projected: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        q = RECURRENT.without_bias(weights, _masked(weights, carry[0]))
        return self.cell(INPUT.with_bias(weights, projected), RECURRENT.with_bias(weights, q), carry)

    def gradients(self, cache: Cache, dy: Any, kernel_gradient: KernelGradient) -> tuple[Params, Any]:
        weights, x = cache["weights"], jnp.swapaxes(cache["x"], 0, 1)
        previous = before_each(cache["carries"], cache["carry"], self.reverse)
        entering = _masked(weights, previous[0])
        norm = RECURRENT.standardized(weights, entering)
        transposed = weights["recurrent_kernel"].T  # once, not at every step

        def retreat(kept: Any, previous: Carry, carry: Carry, dcarry: Carry, norm: Any) -> tuple[jax.Array, Carry]:
            dp, (dh, *others) = self.cell_backward(kept, previous, carry, dcarry)
            dproduct = RECURRENT.product_delta(weights, norm, self.recurrent_delta(kept, dp))
            return dp, (dh + _masked(weights, product(dproduct, transposed)), *others)

        dp, dstart = self.back_through_time(cache, dy, retreat, previous, norm)
        dq = self.recurrent_delta(cache["kept"], dp)
        drecurrent, _ = RECURRENT.gradients(weights, norm, entering, dq, kernel_gradient)
        dparams, dproduct = INPUT.gradients(weights, INPUT.standardized(weights, x), x, dp, kernel_gradient)
        return dparams | drecurrent, input_gradient(cache, product(dproduct, weights["kernel"].T), dstart)


def _masked(weights: Params, h: jax.Array) -> jax.Array:
    """m ⊙ h for h (…, N, H)."""
    mask = weights.get("mask")
    return h if mask is None else h * mask.astype(h.dtype).reshape((1,) * (h.ndim - 2) + mask.shape)
