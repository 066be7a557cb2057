"""Standardisation to mean 0 and variance 1, the one derivation behind every normalising layer.

Over the n elements of a set (a channel of a batch, the features of a sample, …):

    μ = (1/n) Σ x,  σ² = (1/n) Σ (x − μ)²,  r = 1/√(σ² + ε),  x̂ = (x − μ) r,  y = γ ⊙ x̂ + β

x̂ depends on x directly, through μ and through σ². With dμ/dx = 1/n and dσ²/dx = 2(x − μ)/n the three parts add up to

    dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)),  dx̂ = γ ⊙ dy

which says: remove from dx̂ its components along 1 and along x̂, the directions in which x̂ cannot change. Without the
mean, x̂ = x r with r = 1/√(mean(x²) + ε), only the second is removed: dx = r (dx̂ − x̂ · mean(dx̂ ⊙ x̂)).

A set is a group of consecutive channels at all P positions of one of N blocks (``Sets``), in a view of x that has one
axis for the blocks and one for the positions, as far as there are any. As γ is the same at all positions, two sums over
them, A = Σ_p dy and B = Σ_p dy ⊙ x̂, each (N, 1, C), give everything: dβ = Σ_N A and dγ = Σ_N B, and the means over a
set are those of γ A and γ B over its channels, divided by P. So x and dy are read once for all sums and once for dx.

The variance is computed in two passes; E[x²] − E[x]² cancels when the mean is large. ``axis_name`` extends the set over
the devices of a mapped axis: every mean becomes a mean of means of equal sizes. With ``counted``, a mask that is
broadcast against the view, the set consists of the entries that count, and a mean is their sum divided by their number.

If squares overflow, σ² = ∞ and r would be 0: every output would be the bias, with gradient 0. Instead r, and so the
whole set, is NaN. Rescaling the inputs would avoid this, at the cost of another pass over them.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layer import wide_dtype
from fnn.layers._rows import can_merge, sums_of_columns


class Sets(NamedTuple):
    """The sets of an input of this shape (…, C): which axes are positions, and how many groups the channels form.

    The other axes are blocks. A number for each set is an array with size 1 at the positions and G groups at the end.
    """

    shape: tuple[int, ...]
    positions: tuple[int, ...]
    groups: int

    def merged(self, x: jax.Array) -> "Sets":
        """The same with one axis for all blocks in front, and one for all positions, unless x cannot be viewed so."""
        if not can_merge(x):
            return self
        *leading, channels = self.shape
        blocks = [size for axis, size in enumerate(leading) if axis not in self.positions]
        positions = [leading[axis] for axis in self.positions]
        view = (*(math.prod(each) for each in (blocks, positions) if each), channels)
        return Sets(view, (len(view) - 2,) if positions else (), self.groups)

    @property
    def statistic(self) -> tuple[int, ...]:
        """The shape of a number for each set."""
        leading = (1 if axis in self.positions else size for axis, size in enumerate(self.shape[:-1]))
        return (*leading, self.groups)

    def of(self, x: jax.Array) -> jax.Array:
        """x in this shape."""
        return x.reshape(self.shape)

    def first(self, x: jax.Array) -> jax.Array:
        """The first entry of every set."""
        at = (slice(1) if axis in self.positions else slice(None) for axis in range(len(self.shape) - 1))
        return x[(*at, slice(None, None, self.shape[-1] // self.groups))]

    def sum(self, x: jax.Array, counted: jax.Array | None = None) -> jax.Array:
        """The sums over the positions (of the entries that count), (N, 1, C)."""
        return (x if counted is None else jnp.where(counted, x, 0)).sum(self.positions, keepdims=True)

    def mean(self, sums: jax.Array, scale: jax.Array | None = None) -> jax.Array:
        """The means over the sets, (N, 1, G), from the sums over the positions, times γ (…, 1, C) if it is given."""
        size = self.shape[-1] // self.groups
        if self.groups == 1 and not self.positions:
            return sums_of_columns(sums, None if scale is None else scale.reshape(size)) / size
        sums = sums if scale is None else scale * sums
        if size > 1:
            sums = sums.reshape(*sums.shape[:-1], self.groups, size).sum(-1)
        return sums / (math.prod(self.shape[axis] for axis in self.positions) * size)

    def spread(self, each: jax.Array) -> jax.Array:
        """One number a set, (N, 1, G), as one a channel: (N, 1, C), or (N, 1, 1) if there is one group."""
        size = self.shape[-1] // self.groups
        return each if 1 in (size, self.groups) else jnp.repeat(each, size, -1)


class Sums(NamedTuple):
    """Σ_p dy and Σ_p dy ⊙ x̂, each (N, 1, C)."""

    plain: jax.Array
    with_normal: jax.Array


def rows_of(shape: tuple[int, ...]) -> Sets:
    """The sets of a layer that standardises the channels at every position."""
    return Sets(shape, (), 1)


def columns_of(shape: tuple[int, ...]) -> Sets:
    """The sets of a layer that standardises every channel over all positions."""
    return Sets(shape, tuple(range(len(shape) - 1)), shape[-1])


def moments(
    x: jax.Array, sets: Sets, axis_name: Any = None, counted: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of every set, each (N, 1, G), in at least float32."""
    wide = x.astype(wide_dtype(x.dtype))
    if counted is not None and axis_name is not None:
        mean = _mean(sets.sum(wide, counted), sets, axis_name, counted)
    else:
        # Relative to the first entry: summing equal numbers rounds, and a constant set would get a variance from that.
        first = lax.stop_gradient(sets.first(wide))
        mean = _mean(sets.sum(wide - sets.spread(first), counted), sets, None, counted) + first
        mean = mean if axis_name is None else lax.pmean(mean, axis_name)
    return mean, _mean(sets.sum(jnp.square(wide - sets.spread(mean)), counted), sets, axis_name, counted)


def inverse_root(square: jax.Array, epsilon: Any) -> jax.Array:
    """r = 1/√(σ² + ε), or NaN if the mean of squares has overflowed."""
    return jnp.where(jnp.isinf(square), jnp.nan, lax.rsqrt(square + epsilon))


def normalized(x: jax.Array, mean: jax.Array, inverse: jax.Array) -> jax.Array:
    """x̂ = (x − μ) r in the dtype of the moments."""
    return (x.astype(mean.dtype) - mean) * inverse


def sums_over_positions(dy: jax.Array, normal: jax.Array, sets: Sets, counted: jax.Array | None = None) -> Sums:
    """Both sums of the backward pass."""
    return Sums(sets.sum(dy, counted), sets.sum(dy * normal, counted))


def standardize_backward(
    dy: jax.Array,
    normal: jax.Array,
    inverse: jax.Array,
    scale: jax.Array | None,
    sums: Sums,
    sets: Sets,
    axis_name: Any = None,
    counted: jax.Array | None = None,
) -> jax.Array:
    """dx from dy, x̂, r (spread), γ (…, 1, C) if there is one and the sums, where μ and σ² are computed from x."""
    along_one = sets.spread(_mean(sums.plain, sets, axis_name, counted, scale))
    return rescale_backward(dy, normal, inverse, scale, sums, sets, axis_name, counted) - inverse * along_one


def rescale_backward(
    dy: jax.Array,
    normal: jax.Array,
    inverse: jax.Array,
    scale: jax.Array | None,
    sums: Sums,
    sets: Sets,
    axis_name: Any = None,
    counted: jax.Array | None = None,
) -> jax.Array:
    """dx from dy, x̂, r, γ (…, 1, C) if there is one and the sums, where x̂ = x r and r comes from mean(x²)."""
    dnormal = dy if scale is None else scale * dy
    return inverse * (dnormal - normal * sets.spread(_mean(sums.with_normal, sets, axis_name, counted, scale)))


def _mean(
    sums: jax.Array, sets: Sets, axis_name: Any, counted: jax.Array | None, scale: jax.Array | None = None
) -> jax.Array:
    if counted is not None:  # of a layer that standardises columns, whose sums are those of its sets
        parts = sums if scale is None else scale * sums, counted.sum(sets.positions, keepdims=True).astype(sums.dtype)
        total, count = parts if axis_name is None else lax.psum(parts, axis_name)
        return total / count
    mean = sets.mean(sums, scale)
    return mean if axis_name is None else lax.pmean(mean, axis_name)
