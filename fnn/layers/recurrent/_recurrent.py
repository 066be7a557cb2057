"""Layers that carry a state from step to step: what is common to all, whatever happens within a step.

Only what must wait for the step before runs inside the scan over time. Forward, the inputs of all steps are projected
in one product; backward, the scan gives the deltas of all steps (the gradients of what entered the non-linearities),
and the gradients of every parameter and of x are one product each over all N · T steps.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import floating_array, output_gradient, positive
from fnn.initializers import GlorotUniform, Initializer, Orthogonal, Zeros
from fnn.layer import Cache, Layer, Params, State, Static, wide_dtype
from fnn.layers.recurrent._sequences import (
    Carry,
    carry_members,
    carry_outside,
    check_sequence,
    keep_where,
    unpack_sequences,
    zero_carry,
)
from fnn.sequences.lengths import valid_steps


@dataclasses.dataclass(frozen=True)
class Recurrent(Layer, name="recurrent"):
    """The base of recurrent layers: a subclass gives ``init``, ``weights``, ``project``, ``advance``, ``retreat`` and
    ``gradients``.

    Forward:   s_t = step(x_t, s_(t−1)) for t = 1 … L, the length;  s_t = s_(t−1) after it;  y_t is a member of s_t,
               and 0 after the length. With ``reverse`` from L to 1, every output at its own place.
    Backward:  through time, from the last step to the first:  ds_(t−1), δ_t = stepᵀ(ds_t + dy_t);  after the length
               ds_(t−1) = ds_t, δ_t = 0

    Cache:   ``x`` (N, T, D) with its padding at 0, ``lengths`` (N,) or None, ``carry`` s₀ and ``carries`` s_t of all
             steps (T, N, ·), member by member; ``kept`` (T, N, ·), what else the steps need; ``weights``;
             ``form`` Static, of the input
    Shapes:  x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)`` → y (N, T, F), or with ``return_sequences=False``
             the last y (N, F); with ``return_carry=True`` the pair (y, carry), the carry after the last step. In a
             model the lengths go on beside a y of all steps

    A carry of one member is that array, else the tuple. What is carried and every sum is at least float32; what is
    kept of all steps has the dtype of x.
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

    def weights(self, params: Params, x: jax.Array, *, train: bool, key: jax.Array | None) -> Any:
        """The parameters that the inputs x (…, N, D) need, checked, and what is drawn once a call."""
        raise NotImplementedError(f"{type(self).__name__} does not define weights")

    def project(self, weights: Any, x: jax.Array) -> jax.Array:
        """What the steps take from their inputs x (…, N, D)."""
        raise NotImplementedError(f"{type(self).__name__} does not define project")

    def advance(self, weights: Any, projected: jax.Array, carry: Carry) -> tuple[Carry, Any]:
        """One step: the new carry, and what ``retreat`` needs besides."""
        raise NotImplementedError(f"{type(self).__name__} does not define advance")

    def prepare(self, weights: Any, previous: Carry) -> Any:
        """What ``retreat`` and ``gradients`` need and can be computed again for all steps at once, as ``prepared``."""
        return None

    def retreat(
        self, weights: Any, kept: Any, prepared: Any, previous: Carry, carry: Carry, dcarry: Carry
    ) -> tuple[Carry, Any]:
        """The transpose of one step, from ``previous`` to ``carry``: (dprevious, δ)."""
        raise NotImplementedError(f"{type(self).__name__} does not define retreat")

    def gradients(
        self, weights: Any, kept: Any, prepared: Any, previous: Carry, carries: Carry, deltas: Any, x: jax.Array
    ) -> tuple[Params, jax.Array]:
        """dparams and dx from what all steps (T, N, ·) kept and gave."""
        raise NotImplementedError(f"{type(self).__name__} does not define gradients")

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        given = unpack_sequences(x, self.carry_sizes())
        dtype, wide, steps = given.x.dtype, wide_dtype(given.x.dtype), jnp.swapaxes(given.x, 0, 1)
        valid = None if given.lengths is None else valid_steps(given.lengths, len(steps)).T
        weights = self.weights(params, steps, train=train, key=key)

        def step(carry: Carry, each: tuple) -> tuple[Carry, tuple]:
            projected, valid = each
            new, kept = self.advance(weights, projected.astype(wide), carry)
            new = keep_where(valid, new, carry)
            return new, _cast((new, kept), dtype)

        projected = self.project(weights, steps).astype(dtype)
        start = _cast(given.carry, wide)
        final, (carries, kept) = lax.scan(step, start, (projected, valid), reverse=self.reverse)
        final = _cast(final, dtype)
        y = final[self.visible]
        if self.return_sequences:
            y = jnp.swapaxes(keep_where(valid, carries[self.visible]), 0, 1)
        form = Static((given.members, given.carried))
        cache = {"x": given.x, "lengths": given.lengths, "carry": given.carry, "carries": carries, "form": form}
        return (y, carry_outside(final)) if self.return_carry else y, state, cache | {"kept": kept, "weights": weights}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        weights, kept, carries = cache["weights"], cache["kept"], cache["carries"]
        x = jnp.swapaxes(cache["x"], 0, 1)
        dtype, wide, batch_size, lengths = x.dtype, wide_dtype(x.dtype), x.shape[1], cache["lengths"]
        valid = None if lengths is None else valid_steps(lengths, len(x)).T
        previous = tuple(map(self._shifted, carries, cache["carry"]))
        prepared = self.prepare(weights, previous)

        sizes, dsteps = self.carry_sizes(), None
        dfinal = zero_carry(sizes, batch_size, wide)
        if self.return_carry:
            dy, dcarry = dy
            dfinal = _cast(carry_members(dcarry, sizes, batch_size, dtype), wide)
        rows, size = (cache["x"].shape[:2] if self.return_sequences else (batch_size,)), sizes[self.visible]
        dy = output_gradient(dy, (*rows, size))
        if self.return_sequences:
            dsteps = keep_where(valid, jnp.swapaxes(dy, 0, 1))
        else:
            dfinal = self._with_output(dfinal, dy)

        def step(dcarry: Carry, each: tuple) -> tuple[Carry, Any]:
            dy, valid, *saved = each
            total = dcarry if dy is None else self._with_output(dcarry, dy)
            kept, prepared, previous, carry = _cast(saved, wide)
            dprevious, delta = self.retreat(weights, kept, prepared, previous, carry, total)
            return keep_where(valid, dprevious, dcarry), keep_where(valid, _cast(delta, dtype))

        each = (dsteps, valid, kept, prepared, previous, carries)
        dcarry, deltas = lax.scan(step, dfinal, each, reverse=not self.reverse)
        dparams, dx = self.gradients(weights, kept, prepared, previous, carries, deltas, x)
        members, carried = cache["form"].value
        dcarry = carry_outside(_cast(dcarry, dtype)) if carried else None
        dx = jnp.swapaxes(dx, 0, 1)
        return dparams, (dx, None, dcarry)[:members] if members else dx

    def step(self, params: Params, carry: Any, x: Any) -> tuple[jax.Array, Any]:
        """One step of inference, for decoding: ``(y, carry)`` from the carry before and the input x (N, D)."""
        x = floating_array(x)
        if x.ndim != 2:
            raise ValueError(f"expected the inputs of one step (N, D), got the shape {x.shape}")
        members = carry_members(carry, self.carry_sizes(), len(x), x.dtype)
        weights = self.weights(params, x, train=False, key=None)
        new, _ = self.advance(weights, self.project(weights, x), _cast(members, wide_dtype(x.dtype)))
        new = _cast(new, x.dtype)
        return new[self.visible], carry_outside(new)

    def start(self, batch_size: int, dtype: Any = jnp.float32) -> Any:
        """The carry of zeros with which sequences start."""
        return carry_outside(zero_carry(self.carry_sizes(), batch_size, dtype))

    def _shifted(self, after: jax.Array, start: jax.Array) -> jax.Array:
        """A member of the carry before each step, from those after each step."""
        parts = (after[1:], start[None]) if self.reverse else (start[None], after[:-1])
        return jnp.concatenate(parts)

    def _with_output(self, dcarry: Carry, dy: jax.Array) -> Carry:
        place = self.visible
        return (*dcarry[:place], dcarry[place] + dy.astype(dcarry[place].dtype), *dcarry[place + 1 :])


def input_features(x: Any) -> int:
    """D of an input, in ``init``."""
    return check_sequence(x).shape[-1]


def _cast(tree: Any, dtype: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)
