"""The inputs of layers that run over time: x (N, T, D), ``(x, lengths)`` or ``(x, lengths, carry)``.

What stands past a sequence's length is padding. It may hold anything, NaN included: it is replaced by 0 before it meets
any arithmetic, and gets the gradient 0.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import describe, floating_array, is_concrete
from fnn.sequences.lengths import checked_lengths, impossible, valid_steps

Carry = tuple[jax.Array, ...]
"""The members of what is carried from step to step; outside the layer one member stands alone."""


class Sequences(NamedTuple):
    """An input taken apart: x with its padding at 0, lengths (N,) or None, the carry at the start, and the number of
    members that came (0: x alone), with ``carried`` for whether a carry was among them."""

    x: jax.Array
    lengths: jax.Array | None
    carry: Carry
    members: int
    carried: bool


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
    start, wrong = zero_carry(sizes, len(values), values.dtype), jnp.zeros(())
    if lengths is not None:
        lengths = checked_lengths(lengths, *values.shape[:2])
        wrong = impossible(lengths, values.shape[1])
        lengths = jnp.where(wrong, values.shape[1], lengths)
        values = jnp.where(_column(valid_steps(lengths, values.shape[1])), values, 0)
    if carry is not None:
        start = carry_members(carry, sizes, len(values), values.dtype)
    if lengths is not None and not is_concrete(lengths):  # under jit nothing can be raised: such a sequence is all NaN
        start = tuple(jnp.where(_column(wrong), jnp.nan, member) for member in start)
    return Sequences(values, lengths, start, len(members) if isinstance(x, tuple) else 0, carry is not None)


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


def carry_outside(members: tuple) -> Any:
    """A carry as it stands outside the layer: one member stands alone."""
    return members[0] if len(members) == 1 else members


def _column(valid: jax.Array) -> jax.Array:
    return valid.reshape((*valid.shape, 1))


def _is_nested(x: Any) -> bool:
    return x is None or isinstance(x, tuple | list | dict)
