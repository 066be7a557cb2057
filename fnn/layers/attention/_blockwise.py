"""Scaled dot-product attention in blocks of queries: memory grows with T, not with T².

    s = scale · q kᵀ,  p = softmax(s) over the keys that may be attended to,  y = p v

The plain backward caches the output of softmax, T × S numbers a head. Here forward caches one number a query,

    l = log Σⱼ e^(sⱼ),  the log-sum-exp,

from which backward recomputes the probabilities of one block at a time, p = e^(s − l), to form the gradients:

    dv = pᵀ dy,  dp = dy vᵀ,  ds = p ⊙ (dp − δ),  dq = scale · ds k,  dk = scale · dsᵀ q

δ = Σⱼ pⱼ dpⱼ is the sum in the derivative of softmax. It equals dy·y, which needs no probabilities, but y is rounded to
its dtype: if all keys have nearly the same value, dp and δ nearly cancel, and in bfloat16 the difference would be
mostly rounding error. A block sees all keys, so we take the sum itself. With dropout, y = (m ⊙ p / (1 − rate)) v and
dp = m ⊙ dy vᵀ / (1 − rate); the rest is the same.

A query that may not attend to anything has y = 0 and no gradient. If all its scores overflow to −∞, or one to +∞,
y is NaN, since overflowed scores cannot be compared.

Axes:  N batch   K key heads   G query heads a key head   T queries   S keys   d features of a head

Source: Vaswani et al. 2017, eq. 1; Rabe and Staats 2021 and Dao et al. 2022 (the log-sum-exp instead of p).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layer import wide_dtype
from fnn.layers.random.dropout import Dropout

PARTS = 4
"""Into how many parts a causal sequence is split at most: the program grows with them."""


@dataclasses.dataclass(frozen=True)
class BlockwiseAttention:
    """Both passes; ``block`` is the largest number of queries at once.

    q (N, K, G, T, d), k and v (N, K, S, d), mask (N, K or 1, G or 1, T or 1, S), True where a query may attend. With
    ``causal`` query t sees the keys up to ``offset`` + t, without a T × S array. With a key, dropout draws the mask of
    each block from the key folded with the index of its first query, the same in both passes.
    """

    causal: bool
    block: int
    dropout: Dropout

    def forward(
        self, q: jax.Array, k: jax.Array, v: jax.Array, mask: Any = None, key: Any = None, offset: Any = 0
    ) -> tuple[jax.Array, jax.Array]:
        """y (N, K, G, T, d), and the log-sum-exp (N, K, G, T, 1) in at least float32."""
        found = [
            self._forward_part(
                q[..., part, :], k[..., seen, :], v[..., seen, :], _of_mask(mask, part, seen), key, first
            )
            for part, seen, first in self._parts(q.shape[-2], k.shape[-2], offset)
        ]
        return _joined([y for y, _ in found]), _joined([lse for _, lse in found])

    def backward(
        self, q: jax.Array, k: jax.Array, v: jax.Array, lse: jax.Array, dy: jax.Array, mask: Any = None, key: Any = None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """dq, dk and dv from the inputs of forward and its log-sum-exp."""
        # Or XLA would keep the probabilities of forward instead of computing them again.
        q, k, lse = lax.optimization_barrier((q, k, lse))
        parts, dk, dv = [], jnp.zeros(k.shape, lse.dtype), jnp.zeros(v.shape, lse.dtype)
        for part, seen, first in self._parts(q.shape[-2], k.shape[-2], 0):
            rows = {"q": q[..., part, :], "lse": lse[..., part, :], "dy": dy[..., part, :]}
            dq, *sums = self._backward_part(
                rows, k[..., seen, :], v[..., seen, :], _of_mask(mask, part, seen), key, first
            )
            parts.append(dq)
            dk, dv = (whole.at[..., seen, :].add(more) for whole, more in zip((dk, dv), sums, strict=True))
        return _joined(parts), dk.astype(k.dtype), dv.astype(v.dtype)

    def _parts(self, queries: int, keys: int, offset: Any) -> list[tuple[slice, slice, Any]]:
        """Ranges of queries with the range of keys that they may see, and the index of the first query.

        Causal queries see no later key: in 2 parts 3/4 of the scores are computed, in 4 parts 5/8. Every part
        but the last has at least two blocks, whose loop uses its buffers again. The carry of ``step``, with its offset,
        is one part.
        """
        blocks = math.ceil(queries / self.block)
        parts = min(PARTS, blocks // 2)
        if not self.causal or parts < 2 or queries != keys or not (isinstance(offset, int) and offset == 0):
            return [(slice(0, queries), slice(0, keys), offset)]
        length = math.ceil(blocks / parts) * math.ceil(queries / blocks)
        starts = range(0, queries, length)
        ends = [min(start + length, queries) for start in starts]
        return [(slice(start, end), slice(0, end), start) for start, end in zip(starts, ends, strict=True)]

    def _forward_part(self, q: jax.Array, k: jax.Array, v: jax.Array, mask: Any, key: Any, offset: Any) -> Any:
        def step(_: None, each: tuple) -> tuple[None, tuple]:
            first, rows = each
            s = self._scores(rows["q"], k, rows.get("mask", mask), offset + first)
            # The shift cancels out, so the automatic gradient leaves it out.
            top = lax.stop_gradient(s.max(-1, keepdims=True))
            if self.causal or mask is not None:
                top = jnp.where(top == _least(s.dtype), jnp.nan, top)
            e = jnp.exp(s - top)
            total = e.sum(-1, keepdims=True)
            dropped, _ = self._dropped(e, key, offset + first)
            y, lse = _dot("nkgts,nksd->nkgtd", dropped, v) / total, top + jnp.log(total)
            if mask is not None:  # a query without keys: all its scores are the fill
                nothing = top <= _fill(s.dtype)
                y, lse = jnp.where(nothing, 0, y), jnp.where(nothing, 0, lse)
            return None, (y.astype(q.dtype), lse)

        return self._over_blocks(step, None, {"q": q}, mask)[1]

    def _backward_part(
        self, rows: dict[str, jax.Array], k: jax.Array, v: jax.Array, mask: Any, key: Any, offset: int
    ) -> Any:
        def step(sums: tuple, each: tuple) -> tuple[tuple, jax.Array]:
            (dk, dv), (first, rows) = sums, each
            q, dy = rows["q"], rows["dy"]
            p = jnp.exp(self._scores(q, k, rows.get("mask", mask), offset + first) - rows["lse"])
            kept, drawn = self._dropped(p, key, offset + first)
            dv = dv + _dot("nkgtd,nkgts->nkds", dy, kept)
            dp = self.dropout.backward(drawn, _dot("nkgtd,nksd->nkgts", dy, v))[1]
            ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * self._scale(q)
            dk = dk + _dot("nkgtd,nkgts->nkds", q, ds)
            return (dk, dv), _dot("nkgts,nksd->nkgtd", ds, k).astype(q.dtype)

        # Summed as dkᵀ and dvᵀ: for these the narrow q and dy are transposed, for dk and dv the wide p and ds would be.
        sums = tuple(jnp.zeros((*x.shape[:2], *x.shape[:1:-1]), rows["lse"].dtype) for x in (k, v))
        (dk, dv), dq = self._over_blocks(step, sums, rows, mask)
        return dq, dk.swapaxes(-1, -2), dv.swapaxes(-1, -2)

    def _scale(self, q: jax.Array) -> float:
        return 1 / math.sqrt(q.shape[-1])

    def _scores(self, q: jax.Array, k: jax.Array, mask: Any, first: Any) -> jax.Array:
        """The scores of a block whose first query has index ``first``; a finite fill where it may not attend."""
        s = _dot("nkgtd,nksd->nkgts", q, k) * self._scale(q)
        if self.causal:
            rows = lax.broadcasted_iota(jnp.int32, (1, 1, 1, *s.shape[-2:]), 3) + first
            seen = lax.broadcasted_iota(jnp.int32, rows.shape, 4) <= rows
            mask = seen if mask is None else mask & seen
        # A score that overflowed to −∞ would lie below the fill, and the query would attend to masked keys.
        return s if mask is None else jnp.where(mask, jnp.maximum(s, _least(s.dtype)), _fill(s.dtype))

    def _dropped(self, p: jax.Array, key: Any, first: Any) -> tuple[jax.Array, Any]:
        if key is None:
            return p, {}
        kept, _, drawn = self.dropout.forward({}, {}, p, train=True, key=jax.random.fold_in(key, first))
        return kept, drawn

    def _over_blocks(self, step: Callable, carry: Any, rows: dict[str, jax.Array], mask: Any) -> tuple[Any, Any]:
        """Scans over blocks of equal size, ``(first query, rows)``; without a loop if there is only one."""
        length = rows["q"].shape[-2]
        count = math.ceil(length / self.block)
        size = math.ceil(length / count)
        if mask is not None and mask.shape[-2] != 1:
            rows = {**rows, "mask": mask}
        if count == 1:
            return step(carry, (0, rows))

        def split(x: jax.Array) -> jax.Array:
            # Padding rows are zeros with zero gradient: they add nothing to the sums, and join drops their results.
            padding = [(0, 0)] * (x.ndim - 2) + [(0, count * size - length), (0, 0)]
            blocks = jnp.pad(x, padding).reshape(*x.shape[:-2], count, size, x.shape[-1])
            return jnp.moveaxis(blocks, -3, 0)

        def join(x: jax.Array) -> jax.Array:
            rows = jnp.moveaxis(x, 0, -3)
            return rows.reshape(*rows.shape[:-3], count * size, x.shape[-1])[..., :length, :]

        first = jnp.arange(count, dtype=jnp.int32) * size
        carry, out = lax.scan(step, carry, (first, jax.tree.map(split, rows)))
        return carry, jax.tree.map(join, out)


def _of_mask(mask: Any, queries: slice, keys: slice) -> Any:
    """The part of a mask for these queries and keys."""
    if mask is None:
        return None
    return mask[..., keys] if mask.shape[-2] == 1 else mask[..., queries, keys]


def _joined(parts: list[jax.Array]) -> jax.Array:
    """The parts along the axis of queries."""
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, -2)


def _dot(equation: str, one: jax.Array, other: jax.Array) -> jax.Array:
    """The contraction with both operands in the narrower of their dtypes, accumulated in at least float32."""
    dtype = min(one.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
    return jnp.einsum(equation, one.astype(dtype), other.astype(dtype), preferred_element_type=wide_dtype(dtype))


def _least(dtype: Any) -> float:
    """The lowest score that an unmasked key can have."""
    return 0.99 * _fill(dtype)


def _fill(dtype: Any) -> float:
    """The score of masked keys, below every real one; finite, because −∞ would give ∞ − ∞ in a fully masked row."""
    return float(jnp.finfo(dtype).min) / 2
