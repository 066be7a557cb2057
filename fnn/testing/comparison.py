"""Two gradients, or what two programs compute, held against each other: a violation for every leaf that differs."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.gradients.arrays import array, arrays
from fnn.gradients.diagnosis import diagnose
from fnn.gradients.directions import Directions
from fnn.gradients.equality import Whole, norm, verdict
from fnn.gradients.oracles import differences
from fnn.testing.structure import alike
from fnn.testing.violations import Violations

ENTRIES, DIRECTIONS = 24, 3
"""Leaves of up to so many entries are differenced entry by entry, larger ones along so many random directions."""


class Agreement(NamedTuple):
    """The largest relative errors that a check found, by oracle; NaN for one that was not asked or cannot judge.

    ``jax.vjp`` (``reverse``) does not judge a rule that is ``jax.vjp`` itself, and differences (``finite``) not a slope
    that is no derivative.
    """

    reverse: float = math.nan
    forward: float = math.nan
    finite: float = math.nan
    second: float = math.nan

    def worst(self, other: "Agreement") -> "Agreement":
        """The larger of each, a number where one of the two is NaN."""
        return Agreement(*(float(np.fmax(one, two)) for one, two in zip(self, other, strict=True)))


def agree(
    found: Violations,
    what: str,
    got: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    tolerance: float,
    *,
    floor: float = 0.0,
) -> float:
    """Adds a line for every leaf that is not equal, with the reading of it; returns the largest relative error.

    What equal means is said in ``fnn/gradients/equality.py``. ``floor`` is the part of the whole to which an oracle
    with noise of its own can tell a leaf.
    """
    if not found.expect(got.keys() == expected.keys(), f"{what}: expected the leaves {[*expected]}, got {[*got]}"):
        return np.inf
    largest, whole = 0.0, norm(expected.values())
    if not found.expect(np.isfinite(whole), f"{what}: expected finite numbers to compare with, got a norm of {whole}"):
        return np.inf
    for path, reference in expected.items():
        if got[path].shape != reference.shape:
            found.add(f"{what}, {path}: expected the shape {reference.shape}, got {got[path].shape}")
            continue
        said = verdict(got[path], reference, Whole(whole), tolerance=tolerance, floor=floor)
        if said.zero:
            found.expect(
                said.passed, f"{what}, {path}: expected zero (below {said.limit:.1e}), got norm {said.norm:.1e}"
            )
            continue
        largest = max(largest, float(np.nan_to_num(said.relative, nan=np.inf)))
        if not said.passed:
            reading = diagnose("it", got[path], reference)
            index = np.unravel_index(np.argmax(np.nan_to_num(abs(got[path] - reference), nan=np.inf)), reference.shape)
            found.add(
                f"{what}, {path}: relative error {said.relative:.1e}, allowed {tolerance:.0e}; worst at"
                f" {tuple(map(int, index))}: expected {reference[index]:.6g}, got {got[path][index]:.6g}"
                + (f": {reading}" if reading else "")
            )
    return largest


def close(found: Violations, what: str, got: Any, expected: Any, tolerance: float, *, floor: float = 1e-3) -> None:
    """Adds a line for every leaf that differs by more than rounding; what is not finite must be the same.

    For numbers that both sides round: no leaf counts as zero, and each for at least ``floor`` of the whole, since the
    difference of two nearly equal numbers leaves rounding alone.
    """
    if not alike(found, what, got, expected):
        return
    ours, theirs = arrays(got), arrays(expected)
    finite = {path: np.where(np.isfinite(leaf), leaf, 0) for path, leaf in theirs.items()}
    whole = Whole(norm(finite.values()))
    for path, reference in theirs.items():
        same = (ours[path] == reference) | (np.isnan(ours[path]) & np.isnan(reference))
        off = np.subtract(ours[path], reference, out=np.zeros_like(reference), where=~same)
        there = finite[path]
        said = verdict(there + off, there, whole, tolerance=tolerance, floor=floor, zero=False)
        found.expect(
            said.passed, f"{what}, {path or 'value'}: relative error {said.relative:.1e}, allowed {tolerance:.0e}"
        )


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


def inner(one: Sequence, other: Sequence) -> tuple[float, float]:
    """⟨one, other⟩, and the sum of the magnitudes of its terms, to which its rounding is proportional."""
    products = [array(a) * array(b) for a, b in zip(one, other, strict=True)]
    return float(sum(p.sum() for p in products)), float(sum(abs(p).sum() for p in products))


def agree_finite(
    found: Violations,
    function: Callable,
    leaves: dict[str, jax.Array],
    gradient: dict[str, np.ndarray],
    cotangents: list,
    tolerance: float,
    rest: tuple = (),
) -> float:
    """The gradient of ⟨cotangents, function(leaves, *rest)⟩ against differences: small leaves entry by entry, large
    ones, and the whole, along random lines. NaN, if there is no leaf."""
    if not leaves:
        return np.nan
    what, values = "backward against finite differences", list(leaves.values())
    probes = {path: Directions(path, leaf.shape, ENTRIES, DIRECTIONS, seed=0) for path, leaf in leaves.items()}
    lines = [
        [each.reach * each[k] if other == path else np.zeros(leaf.shape) for other, leaf in leaves.items()]
        for path, each in probes.items()
        for k in range(len(each))
    ]
    lines.append([np.random.default_rng(99).standard_normal(leaf.shape) for leaf in values])
    moved = iter(differences(function, values, lines, rest))
    ours = {path: each.scaled(each.along(gradient[path])) for path, each in probes.items()}
    theirs = {}
    for path, each in probes.items():
        slopes = np.array([inner(cotangents, next(moved))[0] for _ in range(len(each))])
        theirs[path] = each.scaled(slopes / each.reach)
    largest = agree(found, what, ours, theirs, tolerance, floor=1e-3)
    what, sides = f"{what}, along a random line", (list(gradient.values()), lines[-1], cotangents, next(moved))
    return max(largest, agree_along(found, what, *sides, tolerance))


def agree_mapped(found: Violations, got: Any, alone: Iterable, tolerance: float) -> None:
    """What comes out under ``vmap`` against what comes out of each batch alone."""
    stacked = arrays(got)
    for place, each in enumerate(alone):
        part = {path: leaf[place] for path, leaf in stacked.items()}
        agree(found, "vmap against one at a time", part, arrays(each), tolerance)
