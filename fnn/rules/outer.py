"""A kernel's gradient as a sum of outer products."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from fnn.rules._in_full import square_in_full
from fnn.rules._rows import OneHot, Rows, added_up, gathered, gram, leading, times, width_of
from fnn.rules._sums import inner, over_blocks, scaled, square_of, squares, wide
from fnn.rules.whole import Whole


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
        return self._matrix().reshape(*leading(self.right), *self.shape)

    def square(self) -> jax.Array:
        if isinstance(self.right, OneHot):
            return self.turned().square()
        if isinstance(self.left, OneHot):
            return square_of(added_up(self.left, self.right))
        rows, width, features = self.left.shape[-2], self.left.shape[-1], self.right.shape[-1]
        if rows == 1:
            return (squares(self.left) * squares(self.right)).sum()
        if rows * (width + features) <= width * features:
            return self.cross(self)
        return square_in_full(self)

    def along(self, p: jax.Array) -> jax.Array:
        matrix = p.reshape(*p.shape[: p.ndim - len(self.shape)], width_of(self.left), width_of(self.right))
        if isinstance(self.right, OneHot):
            return self.turned().along(jnp.swapaxes(matrix, -1, -2))
        return inner(times(self.left, matrix), self.right)

    def cross(self, other: "Outer") -> jax.Array:
        """⟨G, G'⟩ from the inner products of the rows."""
        return inner(gram(self.left, other.left), gram(self.right, other.right))

    def rounding(self) -> jax.Array:
        count = self.left.index.size if isinstance(self.left, OneHot) else self.left.size // self.left.shape[-1]
        sizes = [each.valid.sum() if isinstance(each, OneHot) else square_of(each) for each in (self.left, self.right)]
        dtype = max(
            (size.dtype for size in sizes), key=lambda dtype: (jnp.issubdtype(dtype, jnp.floating), dtype.itemsize)
        )
        return count * sizes[0].astype(dtype) * sizes[1].astype(dtype)

    def summed(self, c: jax.Array, axis: str) -> "Outer":
        if isinstance(self.right, OneHot):
            return dataclasses.replace(
                self, left=gathered(scaled(self.left, c), axis), right=gathered(self.right, axis)
            )
        right = gathered(scaled(self.right, c), axis)
        return dataclasses.replace(self, left=gathered(self.left, axis), right=right)

    def turned(self) -> "Outer":
        """The same with l and r exchanged, of a parameter that is a matrix of D · F entries."""
        return Outer(self.right, self.left, (width_of(self.right), width_of(self.left)))

    def transposed(self) -> "Outer | Whole":
        """G with its last two axes exchanged."""
        return self.turned() if len(self.shape) == 2 else Whole(self.array()).transposed()

    def reshape(self, shape: tuple[int, ...]) -> "Outer":
        """The same entries in a parameter of another shape, its first axes those of l, its last those of r."""
        return dataclasses.replace(self, shape=shape)

    def _matrix(self) -> jax.Array:
        """G as (…, D, F)."""
        if isinstance(self.right, OneHot):
            return jnp.swapaxes(self.turned()._matrix(), -1, -2)
        if not isinstance(self.left, OneHot):
            return jnp.einsum("...md,...mf->...df", self.left, self.right, preferred_element_type=wide(self.right))
        zeros = jnp.zeros((self.left.size, self.right.shape[-1]), wide(self.right))

        def added(index: jax.Array, rows: jax.Array) -> jax.Array:
            return zeros.at[index].add(rows.astype(zeros.dtype), mode="drop", wrap_negative_indices=False)

        return over_blocks(added, 1)(self.left.index, self.right)
