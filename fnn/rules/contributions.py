"""A parameter's gradient, as what it is made of, so that its norm is known before it is formed.

The gradient of a kernel is a sum of outer products over the rows of a batch, of which a ``Contribution`` keeps the
factors. Each kind answers the same questions:

    array()           the gradient G itself
    square()          ‖G‖²
    along(p)          ⟨G, p⟩ for an array p of the parameter's shape
    summed(c, axis)   Σ c G over the members of a mapped axis (``jax.vmap``), c a scalar of each: a contribution again

A contribution is a pytree; ``Repeat`` stacks its arrays on leading axes, which all kinds take for more blocks of one
array. What is computed in place of the gradient has at least float32.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from fnn.layer import wide_dtype
from fnn.layers.conv._sums import exchange, gather, kernel_gradient
from fnn.layers.conv._windows import Windows, views


@functools.partial(jax.tree_util.register_dataclass, data_fields=["value"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Whole:
    """G itself, of parameters no larger than the activations: biases, scales, and what is not known to be a product."""

    value: jax.Array

    def array(self) -> jax.Array:
        return self.value

    def square(self) -> jax.Array:
        return _square(self.value)

    def along(self, p: jax.Array) -> jax.Array:
        return _inner(self.value, p)

    def summed(self, c: jax.Array, axis: str) -> "Whole":
        return Whole(lax.psum(_scaled(self.value, c), axis))

    def transposed(self) -> "Whole":
        return Whole(jnp.swapaxes(self.value, -1, -2))


@functools.partial(jax.tree_util.register_dataclass, data_fields=["index"], meta_fields=["size"])
@dataclasses.dataclass(frozen=True)
class OneHot:
    """Rows (…, M, size) that are 1 at one ``index`` (…, M) each; 0 everywhere if it lies outside."""

    index: jax.Array
    size: int

    @property
    def width(self) -> int:
        return self.size

    def times(self, matrix: jax.Array) -> jax.Array:
        """The rows of a matrix (…, size, F) at the indices."""
        index = jnp.where(self._valid, self.index, 0)
        found = jnp.take_along_axis(matrix, index[..., None], -2)
        return jnp.where(self._valid[..., None], found, 0)

    def gram(self, other: "Rows") -> jax.Array:
        """The inner products of these rows with the others, (…, M, M')."""
        if isinstance(other, OneHot):
            same = self.index[..., :, None] == other.index[..., None, :]
            return same & self._valid[..., :, None]
        return self.times(jnp.swapaxes(other, -1, -2))

    @property
    def _valid(self) -> jax.Array:
        return (self.index >= 0) & (self.index < self.size)


Rows = Any
"""Rows (…, M, D): an array, or ``OneHot``."""


@functools.partial(jax.tree_util.register_dataclass, data_fields=["left", "right"], meta_fields=["shape"])
@dataclasses.dataclass(frozen=True)
class Outer:
    """G = Σ_m l_m r_mᵀ, for rows l (…, M, D) and r (…, M, F); in a parameter of this ``shape``, D · F entries.

    ‖G‖² = Σ_m Σ_m' (l_m · l_m') (r_m · r_m'), or from G itself, whichever takes fewer products: M² (D + F) or M D F.
    Where l is one-hot, the rows r with equal indices are added up first. ⟨G, p⟩ = Σ_m (l_m p) · r_m.

    Source of the first form: Goodfellow 2015 for M = 1; Rochette et al. 2019 for rows in several.
    """

    left: Rows
    right: Rows
    shape: tuple[int, ...]

    def array(self) -> jax.Array:
        leading = self._rows(self.right).shape[:-2]
        return self._matrix().reshape(*leading, *self.shape)

    def square(self) -> jax.Array:
        if isinstance(self.right, OneHot):
            return self.transposed().square()
        if isinstance(self.left, OneHot):
            return _square(_added_up(self.left.index, self.left._valid, self.right))
        rows, width, features = self.left.shape[-2], self.left.shape[-1], self.right.shape[-1]
        if rows == 1:
            return (_squares(self.left) * _squares(self.right)).sum()
        if rows * (width + features) <= width * features:
            return self.cross(self)
        return square_in_full(self)

    def along(self, p: jax.Array) -> jax.Array:
        matrix = p.reshape(*p.shape[: p.ndim - len(self.shape)], *self._matrix_shape())
        if isinstance(self.right, OneHot):
            return self.transposed().along(jnp.swapaxes(matrix, -1, -2))
        return _inner(_times(self.left, matrix), self.right)

    def cross(self, other: "Outer") -> jax.Array:
        """⟨G, G'⟩ from the inner products of the rows."""
        return _inner(_gram(self.left, other.left), _gram(self.right, other.right))

    def summed(self, c: jax.Array, axis: str) -> "Outer":
        def joined(rows: Rows, c: Any = None) -> Rows:
            if _hot(rows):
                index = lax.all_gather(rows.index, axis, axis=rows.index.ndim - 1, tiled=True)
                return dataclasses.replace(rows, index=index)
            return lax.all_gather(rows if c is None else _scaled(rows, c), axis, axis=rows.ndim - 2, tiled=True)

        if _hot(self.right):
            return self.transposed().summed(c, axis).transposed()
        return dataclasses.replace(self, left=joined(self.left), right=joined(self.right, c))

    def transposed(self) -> "Outer":
        """Gᵀ, of parameters that are matrices."""
        return Outer(self.right, self.left, self.shape[::-1])

    def reshape(self, shape: tuple[int, ...]) -> "Outer":
        """The same entries in a parameter of another shape, its first axes those of l, its last those of r."""
        return dataclasses.replace(self, shape=shape)

    def _matrix(self) -> jax.Array:
        """G as (…, D, F)."""
        if _hot(self.right):
            return jnp.swapaxes(self.transposed()._matrix(), -1, -2)
        if not _hot(self.left):
            return jnp.einsum("...md,...mf->...df", self.left, self.right, preferred_element_type=_wide(self.right))
        zeros = jnp.zeros((self.left.size, self.right.shape[-1]), _wide(self.right))

        def added(index: jax.Array, rows: jax.Array) -> jax.Array:
            return zeros.at[index].add(rows.astype(zeros.dtype), mode="drop", wrap_negative_indices=False)

        return _over_blocks(added, 1)(self.left.index, self.right)

    def _matrix_shape(self) -> tuple[int, int]:
        return _width(self.left), _width(self.right)

    @staticmethod
    def _rows(rows: Rows) -> Any:
        return rows.index[..., None] if _hot(rows) else rows


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["image", "over"], meta_fields=["windows", "groups", "turned"]
)
@dataclasses.dataclass(frozen=True)
class Slid:
    """G[k, c, f] = Σ_n Σ_o u[n, o·s + k·d − p, c] v[n, o, f], the gradient of a convolution's kernel.

    u is the ``image`` (…, n, *spatial, C) and v what is ``over`` its windows (…, n, *spatial', F). ``turned``: the
    kernel has inputs and outputs exchanged, as that of ``ConvTranspose``. As ``Outer``, of the windows unfolded;
    ⟨G, p⟩ is the inner product of u, convolved with p, and v.
    """

    image: jax.Array
    over: jax.Array
    windows: Windows
    groups: int
    turned: bool = False

    def array(self) -> jax.Array:
        def one(image: jax.Array, over: jax.Array) -> jax.Array:
            return self._turned(kernel_gradient(image, over, self.windows, self.groups))

        return _over_blocks(one, self.image.ndim - self._leading)(self.image, self.over)

    def square(self) -> jax.Array:
        places, channels = math.prod(self.windows.window), self.image.shape[-1] // self.groups
        features = self.over.shape[-1] // self.groups
        rows = self.over.shape[self._leading] * math.prod(self.windows.out)
        if rows * (places * channels + features) <= places * channels * features:
            return self.unfolded().square()
        return square_in_full(self, lambda made: made.unfolded().array())

    def along(self, p: jax.Array) -> jax.Array:
        def one(p: jax.Array, image: jax.Array) -> jax.Array:
            return gather(image, self._turned(p), self.windows, self.groups)

        return _inner(_over_blocks(one, p.ndim - self._leading)(p, self.image), self.over)

    def summed(self, c: jax.Array, axis: str) -> "Slid":
        image, over = (
            lax.all_gather(each, axis, axis=self._leading, tiled=True) for each in (self.image, _scaled(self.over, c))
        )
        return dataclasses.replace(self, image=image, over=over)

    def transposed(self) -> Whole:
        return Whole(self.array()).transposed()

    def unfolded(self) -> Outer:
        """The same as ``Outer``, with one block a group: (…, G, n · windows, window · C/G) and (…, G, …, F/G)."""

        def one(image: jax.Array, over: jax.Array) -> tuple[jax.Array, jax.Array]:
            seen = jnp.stack(list(views(image, self.windows, 0)), -2)  # (n, *spatial', window, C)
            seen = seen.reshape(-1, seen.shape[-2], self.groups, seen.shape[-1] // self.groups)
            left = seen.transpose(2, 0, 1, 3).reshape(self.groups, len(seen), -1)
            return left, over.reshape(len(seen), self.groups, -1).swapaxes(0, 1)

        left, right = _over_blocks(one, self.image.ndim - self._leading)(self.image, self.over)
        return Outer(left, right, (left.shape[-1], right.shape[-1]))

    def _turned(self, kernel: jax.Array) -> jax.Array:
        return exchange(kernel, self.groups) if self.turned else kernel

    @property
    def _leading(self) -> int:
        return self.image.ndim - len(self.windows.window) - 2


@functools.partial(jax.tree_util.register_dataclass, data_fields=["terms"], meta_fields=[])
@dataclasses.dataclass(frozen=True)
class Joined:
    """G = Σᵢ Gᵢ: a parameter used in several places.

    ‖G‖² = Σᵢ ‖Gᵢ‖² + 2 Σ_(i<j) ⟨Gᵢ, Gⱼ⟩.
    """

    terms: tuple[Any, ...]

    def array(self) -> jax.Array:
        return functools.reduce(jnp.add, [term.array() for term in self.terms])

    def square(self) -> jax.Array:
        if not all(isinstance(term, Outer) for term in self.terms):
            return square_in_full(self)
        total = functools.reduce(jnp.add, [term.square() for term in self.terms])
        for i, one in enumerate(self.terms):
            for other in self.terms[:i]:
                total = total + 2 * one.cross(other)
        return total

    def along(self, p: jax.Array) -> jax.Array:
        return functools.reduce(jnp.add, [term.along(p) for term in self.terms])

    def summed(self, c: jax.Array, axis: str) -> "Joined":
        return Joined(tuple(term.summed(c, axis) for term in self.terms))

    def transposed(self) -> "Joined":
        return Joined(tuple(term.transposed() for term in self.terms))


KINDS = (Whole, Outer, Slid, Joined)
Contribution = Whole | Outer | Slid | Joined


def is_contribution(node: Any) -> bool:
    """Whether a node of a tree of reports is a contribution."""
    return isinstance(node, KINDS)


def square_in_full(made: Any, array: Callable[[Any], Any] = lambda made: made.array()) -> Any:
    """The squares of ``array(made)``, summed leaf by leaf, for one example after another under ``vmap``.

    As many are formed at a time as take no more memory than a quarter of what they are formed from.
    """
    leaves, treedef = jax.tree.flatten(made)

    def squares(*leaves: jax.Array) -> Any:
        return jax.tree.map(_square, array(treedef.unflatten(leaves)))

    run = custom_vmap(squares)

    @run.def_vmap
    def _(size: int, batched: list[bool], *leaves: jax.Array) -> tuple[Any, Any]:
        mapped = [leaf for leaf, is_batched in zip(leaves, batched, strict=True) if is_batched]

        def one(mapped: list[jax.Array]) -> Any:
            rest = iter(mapped)
            return squares(*(next(rest) if b else leaf for leaf, b in zip(leaves, batched, strict=True)))

        shapes = jax.eval_shape(lambda mapped: array(treedef.unflatten(_with(leaves, batched, mapped))), _first(mapped))
        formed = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
        at_once = min(size, max(1, sum(leaf.size for leaf in mapped) // (4 * max(formed, 1))))
        found = lax.map(one, mapped, batch_size=at_once)
        return found, jax.tree.map(lambda _: True, found)

    return run(*leaves)


def _with(leaves: tuple, batched: list[bool], mapped: list[jax.Array]) -> list[jax.Array]:
    rest = iter(mapped)
    return [next(rest) if is_batched else leaf for leaf, is_batched in zip(leaves, batched, strict=True)]


def _first(mapped: list[jax.Array]) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype) for leaf in mapped]


def _over_blocks(function: Callable, rank: int) -> Callable:
    """The function, mapped over all leading axes of its arguments: those of the first before its last ``rank``."""

    def mapped(*arguments: jax.Array) -> Any:
        run = function
        for _ in range(arguments[0].ndim - rank):
            run = jax.vmap(run)
        return run(*arguments)

    return mapped


def _added_up(index: jax.Array, valid: jax.Array, rows: jax.Array) -> jax.Array:
    """The rows (…, M, F) of each index added up, in any order; those of other indices than the ``valid`` dropped."""

    def one(index: jax.Array, valid: jax.Array, rows: jax.Array) -> jax.Array:
        order = jnp.argsort(index)
        sorted_ = index[order]
        new = jnp.concatenate([jnp.zeros(1, jnp.int32), (sorted_[1:] != sorted_[:-1]).astype(jnp.int32)])
        wide = jnp.where(valid[:, None], rows, 0).astype(_wide(rows))
        return jax.ops.segment_sum(wide[order], jnp.cumsum(new), len(index), indices_are_sorted=True)

    return _over_blocks(one, 1)(index, valid, rows)


def _hot(rows: Rows) -> bool:
    return isinstance(rows, OneHot)


def _width(rows: Rows) -> int:
    return rows.width if _hot(rows) else rows.shape[-1]


def _gram(one: Rows, other: Rows) -> jax.Array:
    if _hot(one):
        return one.gram(other)
    if _hot(other):
        return jnp.swapaxes(other.gram(one), -1, -2)
    return jnp.einsum("...md,...nd->...mn", one, other, preferred_element_type=_wide(one))


def _times(rows: Rows, matrix: jax.Array) -> jax.Array:
    if _hot(rows):
        return rows.times(matrix)
    return jnp.einsum("...md,...df->...mf", rows, matrix, preferred_element_type=_wide(rows))


def _inner(one: jax.Array, other: jax.Array) -> jax.Array:
    dtype = _wide(other) if one.dtype == bool else _wide(one)
    return (one.astype(dtype) * other.astype(dtype)).sum()


def _scaled(x: jax.Array, c: jax.Array) -> jax.Array:
    return x * c.astype(x.dtype)


def _square(x: jax.Array) -> jax.Array:
    return _squares(x).sum()


def _squares(x: jax.Array) -> jax.Array:
    """Σ x² over the last axis."""
    wide = x.astype(_wide(x))
    return (wide * wide).sum(-1) if x.ndim else wide * wide


def _wide(x: jax.Array) -> Any:
    return wide_dtype(x.dtype)
