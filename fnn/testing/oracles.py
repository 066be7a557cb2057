"""The oracles of a hand-written gradient: reverse mode, forward mode and five-point central differences.

A function here maps a list of floating arrays to another; its gradient is that of ⟨cotangents, function(leaves)⟩.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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
        lambda leaf: jnp.asarray(draw.standard_normal(leaf.shape), leaf.dtype) if is_floating(leaf) else None, tree
    )


def to_float(tree: Any, dtype: Any) -> Any:
    """The floating leaves in another dtype, all leaves as JAX arrays (random keys as they are)."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype if is_floating(leaf) else None), tree)


def reverse(function: Function, leaves: list, cotangents: list) -> list:
    """The gradient by ``jax.vjp``."""
    return jax.vjp(function, leaves)[1](cotangents)[0]


def forward(function: Function, leaves: list, tangents: list) -> list:
    """The derivative of every output along the tangents, by ``jax.jvp``."""
    return jax.jvp(function, (leaves,), (tangents,))[1]


def finite(function: Function, leaves: list, tangents: list) -> list[np.ndarray]:
    """The derivative of every output along the tangents, by five-point central differences.

    (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h, with an error of h⁴/30 times the fifth derivative.
    """

    def at(multiple: int) -> list[np.ndarray]:
        moved = [leaf + multiple * STEP * tangent for leaf, tangent in zip(leaves, tangents, strict=True)]
        return [array(output) for output in function(moved)]

    points = zip(at(1), at(-1), at(2), at(-2), strict=True)
    return [(8 * (a - b) - (c - d)) / (12 * STEP) for a, b, c, d in points]


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
    function: Function,
    leaves: dict[str, jax.Array],
    gradient: dict[str, np.ndarray],
    cotangents: list,
    tolerance: float,
) -> float:
    """A gradient against differences: small leaves entry by entry, large ones, and the whole, along random lines."""
    values, largest = list(leaves.values()), 0.0
    zeros = [np.zeros(leaf.shape) for leaf in values]
    measured, ours = {}, {}
    for place, (path, leaf) in enumerate(leaves.items()):
        slopes, projected = [], []
        draw = np.random.default_rng(place)
        for entry in range(leaf.size if leaf.size <= ENTRIES else 3):
            direction = np.zeros(leaf.shape) if leaf.size <= ENTRIES else draw.standard_normal(leaf.shape)
            if leaf.size <= ENTRIES:
                direction.flat[entry] = 1.0
            tangents = [*zeros[:place], direction, *zeros[place + 1 :]]
            slopes.append(inner(cotangents, finite(function, values, tangents))[0])
            projected.append(float(np.vdot(gradient[path], direction)))
        # What is compared along lines has the size of the gradient, which the largest of a few slopes may miss.
        measured[path], ours[path] = np.array(slopes), np.array(projected)
    size = norm(gradient.values())
    if leaves:
        largest = agree(
            found, what, ours, measured, tolerance, floor=1e-3 * size / max(norm(measured.values()), 1e-300)
        )
        everywhere = [np.random.default_rng(99).standard_normal(leaf.shape) for leaf in values]
        moved = finite(function, values, everywhere)
        whole = agree_along(
            found, f"{what}, along a random line", list(gradient.values()), everywhere, cotangents, moved, tolerance
        )
        largest = max(largest, whole)
    return largest
