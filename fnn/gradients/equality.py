"""What "equal" means, in every report, checker and test: relative errors by leaf norm.

A gradient g of one leaf is held against a reference r, beside the norm of the whole gradient:

    ‖r‖ ≤ 100 · eps · whole    the leaf counts as zero: rounding is all there is of it, and ‖g‖ must be below that too
    else                       ‖g − r‖ ≤ tolerance · ‖r‖

A bias in front of batch norm has the gradient zero, and no relative error. What else an oracle cannot tell is stated by
who asks it: ``floor``, the part of the whole for which every leaf counts at least; ``rounding``, the part of the whole
that is no error of a leaf; and ``noise``, the length of the rounding errors of g and of r.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)


def norm(leaves: Iterable[np.ndarray]) -> float:
    """The Euclidean norm of all entries of some arrays."""
    return float(np.sqrt(sum(np.vdot(leaf, leaf) for leaf in leaves)))


def length(leaf: np.ndarray) -> float:
    """The Euclidean norm of one array."""
    return norm([leaf])


class Whole(NamedTuple):
    """The norm of the whole gradient that a leaf is part of, and eps of the dtype in which that was computed."""

    norm: float
    eps: float = EPS

    @property
    def zero(self) -> float:
        """The norm up to which a leaf counts as zero."""
        return 100 * self.eps * self.norm


class Verdict(NamedTuple):
    """How far g is from r: ``error`` ‖g − r‖, ``limit`` the largest that passes (of ‖g‖, if the leaf is ``zero``)."""

    passed: bool
    zero: bool
    norm: float
    expected: float
    error: float
    relative: float
    limit: float


def verdict(
    g: np.ndarray,
    r: np.ndarray,
    whole: Whole,
    *,
    tolerance: float,
    floor: float = 0.0,
    rounding: float = 0.0,
    noise: float = 0.0,
    zero: bool | None = None,
    length: Callable[[np.ndarray], float] = length,
) -> Verdict:
    """Whether a leaf is equal to its reference, as stated above.

    ``zero`` says whether the leaf counts as zero where that is known otherwise; ``length`` is the norm, where only some
    derivatives of the leaf are seen.

    >>> verdict(np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-13]), Whole(3.0), tolerance=1e-12).passed
    True
    >>> verdict(np.array([1e-12]), np.array([1e-15]), Whole(1.0), tolerance=1e-12).passed
    False
    """
    got, expected, error = length(g), length(r), length(g - r)
    zero = expected <= whole.zero if zero is None else zero
    size = max(expected, floor * whole.norm)
    limit = (whole.zero if zero else max(tolerance * size, rounding * whole.norm)) + noise
    passed = (got if zero else error) <= limit
    return Verdict(passed, zero, got, expected, error, error / max(size, 1e-300), limit)
