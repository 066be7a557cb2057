"""The oracles of a hand-written gradient: reverse mode, forward mode and five-point central differences.

A function here maps a list of floating arrays to another; its gradient is that of ⟨cotangents, function(leaves)⟩.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import is_floating
from fnn.testing.comparison import agree, array, norm
from fnn.testing.violations import Violations

Function = Callable[[list[jax.Array]], list[jax.Array]]

STEP = 1e-4
"""Of the differences, in float64: rounding leaves about 1e-12 and the fifth derivative 1e-17; kinks are rarely met."""

ENTRIES = 24
"""Leaves of up to so many entries are differenced entry by entry, larger ones along random directions."""


def normal_like(seed: int, tree: Any) -> Any:
    """Standard normal numbers in the place of every floating leaf, ``None`` in the place of the others."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: jnp.asarray(draw.standard_normal(leaf.shape).astype(leaf.dtype)) if is_floating(leaf) else None,
        tree,
    )


def to_float(tree: Any, dtype: Any) -> Any:
    """The floating leaves in another dtype, all leaves as JAX arrays (random keys as they are)."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype if is_floating(leaf) else None), tree)


def cast(tree: Any, dtype: Any) -> Any:
    """The floating leaves in another dtype."""
    return jax.tree.map(lambda leaf: lax.convert_element_type(leaf, dtype) if is_floating(leaf) else leaf, tree)


def rounded(tree: Any) -> Any:
    """The floating leaves at multiples of one half, spread out: where the kinks and ties of most functions are."""
    return jax.tree.map(lambda leaf: np.round(4 * np.asarray(leaf)) / 2 if is_floating(leaf) else leaf, tree)


def bfloat16_values(tree: Any) -> Any:
    """The floating leaves rounded to values of bfloat16, in their own dtype, so that every dtype has the same point."""

    def each(leaf: Any) -> Any:
        return np.asarray(leaf).astype(jnp.bfloat16).astype(leaf.dtype) if is_floating(leaf) else leaf

    return jax.tree.map(each, tree)


def pair(tree: Any) -> Any:
    """Every leaf stacked with itself in the reverse order of samples: two batches."""

    def each(leaf: Any) -> Any:
        module = jnp if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np  # NumPy compiles nothing
        return module.stack([leaf, module.flip(leaf, 0) if leaf.ndim else leaf])

    return jax.tree.map(each, tree)


def reverse(function: Function, leaves: list, cotangents: list) -> list:
    """The gradient by ``jax.vjp``."""
    return jax.vjp(function, leaves)[1](cotangents)[0]


def forward(function: Function, leaves: list, tangents: list) -> list:
    """The derivative of every output along the tangents, by ``jax.jvp``."""
    return jax.jvp(function, (leaves,), (tangents,))[1]


def finite(function: Callable, leaves: list, directions: list[list], rest: tuple = ()) -> list[list[np.ndarray]]:
    """The derivative of every output of ``function(leaves, *rest)`` along each direction, by five-point differences.

    (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h, with an error of h⁴/30 times the fifth derivative. All points are
    computed by one compiled loop.
    """
    multiples = STEP * np.array([1, -1, 2, -2])
    lines = [np.stack([array(each) for each in leaf]) for leaf in zip(*directions, strict=True)]
    points = [
        (array(leaf) + np.multiply.outer(multiples, line)).reshape(-1, *np.shape(leaf))
        for leaf, line in zip(leaves, lines, strict=True)
    ]
    outputs = jax.jit(lambda points, rest: lax.map(lambda each: function(each, *rest), points))(points, rest)
    found = []
    for values in map(array, outputs):
        a, b, c, d = values.reshape(4, len(directions), *values.shape[1:])
        found.append((8 * (a - b) - (c - d)) / (12 * STEP))
    return [[output[place] for output in found] for place in range(len(directions))]


def inner(one: Sequence, other: Sequence) -> tuple[float, float]:
    """⟨one, other⟩, and the sum of the magnitudes of its terms, to which its rounding is proportional."""
    products = [array(a) * array(b) for a, b in zip(one, other, strict=True)]
    return float(sum(p.sum() for p in products)), float(sum(abs(p).sum() for p in products))


def agree_along(
    found: Violations, what: str, gradient: list, tangents: list, cotangents: list, moved: list, tolerance: float
) -> float:
    """⟨gradient, tangents⟩ = ⟨cotangents, moved⟩: a gradient against the derivative of the outputs on a line."""
    ours, our_scale = inner(gradient, tangents)
    theirs, their_scale = inner(cotangents, moved)
    scale = max(our_scale, their_scale)
    error = abs(ours - theirs) / scale if scale else 0.0
    found.expect(
        error <= tolerance,
        f"{what}: relative error {error:.1e}, allowed {tolerance:.0e}; expected the slope {theirs:.9g}, got {ours:.9g}",
    )
    return error


def agree_finite(
    found: Violations,
    what: str,
    function: Callable,
    leaves: dict[str, jax.Array],
    gradient: dict[str, np.ndarray],
    cotangents: list,
    tolerance: float,
    rest: tuple = (),
) -> float:
    """The gradient of ⟨cotangents, function(leaves, *rest)⟩ against differences.

    Small leaves are compared entry by entry, large ones, and the whole, along random lines.
    """
    if not leaves:
        return np.nan
    values = list(leaves.values())
    lines = [_lines(values, place) for place in range(len(values))]
    lines.append([[np.random.default_rng(99).standard_normal(leaf.shape) for leaf in values]])
    moved = iter(finite(function, values, [line for each in lines for line in each], rest))
    measured, ours = {}, {}
    for place, path in enumerate(leaves):
        measured[path] = np.array([inner(cotangents, next(moved))[0] for _ in lines[place]])
        ours[path] = np.array([float(np.vdot(gradient[path], line[place])) for line in lines[place]])
    # What is compared along lines has the size of the gradient, which the largest of a few slopes may miss.
    floor = 1e-3 * norm(gradient.values()) / max(norm(measured.values()), 1e-300)
    largest = agree(found, what, ours, measured, tolerance, floor=floor)
    everywhere, what = lines[-1][0], f"{what}, along a random line"
    whole = agree_along(found, what, list(gradient.values()), everywhere, cotangents, next(moved), tolerance)
    return max(largest, whole)


def _lines(leaves: list, place: int) -> list[list[np.ndarray]]:
    """The directions in which one of the leaves moves: its entries, or three drawn ones if it is large."""
    leaf, draw = leaves[place], np.random.default_rng(place)
    small = leaf.size <= ENTRIES
    moving = np.eye(leaf.size).reshape(-1, *leaf.shape) if small else draw.standard_normal((3, *leaf.shape))
    still = [np.zeros(each.shape) for each in leaves]
    return [[*still[:place], each, *still[place + 1 :]] for each in moving]
