"""The rows of a report: one leaf, and how far each method is from the reference on it."""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from fnn.gradients.diagnosis import diagnose
from fnn.gradients.directions import Directions

Status = Literal["ok", "zero", "empty", "auto", "kink", "frozen", "surrogate", "FAIL"]
Kind = Literal["parameter", "delta"]
RuleKind = Literal["hand", "auto"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One method against the reference on one leaf.

    ``status`` is ``ok`` or ``zero`` (in both) where it passes and ``FAIL`` where it does not. Else nothing was judged:
    ``empty``, a leaf without entries; ``auto``, where manual and reverse are the same computation, since no rule was
    written by hand; and for differences ``kink``, ``frozen``, and ``surrogate``, a gradient that goes through a
    straight-through slope, which is no derivative.

    ``absolute`` is max |gᵢ − rᵢ|, at ``worst``; ``relative`` is ‖g − r‖ / ‖r‖, ``None`` where r is zero; ``cosine``
    is ⟨g, r⟩ / ‖g‖‖r‖, ``None`` where either is zero. Along random directions (``probes`` of them, see
    ``directions.py``) g and r are seen through ⟨·, u⟩, ``relative`` is estimated, and there is no worst entry.
    ``directional`` says so; ``skipped`` of the probes stood on a kink. ``limit`` is the largest ‖g − r‖ that passes;
    ``within_rounding``: it passed by the rounding error of the value or of the whole gradient, and not by the tolerance
    on the leaf, so that nothing finer can be said.
    """

    method: str
    status: Status
    norm: float | None = None
    absolute: float | None = None
    relative: float | None = None
    cosine: float | None = None
    worst: tuple[int, ...] | None = None
    value: float | None = None
    expected: float | None = None
    limit: float | None = None
    within_rounding: bool = False
    probes: int = 0
    skipped: int = 0
    directional: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether this is no failure: it passes, or is not judged."""
        return self.status != "FAIL"

    @property
    def judged(self) -> bool:
        """Whether this says anything: it passes or fails."""
        return self.status in ("ok", "zero", "FAIL")


@dataclasses.dataclass(frozen=True)
class Row:
    """One leaf: a parameter, or the output of a layer."""

    kind: Kind
    path: str
    shape: tuple[int, ...]
    rule: RuleKind
    norm: float
    zero: bool
    comparisons: tuple[Comparison, ...]

    @property
    def ok(self) -> bool:
        """Whether no method fails."""
        return all(comparison.ok for comparison in self.comparisons)

    @property
    def confirmed(self) -> bool:
        """Whether no method fails and one was judged; a leaf without entries has nothing to confirm."""
        return self.ok and (0 in self.shape or any(comparison.judged for comparison in self.comparisons))

    @property
    def name(self) -> str:
        """The path, or a word for the model as a whole."""
        return self.path or "(model)"

    def __getitem__(self, method: str) -> Comparison:
        for comparison in self.comparisons:
            if comparison.method == method:
                return comparison
        raise KeyError(f"{method!r} was not compared here; there are {[each.method for each in self.comparisons]}")


class Measured(NamedTuple):
    """What a method says about one leaf: all ``values``, or derivatives ``along`` its directions; ``noise`` is the
    length of the rounding error in it that is the method's own. ``aside``: why it cannot say, the leaf being no
    variable (``frozen``) or the slope no derivative (``surrogate``)."""

    values: np.ndarray | None = None
    along: np.ndarray | None = None
    smooth: np.ndarray | None = None
    noise: float = 0.0
    missing: str = ""
    aside: Literal["", "frozen", "surrogate"] = ""


class Scale(NamedTuple):
    """What is small: ``eps`` of the dtype, and the norm of the ``whole`` gradient of this kind."""

    eps: float
    whole: float

    @property
    def zero(self) -> float:
        """The norm up to which a leaf is called zero."""
        return 100 * self.eps * self.whole

    @property
    def floor(self) -> float:
        """One rounding error of the whole, which is no error of a leaf."""
        return self.eps * self.whole


ASIDE = {
    "frozen": "differences would move what is a constant to derivatives",
    "surrogate": "differences do not see a straight-through slope",
    "empty": "there are no entries",
    "auto": "manual and reverse are the same computation here",
}


def judge(
    method: str, found: Measured, reference: Measured, directions: Directions, *, scale: Scale, tolerance: float
) -> Comparison:
    """Compares what a method found with the reference.

    It passes if ‖g − r‖ ≤ max(tolerance · ‖r‖, eps · ‖whole‖) + noise, or, where ‖r‖ ≤ 100 · eps · ‖whole‖, if ‖g‖ is
    below that too.
    """
    if found.missing or reference.missing:
        return Comparison(method, "FAIL", note=found.missing or f"the reference: {reference.missing}")
    aside = "empty" if 0 in directions.shape else found.aside or reference.aside
    if aside:
        return Comparison(method, aside, note=ASIDE[aside])
    # All entries are compared if both methods have them, else what both say along the directions.
    whole = found.values is not None and reference.values is not None
    sampled = not (whole or directions.every_entry)
    g, r = (_seen(each, directions, whole) for each in (found, reference))
    smooth = np.ones(g.size, bool)
    for each in (found, reference):
        if each.smooth is not None:
            smooth &= each.smooth
    probes, skipped = g.size, int((~smooth).sum())
    norm = (lambda v: float(np.linalg.norm(v))) if whole else directions.norm
    if not (np.isfinite(g).all() and np.isfinite(r).all()):
        whose = "" if not np.isfinite(g).all() else "the reference is "
        return Comparison(method, "FAIL", probes=probes, note=f"{whose}not finite")
    if probes and skipped == probes:
        note = "every difference crosses a kink"
        return Comparison(method, "kink", probes=probes, skipped=skipped, directional=sampled, note=note)
    difference, noise = (g - r)[smooth], found.noise + reference.noise
    error, norm_g, norm_r = norm(difference), norm(g[smooth]), norm(r[smooth])
    is_zero = norm(r) <= scale.zero + reference.noise
    limit = scale.zero + noise if is_zero else max(tolerance * norm_r, scale.floor) + noise
    passed = (norm_g if is_zero else error) <= limit
    at = int(np.flatnonzero(smooth)[np.argmax(np.abs(difference))]) if difference.size else None
    shape = directions.shape
    note = "" if passed or is_zero or not whole else diagnose(method, g.reshape(shape), r.reshape(shape))
    return Comparison(
        method,
        ("zero" if is_zero else "ok") if passed else "FAIL",
        norm_g,
        float(np.abs(difference).max()) if difference.size else 0.0,
        None if is_zero or norm_r == 0 else error / norm_r,
        _cosine(g[smooth], r[smooth]),
        None if at is None or sampled else tuple(int(i) for i in np.unravel_index(at, directions.shape)),
        float(g[at]) if at is not None else None,
        float(r[at]) if at is not None else None,
        limit,
        passed and not is_zero and error > tolerance * norm_r,
        probes,
        skipped,
        sampled,
        note,
    )


def same_computation(comparison: Comparison) -> Comparison:
    """The comparison of manual and reverse where no rule was written by hand: it can fail but not confirm."""
    return dataclasses.replace(comparison, status="auto", note=ASIDE["auto"]) if comparison.ok else comparison


def norm_of(measured: Measured, directions: Directions) -> float:
    """The norm of a leaf, estimated if it was seen along random directions."""
    if measured.values is not None:
        return float(np.linalg.norm(measured.values.astype(np.float64)))
    return math.nan if measured.along is None else directions.norm(measured.along)


def _seen(measured: Measured, directions: Directions, whole: bool) -> np.ndarray:
    if measured.values is None:
        return np.asarray(measured.along, np.float64)
    return measured.values.astype(np.float64).ravel() if whole else directions.along(measured.values)


def _cosine(one: np.ndarray, other: np.ndarray) -> float | None:
    norms = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return None if norms == 0 else float(np.vdot(one, other)) / norms
