"""Recurrent layers: one scan over the steps forward, one backward, and every product that can wait outside of them.

Forward, the inputs of all steps are multiplied by their kernel at once, before the scan. Backward, the scan gives the
deltas of all steps, which are the gradients of what entered the non-linearities; after it, the gradients of every
parameter and of x are one product each over all N · T steps.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import floating_array, output_gradient, parameter, positive
from fnn.guards.inputs import arrays_or_shapes
from fnn.initializers import GlorotUniform, Initializer, Ones, Orthogonal, Zeros
from fnn.layer import Cache, Layer, Params, State, Static, float_dtype, is_training, named_key, required_key, wide_dtype
from fnn.layers.random.dropout import Dropout, drops
from fnn.layers.recurrent._affine_map import INPUT, RECURRENT, KernelGradient, product, summed_product
from fnn.layers.recurrent._sequences import (
    Carry,
    before_each,
    carry_members,
    carry_outside,
    cast,
    check_sequence,
    input_gradient,
    keep_where,
    unpack_sequences,
    valid_by_step,
    zero_carry,
)

Parameters = dict[str, tuple[Initializer, tuple[int, ...]]]
"""How every parameter starts, and its shape."""


@dataclasses.dataclass(frozen=True)
class Recurrent(Layer, name="recurrent"):
    """The base of all recurrent layers: a subclass gives ``parameters``, ``advance`` (one step) and ``gradients``.

    Forward:   s_t = step(x_t, s_(t−1)) for t = 1 … L, the length, and s_t = s_(t−1) after it; y_t is a member of s_t,
               and 0 after the length. With ``reverse`` from L to 1, every output at its own place
    Backward:  δ_t, ds_(t−1) = stepᵀ(ds_t + dy_t) for t = L … 1, and δ_t = 0, ds_(t−1) = ds_t after the length

    What is carried and every sum is at least float32; what is kept of all steps has the dtype of x.
    """

    features: int
    _: dataclasses.KW_ONLY
    reverse: bool = False
    return_sequences: bool = True
    return_carry: bool = False
    kernel_init: Initializer = GlorotUniform()
    recurrent_init: Initializer = Orthogonal()
    bias_init: Initializer = Zeros()

    over_time = "lengths"
    visible: ClassVar[int] = 0
    """Which member of the carry is the output."""

    def __post_init__(self) -> None:
        positive("features", self.features)

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return lengths if self.return_sequences and not self.return_carry else None

    def carry_sizes(self) -> tuple[int, ...]:
        """The size of every member of the carry."""
        return (self.features,)

    def parameters(self, inputs: int) -> Parameters:
        """All parameters, for inputs of D features."""
        raise NotImplementedError(f"{type(self).__name__} does not define parameters")

    def advance(self, weights: Params, projected: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        """One step, from x_t W on: the new carry, and what the backward pass needs besides."""
        raise NotImplementedError(f"{type(self).__name__} does not define advance")

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        x = check_sequence(arrays_or_shapes(x))
        table, dtype = self.parameters(x.shape[-1]), float_dtype(x)
        return {name: start(named_key(key, name), shape, dtype) for name, (start, shape) in table.items()}, {}

    def weights(self, params: Params, x: jax.Array, *, train: bool, key: jax.Array | None) -> Params:
        """The parameters that the inputs x (…, N, D) need, checked, and what is drawn once a call."""
        table = self.parameters(x.shape[-1])
        return {name: parameter(params, name, shape, x.dtype) for name, (_, shape) in table.items()}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        x, lengths, start, form = unpack_sequences(x, self.carry_sizes())
        dtype, wide, steps = x.dtype, wide_dtype(x.dtype), jnp.swapaxes(x, 0, 1)
        valid = valid_by_step(lengths, len(steps))
        weights = self.weights(params, steps, train=train, key=key)

        def step(carry: Carry, each: tuple) -> tuple[Carry, tuple]:
            projected, valid = each
            new, kept = self.advance(weights, projected.astype(wide), carry)
            new = keep_where(valid, new, carry)
            return new, cast((new, kept), dtype)

        projected = INPUT.without_bias(weights, steps).astype(dtype)
        final, (carries, kept) = lax.scan(step, cast(start, wide), (projected, valid), reverse=self.reverse)
        final = cast(final, dtype)
        y = final[self.visible]
        if self.return_sequences:
            y = jnp.swapaxes(keep_where(valid, carries[self.visible]), 0, 1)
        cache = {"x": x, "lengths": lengths, "carry": start, "carries": carries, "kept": kept, "weights": weights}
        return (y, carry_outside(final)) if self.return_carry else y, state, cache | {"form": Static(form)}

    def gradients(self, cache: Cache, dy: Any, kernel_gradient: KernelGradient) -> tuple[Params, Any]:
        """``backward``, with ``kernel_gradient(v, da)`` in the place of every Σ vᵀ da, the gradient of a kernel."""
        raise NotImplementedError(f"{type(self).__name__} does not define gradients")

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        return self.gradients(cache, dy, summed_product)

    def back_through_time(
        self, cache: Cache, dy: Any, retreat: Callable[..., tuple[Any, Carry]], previous: Carry, *prepared: Any
    ) -> tuple[Any, Carry]:
        """δ of all steps and ds₀, by ``retreat(kept, s_(t−1), s_t, ds_t, *prepared) -> (δ_t, ds_(t−1))``, from the
        ``previous`` s_(t−1) of all steps and what is ``prepared`` for all of them at once, outside the scan.
        """
        x, sizes, dsteps = cache["x"], self.carry_sizes(), None
        (batch_size, steps, _), dtype, wide = x.shape, x.dtype, wide_dtype(x.dtype)
        dfinal, valid = zero_carry(sizes, batch_size, wide), valid_by_step(cache["lengths"], steps)
        if self.return_carry:
            dy, dcarry = dy
            dfinal = cast(carry_members(dcarry, sizes, batch_size, dtype), wide)
        dy = output_gradient(dy, (batch_size, *(steps,) * self.return_sequences, sizes[self.visible]))
        if self.return_sequences:
            dsteps = keep_where(valid, jnp.swapaxes(dy, 0, 1))
        else:
            dfinal = self._with_output(dfinal, dy)

        def step(dcarry: Carry, each: tuple) -> tuple[Carry, Any]:
            dy, valid, kept, previous, carry, *prepared = each
            total = dcarry if dy is None else self._with_output(dcarry, dy)
            deltas, dprevious = retreat(*cast((kept, previous, carry, total, *prepared), wide))
            return keep_where(valid, dprevious, dcarry), keep_where(valid, cast(deltas, dtype))

        each = (dsteps, valid, cache["kept"], previous, cache["carries"], *prepared)
        dstart, deltas = lax.scan(step, dfinal, each, reverse=not self.reverse)
        return deltas, dstart

    def step(self, params: Params, carry: Any, x: Any) -> tuple[jax.Array, Any]:
        """One step of inference, for decoding: ``(y, carry)`` from the carry before and the input x (N, D)."""
        x = floating_array(x)
        if x.ndim != 2:
            raise ValueError(f"expected the inputs of one step (N, D), got the shape {x.shape}")
        members = carry_members(carry, self.carry_sizes(), len(x), x.dtype)
        weights = self.weights(params, x, train=False, key=None)
        new, _ = self.advance(weights, INPUT.without_bias(weights, x), cast(members, wide_dtype(x.dtype)))
        new = cast(new, x.dtype)
        return new[self.visible], carry_outside(new)

    def start(self, batch_size: int, dtype: Any = jnp.float32) -> Any:
        """The carry of zeros with which sequences start."""
        return carry_outside(zero_carry(self.carry_sizes(), batch_size, dtype))

    def _with_output(self, dcarry: Carry, dy: jax.Array) -> Carry:
        at = self.visible
        return (*dcarry[:at], dcarry[at] + dy.astype(dcarry[at].dtype), *dcarry[at + 1 :])


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
