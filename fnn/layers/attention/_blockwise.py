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


@dataclasses.dataclass(frozen=True)
class BlockwiseAttention:
    """Both passes; ``block`` is the largest number of queries at once.

    q (N, K, G, T, d), k and v (N, K, S, d), mask (N, K or 1, G or 1, T or 1, S), True where a query may attend. With
    ``causal`` query t sees the keys up to ``offset`` + t, without a T × S array. With a key, dropout draws the mask of
    each block from the key folded with the block's index, the same in both passes.
    """

    causal: bool
    block: int
    dropout: Dropout

    def forward(
        self, q: jax.Array, k: jax.Array, v: jax.Array, mask: Any = None, key: Any = None, offset: Any = 0
    ) -> tuple[jax.Array, jax.Array]:
        """y (N, K, G, T, d), and the log-sum-exp (N, K, G, T, 1) in at least float32."""

        def step(_: None, each: tuple) -> tuple[None, tuple]:
            index, first, rows = each
            s = self._scores(rows["q"], k, rows.get("mask", mask), offset + first)
            # The shift cancels out, so the automatic gradient leaves it out.
            top = lax.stop_gradient(s.max(-1, keepdims=True))
            if self.causal or mask is not None:
                top = jnp.where(top == _least(s.dtype), jnp.nan, top)
            e = jnp.exp(s - top)
            total = e.sum(-1, keepdims=True)
            y, lse = _dot("nkgts,nksd->nkgtd", self._dropped(e, key, index)[0], v) / total, top + jnp.log(total)
            if mask is not None:  # a query without keys: all its scores are the fill
                nothing = top <= _fill(s.dtype)
                y, lse = jnp.where(nothing, 0, y), jnp.where(nothing, 0, lse)
            return None, (y.astype(q.dtype), lse)

        return self._over_blocks(step, None, {"q": q}, mask)[1]

    def backward(
        self, q: jax.Array, k: jax.Array, v: jax.Array, lse: jax.Array, dy: jax.Array, mask: Any = None, key: Any = None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """dq, dk and dv from the inputs of forward and its log-sum-exp."""
        # Or XLA would keep the probabilities of forward instead of computing them again.
        q, k, lse = lax.optimization_barrier((q, k, lse))

        def step(sums: tuple, each: tuple) -> tuple[tuple, jax.Array]:
            (dk, dv), (index, first, rows) = sums, each
            q, dy = rows["q"], rows["dy"]
            p = jnp.exp(self._scores(q, k, rows.get("mask", mask), first) - rows["lse"])
            kept, drawn = self._dropped(p, key, index)
            dv = dv + _dot("nkgtd,nkgts->nkds", dy, kept)
            dp = self.dropout.backward(drawn, _dot("nkgtd,nksd->nkgts", dy, v))[1]
            ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * self._scale(q)
            dk = dk + _dot("nkgtd,nkgts->nkds", q, ds)
            return (dk, dv), _dot("nkgts,nksd->nkgtd", ds, k).astype(q.dtype)

        # Summed as dkᵀ and dvᵀ: for these the narrow q and dy are transposed, for dk and dv the wide p and ds would be.
        sums = tuple(jnp.zeros((*x.shape[:2], *x.shape[:1:-1]), lse.dtype) for x in (k, v))
        (dk, dv), dq = self._over_blocks(step, sums, {"q": q, "lse": lse, "dy": dy}, mask)
        dk, dv = dk.swapaxes(-1, -2), dv.swapaxes(-1, -2)
        return dq, dk.astype(k.dtype), dv.astype(v.dtype)

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

    def _dropped(self, p: jax.Array, key: Any, index: Any) -> tuple[jax.Array, Any]:
        if key is None:
            return p, {}
        kept, _, drawn = self.dropout.forward({}, {}, p, train=True, key=jax.random.fold_in(key, index))
        return kept, drawn

    def _over_blocks(self, step: Callable, carry: Any, rows: dict[str, jax.Array], mask: Any) -> tuple[Any, Any]:
        """Scans over blocks of equal size, ``(index, first query, rows)``; without a loop if there is only one."""
        length = rows["q"].shape[-2]
        count = math.ceil(length / self.block)
        size = math.ceil(length / count)
        if mask is not None and mask.shape[-2] != 1:
            rows = {**rows, "mask": mask}
        if count == 1:
            return step(carry, (0, 0, rows))

        def split(x: jax.Array) -> jax.Array:
            # Padding rows are zeros with zero gradient: they add nothing to the sums, and join drops their results.
            padding = [(0, 0)] * (x.ndim - 2) + [(0, count * size - length), (0, 0)]
            blocks = jnp.pad(x, padding).reshape(*x.shape[:-2], count, size, x.shape[-1])
            return jnp.moveaxis(blocks, -3, 0)

        def join(x: jax.Array) -> jax.Array:
            rows = jnp.moveaxis(x, 0, -3)
            return rows.reshape(*rows.shape[:-3], count * size, x.shape[-1])[..., :length, :]

        index = jnp.arange(count, dtype=jnp.int32)
        carry, out = lax.scan(step, carry, (index, index * size, jax.tree.map(split, rows)))
        return carry, jax.tree.map(join, out)


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
