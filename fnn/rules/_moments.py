"""The Kronecker factors of a kernel's Fisher matrix, from what its gradient is made of."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.optim.kronecker import Block, Pair, over_layers
from fnn.optim.magnitudes import norm, without_zero
from fnn.rules._rows import OneHot, Rows, leading, width_of
from fnn.rules.contributions import Joined
from fnn.rules.outer import Outer
from fnn.rules.slid import Slid

Weights = Callable[[int], jax.Array | None]
"""``weights(M)``: the weights (M,) of M rows, or ``None`` if they are equal."""


def factors_of(node: Any, block: Block, weights: Weights, in_full: Callable[[], jax.Array]) -> Pair:
    """A and G of a block, from the contribution V to its kernel.

        A = Σ_m ω_m l_m l_mᵀ,  G = Σ_m r_m r_mᵀ         for V = Σ_m l_m r_mᵀ, Σ ω = 1
        A = V Vᵀ / ‖V‖,  G = Vᵀ V / ‖V‖                 for any other V

    ω is 0 where r_m = 0 and proportional to the weight of the row elsewhere: a row that no gradient reaches, such as
    padding, says nothing of the inputs. For a bias a 1 stands behind l_m. Several contributions to one kernel are
    scaled so that tr A / D = tr G / F, and added. ``in_full`` returns V, with the gradient of the bias, as a matrix.
    """
    terms = [_rows(term, block) for term in (node.terms if isinstance(node, Joined) else (node,))]
    if any(term is None for term in terms):
        return over_layers(lambda v: _of_gradient(v, block), block)(in_full())
    pairs = [_of_rows(term, block, weights) for term in terms if term is not None]
    if len(pairs) == 1:
        return pairs[0]
    scaled = [over_layers(lambda *pair: _balanced(pair), block)(*pair) for pair in pairs]
    left, right = (functools.reduce(jnp.add, sides) for sides in zip(*scaled, strict=True))
    return left, right


def is_known(node: Any, block: Block) -> bool:
    """Whether the gradient of the kernel is known as a sum of products of rows."""
    return all(_rows(term, block) is not None for term in (node.terms if isinstance(node, Joined) else (node,)))


def _rows(term: Any, block: Block) -> tuple[Outer, int] | None:
    """The outer products of a contribution, and in how many groups of channels (0 if it is no convolution); ``None`` if
    they do not fit the block."""
    if isinstance(term, Slid) and not term.turned:
        rows, groups, sizes = term.unfolded(), term.groups, (*block.sizes, term.groups)
    elif isinstance(term, Outer):
        rows, groups, sizes = term, 1, block.sizes
    else:
        return None
    widths = width_of(rows.left), groups * width_of(rows.right)
    fits = widths == (block.own_inputs, block.outputs) and leading(rows.right) == sizes
    return (rows, groups if isinstance(term, Slid) else 0) if fits else None


def _of_rows(term: tuple[Outer, int], block: Block, weights: Weights) -> Pair:
    rows, groups = term

    def one(left: Rows, right: Rows) -> Pair:
        reached = right.valid if isinstance(right, OneHot) else (right != 0).any(-1)
        given = weights(len(reached))
        share = reached.astype(block.dtype) * (1 if given is None else given.astype(block.dtype))
        share = share / without_zero(share.sum())
        ones = jnp.ones_like(share)
        inputs = _moment(left, share, block.full[0], block.dtype, homogeneous=block.bias is not None)
        return inputs, _moment(right, ones, block.full[1], block.dtype)

    if groups:
        one = _of_groups(jax.vmap(one), groups, full=block.full[1])
    return over_layers(one, block)(rows.left, rows.right)


def _of_groups(of_each: Callable[..., Pair], groups: int, *, full: bool) -> Callable[..., Pair]:
    """Of groups of channels: the mean of their A, and their G as blocks of one."""

    def one(left: Rows, right: Rows) -> Pair:
        inputs, outputs = of_each(left, right)
        if full:
            unit = jnp.eye(groups, dtype=outputs.dtype)
            size = groups * outputs.shape[-1]
            return inputs.mean(0), jnp.einsum("gij,gh->gihj", outputs, unit).reshape(size, size)
        return inputs.mean(0), outputs.reshape(-1)

    return one


def _moment(rows: Rows, share: jax.Array, full: bool, dtype: Any, *, homogeneous: bool = False) -> jax.Array:
    """Σ_m share_m x_m x_mᵀ of rows x (M, D), or its diagonal; ``homogeneous``: with a 1 behind every row."""
    if isinstance(rows, OneHot):
        if not full and not homogeneous:
            zeros = jnp.zeros(rows.size, dtype)
            return zeros.at[rows.index].add(share, mode="drop", wrap_negative_indices=False)
        rows = jax.nn.one_hot(rows.index, rows.size, dtype=dtype)
    x = rows.astype(dtype)
    if homogeneous:
        x = jnp.concatenate([x, jnp.ones((len(x), 1), dtype)], -1)
    return (share[:, None] * x).T @ x if full else share @ (x * x)


def _of_gradient(v: jax.Array, block: Block) -> Pair:
    """A and G of a gradient that is no product of rows."""
    length = norm(v)
    v = v / jnp.sqrt(without_zero(length))
    left = v @ v.T if block.full[0] else (v * v).sum(1)
    return left, v.T @ v if block.full[1] else (v * v).sum(0)


def _balanced(pair: Pair) -> Pair:
    """c A and G / c with the same mean on both diagonals; unchanged if one is 0."""
    left, right = pair
    means = [jnp.mean(jnp.diagonal(each) if each.ndim == 2 else each) for each in pair]
    known = (means[0] > 0) & (means[1] > 0)
    roots = [jnp.sqrt(jnp.where(known, mean, 1)) for mean in means]
    return left * (roots[1] / roots[0]), right * (roots[0] / roots[1])
