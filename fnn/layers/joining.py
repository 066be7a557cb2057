"""Layers of several inputs that make one array of them: their sum, their product, or one after the other on an axis.

They stand where several layers meet, in a ``Graph`` say; ``Parallel`` merges its branches by the same functions.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import describe, exact_array, output_gradient
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Cache, Layer, OverTime, Params, State, Static
from fnn.sequences.lengths import lengths_of


@dataclasses.dataclass(frozen=True)
class Joining(Layer):
    """The base: a subclass gives ``joined`` and ``parted`` for arrays; the lengths of sequences are taken care of."""

    def joined(self, members: list[Any]) -> tuple[Any, Cache]:
        """One array of several of one dtype, and the cache."""
        raise NotImplementedError(f"{type(self).__name__} does not define joined")

    def parted(self, cache: Cache, dy: jax.Array) -> Sequence[Any]:
        """The gradient of each of them."""
        raise NotImplementedError(f"{type(self).__name__} does not define parted")

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        jax.eval_shape(lambda x: self.forward({}, {}, x)[0], arrays_or_shapes(x))  # raises if they do not fit
        return {}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        if not isinstance(x, tuple) or not x:
            raise TypeError(f"{type(self).__name__} takes a tuple of arrays, got {describe(x)}")
        beside = tuple(lengths_of(each) is not None and len(each) == 2 for each in x)
        members = [exact_array(each[0] if pair else each) for each, pair in zip(x, beside, strict=True)]
        if len({each.dtype for each in members}) > 1:
            raise TypeError(f"{type(self).__name__} takes arrays of one dtype, got {describe(x)}; cast them explicitly")
        y, cache = self.joined(members)
        if any(beside):
            self._check_steps(members)
            y = (y, reduce(jnp.minimum, [each[1] for each, pair in zip(x, beside, strict=True) if pair]))
        return y, state, {**cache, "beside": Static(beside)}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, tuple]:
        beside = cache["beside"].value
        dy = dy[0] if isinstance(dy, tuple) else dy
        dx = [None] * len(beside) if dy is None else self.parted(cache, dy)  # integers have no gradient
        return {}, tuple((each, None) if pair else each for each, pair in zip(dx, beside, strict=True))

    def _check_steps(self, members: list[Any]) -> None:
        """Raises if the steps of sequences do not stay what they were."""


def _of_one_shape(layer: Layer, members: list[Any]) -> None:
    if len({each.shape for each in members}) > 1:
        raise ValueError(
            f"{type(layer).__name__} takes arrays of one shape, got {describe(members)}; nothing is broadcast"
        )


@dataclasses.dataclass(frozen=True)
class Add(Joining, name="add"):
    """The sum of its inputs.

    Forward:   y = Σᵢ xᵢ
    Backward:  dxᵢ = dy

    Params, State: none
    Cache:     ``beside`` Static: which inputs had lengths
    Shapes:    (x₁, x₂, …), arrays of one shape and dtype, → that shape. If some are sequences (x, lengths), the output
               is (y, the shortest for each sequence)

    Errors: ``TypeError`` if not given a tuple of arrays of one dtype; ``ValueError`` for shapes that differ.

    >>> Add().apply({}, {}, (jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]])))[0]
    Array([[4., 6.]], dtype=float32)
    """

    over_time = "each step"

    def joined(self, members: list[Any]) -> tuple[Any, Cache]:
        _of_one_shape(self, members)
        return reduce(jnp.add, members), {}

    def parted(self, cache: Cache, dy: jax.Array) -> list[Any]:
        return [dy] * len(cache["beside"].value)


@dataclasses.dataclass(frozen=True)
class Multiply(Joining, name="multiply"):
    """The product of its inputs, entry by entry.

    Forward:   y = Πᵢ xᵢ
    Backward:  dxᵢ = dy ⊙ Π_(j≠i) xⱼ

    Params, State: none
    Cache:     ``members``, the inputs; ``beside`` Static: which of them had lengths
    Shapes:    (x₁, x₂, …), arrays of one shape and dtype, → that shape. If some are sequences (x, lengths), the output
               is (y, the shortest for each sequence)

    The products without i come from running products left and right of i, so that a zero causes no division by zero.

    Errors: ``TypeError`` if not given a tuple of arrays of one dtype; ``ValueError`` for shapes that differ.

    >>> Multiply().apply({}, {}, (jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 4.0]])))[0]
    Array([[3., 8.]], dtype=float32)
    """

    over_time = "each step"

    def joined(self, members: list[Any]) -> tuple[Any, Cache]:
        _of_one_shape(self, members)
        return reduce(jnp.multiply, members), {"members": tuple(members)}

    def parted(self, cache: Cache, dy: jax.Array) -> list[Any]:
        return product_gradients(list(cache["members"]), dy)


@dataclasses.dataclass(frozen=True)
class Concatenate(Joining, name="concatenate"):
    """Its inputs one after the other on an axis, by default the last.

    Forward:   y = [x₁, x₂, …]
    Backward:  dxᵢ = the slice of dy where xᵢ is in y

    Params, State: none
    Cache:     ``shapes`` Static, of the inputs; ``beside`` Static: which of them had lengths
    Shapes:    (x₁, x₂, …), arrays of one dtype whose other axes are the same, → their sizes on ``axis`` added up;
               ``axis`` is not 0, that of the batch. If some are sequences (x, lengths), the output is (y, the shortest
               for each sequence)

    Errors: ``TypeError`` for an input that is not a tuple of arrays of one dtype; ``ValueError`` for other axes that
    differ, an axis that is the batch's or that the inputs do not have, and for sequences joined along their steps.

    >>> Concatenate().apply({}, {}, (jnp.zeros((2, 3)), jnp.zeros((2, 4))))[0].shape
    (2, 7)
    """

    axis: int = -1

    @property
    def over_time(self) -> OverTime | None:  # type: ignore[override]
        return "each step" if self.axis in (-1, 2) else None

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise TypeError(f"axis is an integer, got {self.axis!r}")
        if self.axis == 0:
            raise ValueError("axis 0 is that of the batch, whose samples stay apart; axis is another one, or negative")

    def joined(self, members: list[Any]) -> tuple[Any, Cache]:
        axis = self._axis(members)
        others = {each.shape[:axis] + each.shape[axis + 1 :] for each in members}
        if len(others) > 1 or len({each.ndim for each in members}) > 1:
            raise ValueError(f"Concatenate takes arrays that differ on axis {self.axis} alone, got {describe(members)}")
        return lax.concatenate(members, axis), {"shapes": Static(tuple(each.shape for each in members))}

    def parted(self, cache: Cache, dy: jax.Array) -> list[Any]:
        return concatenation_gradients(cache["shapes"].value, self.axis, dy)

    def _axis(self, members: list[Any]) -> int:
        ndim = members[0].ndim
        axis = self.axis + ndim if self.axis < 0 else self.axis
        if not 0 < axis < ndim:
            raise ValueError(f"the inputs of {self!r} have that axis behind the batch's, got {describe(members)}")
        return axis

    def _check_steps(self, members: list[Any]) -> None:
        if self._axis(members) == 1:
            raise ValueError(
                f"{self!r} joins sequences along their steps, and padding would come to lie between them;"
                f" give sequences without their lengths if they have no padding"
            )


def product_gradients(members: list[jax.Array], dy: jax.Array) -> list[jax.Array]:
    """The gradient of each factor of a product."""
    left = itertools.accumulate(members[:-1], jnp.multiply, initial=output_gradient(dy, members[0].shape))
    right = list(itertools.accumulate(members[:0:-1], jnp.multiply, initial=jnp.ones_like(dy)))[::-1]
    return [before * behind for before, behind in zip(left, right, strict=True)]


def concatenation_gradients(shapes: Sequence[tuple[int, ...]], axis: int, dy: jax.Array) -> list[jax.Array]:
    """The gradient of each part of a concatenation of arrays of these shapes."""
    *ends, size = itertools.accumulate(shape[axis] for shape in shapes)
    whole = list(shapes[0])
    whole[axis] = size
    return jnp.split(output_gradient(dy, tuple(whole)), ends, axis=axis)
