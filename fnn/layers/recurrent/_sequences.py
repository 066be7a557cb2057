"""The inputs of layers that run over time: x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)``.

What stands past a sequence's length is padding. It may hold anything, NaN included: it is replaced by 0 before it meets
any arithmetic, and gets the gradient 0.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import describe, floating_array, is_concrete
from fnn.layer import Cache
from fnn.sequences.lengths import checked_lengths, impossible, valid_steps

Carry = tuple[jax.Array, ...]
"""The members of what is carried from step to step; outside the layer one member stands alone."""


class Form(NamedTuple):
    """The number of members that an input has (0: x alone), and whether a carry is among them."""

    members: int
    carried: bool


class Sequences(NamedTuple):
    """An input taken apart: x with its padding at 0, lengths (N,) or None, the carry at the start, and the form."""

    x: jax.Array
    lengths: jax.Array | None
    carry: Carry
    form: Form


def check_sequence(x: Any) -> Any:
    """Returns the x (N, T, D) of an input, arrays or shapes, or raises."""
    if isinstance(x, list | dict) or (isinstance(x, tuple) and len(x) not in (2, 3)):
        raise TypeError(f"expected x, (x, lengths) or (x, lengths, carry), got {describe(x)}")
    x = x[0] if isinstance(x, tuple) else x
    if hasattr(x, "ndim") and x.ndim != 3:
        raise ValueError(f"expected sequences (N, T, D), got {describe(x)}")
    return x


def unpack_sequences(x: Any, sizes: tuple[int, ...]) -> Sequences:
    """Takes an input apart and checks it; ``sizes`` are those of the members of the carry."""
    members = x if isinstance(x, tuple) else (x,)
    values = floating_array(check_sequence(x))
    check_sequence(values)
    lengths, carry = [*members[1:], None, None][:2]
    start, wrong = zero_carry(sizes, values.shape[0], values.dtype), jnp.zeros(())
    if lengths is not None:
        lengths = checked_lengths(lengths, *values.shape[:2])
        wrong = impossible(lengths, values.shape[1])
        lengths = jnp.where(wrong, values.shape[1], lengths)
        values = jnp.where(_column(valid_steps(lengths, values.shape[1])), values, 0)
    if carry is not None:
        start = carry_members(carry, sizes, values.shape[0], values.dtype)
    if lengths is not None and not is_concrete(lengths):  # under jit nothing can be raised: such a sequence is all NaN
        start = tuple(jnp.where(_column(wrong), jnp.nan, member) for member in start)
    return Sequences(values, lengths, start, Form(len(members) if isinstance(x, tuple) else 0, carry is not None))


def input_gradient(cache: Cache, dx: jax.Array, dcarry: Carry) -> Any:
    """The gradient of an input in the form in which that came, from dx (T, N, D) and that of the carry at the start."""
    dtype, (members, carried) = cache["x"].dtype, cache["form"].value
    dx, dcarry = jnp.swapaxes(dx.astype(dtype), 0, 1), cast(dcarry, dtype)
    return (dx, None, carry_outside(dcarry) if carried else None)[:members] if members else dx


def valid_by_step(lengths: jax.Array | None, steps: int) -> jax.Array | None:
    """Which samples have a valid input at each step, (T, N), or ``None`` if all have."""
    return None if lengths is None else valid_steps(lengths, steps).T


def keep_where(valid: jax.Array | None, new: Any, otherwise: Any = 0) -> Any:
    """The leaves (…, C) of new where valid (…), else those of otherwise, a tree or 0; ``None`` is valid everywhere."""
    if valid is None:
        return new
    if isinstance(otherwise, int):
        return jax.tree.map(lambda leaf: jnp.where(_column(valid), leaf, otherwise), new)
    return jax.tree.map(lambda leaf, other: jnp.where(_column(valid), leaf, other), new, otherwise)


def zero_carry(sizes: tuple[int, ...], batch_size: int, dtype: Any) -> Carry:
    """The carry of which every sequence starts unless told otherwise."""
    return tuple(jnp.zeros((batch_size, size), dtype) for size in sizes)


def carry_members(carry: Any, sizes: tuple[int, ...], batch_size: int, dtype: Any) -> Carry:
    """The members of a carry as it stands outside the layer, checked."""
    members = (carry,) if len(sizes) == 1 else carry
    wanted = [jax.ShapeDtypeStruct((batch_size, size), dtype) for size in sizes]
    expected = f"expected a carry {describe(carry_outside(tuple(wanted)))}, got {describe(carry)}"
    if not isinstance(members, tuple) or len(members) != len(sizes) or any(map(_is_nested, members)):
        raise TypeError(f"{expected}; the layer's start(batch_size, dtype) makes one of zeros")
    members = tuple(jnp.asarray(each) for each in members)
    if any(each.dtype != dtype for each in members):
        raise TypeError(f"{expected}; cast one of them explicitly")
    if any(each.shape != shape.shape for each, shape in zip(members, wanted, strict=True)):
        raise ValueError(f"{expected}; the layer's start(batch_size, dtype) makes one of zeros")
    return members


def before_each(carries: Carry, start: Carry, reverse: bool) -> Carry:
    """The carry before each step, from those after each (T, N, ·) and that at the start."""

    def shifted(after: jax.Array, first: jax.Array) -> jax.Array:
        return jnp.concatenate((after[1:], first[None]) if reverse else (first[None], after[:-1]))

    return tuple(map(shifted, carries, start))


def carry_outside(members: tuple) -> Any:
    """A carry as it stands outside the layer: one member stands alone."""
    return members[0] if len(members) == 1 else members


def cast(tree: Any, dtype: Any) -> Any:
    """The arrays of a tree in another dtype."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


def _column(valid: jax.Array) -> jax.Array:
    return valid.reshape((*valid.shape, 1))


def _is_nested(x: Any) -> bool:
    return x is None or isinstance(x, tuple | list | dict)
