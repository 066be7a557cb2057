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

from fnn.errors import floating_array, output_gradient, parameter, part, positive
from fnn.guards.inputs import arrays_or_shapes
from fnn.initializers import GlorotUniform, Initializer, Orthogonal, Zeros
from fnn.layer import Cache, Layer, Params, State, Static, float_dtype, named_key, wide_dtype
from fnn.layers.recurrent._affine_map import INPUT, KernelGradient, summed_product
from fnn.layers.recurrent._sequences import (
    Carry,
    carry_members,
    carry_outside,
    cast,
    check_sequence,
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

    def why_no_step(self) -> str | None:
        return "it runs from the ends of sequences to their beginnings (reverse=True)" if self.reverse else None

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[jax.Array, Any]:
        """One step of inference, for decoding: ``(y, carry)`` from the carry before and the input x (N, D).

        With ``reverse`` the steps come from the last to the first; a model of several layers refuses it. y is the
        output alone, with ``return_carry`` too: its carry is what comes second.
        """
        x = floating_array(x)
        if x.ndim != 2:
            raise ValueError(f"expected the inputs of one step (N, D), got the shape {x.shape}")
        members = carry_members(carry, self.carry_sizes(), len(x), x.dtype)
        weights = self.weights(params, x, train=False, key=None)
        new, _ = self.advance(weights, INPUT.without_bias(weights, x), cast(members, wide_dtype(x.dtype)))
        new = cast(new, x.dtype)
        return new[self.visible], carry_outside(new)

    def start(
        self,
        batch_size: int,
        dtype: Any = None,
        *,
        length: int | None = None,
        params: Params | None = None,
        state: State | None = None,
    ) -> Any:
        """The carry of zeros with which sequences start: of this dtype, else of the parameters', else float32."""
        if dtype is None:
            dtype = jnp.float32 if params is None else part(params, "kernel").dtype
        return carry_outside(zero_carry(self.carry_sizes(), batch_size, dtype))

    def _with_output(self, dcarry: Carry, dy: jax.Array) -> Carry:
        at = self.visible
        return (*dcarry[:at], dcarry[at] + dy.astype(dcarry[at].dtype), *dcarry[at + 1 :])
