"""The rows of a report: one leaf, and how far each method is from the reference on it."""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from fnn.gradients.diagnosis import diagnose
from fnn.gradients.directions import Directions
from fnn.gradients.equality import Whole, length, verdict

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


ASIDE = {
    "frozen": "differences would move what is a constant to derivatives",
    "surrogate": "differences do not see a straight-through slope",
    "empty": "there are no entries",
    "auto": "manual and reverse are the same computation here",
}


def judge(
    method: str, found: Measured, reference: Measured, directions: Directions, *, whole: Whole, tolerance: float
) -> Comparison:
    """Compares what a method found with the reference, as ``equality.py`` has it; one rounding error of the whole
    gradient is no error of a leaf, and noise comes on top."""
    if found.missing or reference.missing:
        return Comparison(method, "FAIL", note=found.missing or f"the reference: {reference.missing}")
    aside = "empty" if 0 in directions.shape else found.aside or reference.aside
    if aside:
        return Comparison(method, aside, note=ASIDE[aside])
    # All entries are compared if both methods have them, else what both say along the directions.
    entries = found.values is not None and reference.values is not None
    sampled = not (entries or directions.every_entry)
    g, r = (_seen(each, directions, entries) for each in (found, reference))
    smooth = np.ones(g.size, bool)
    for each in (found, reference):
        if each.smooth is not None:
            smooth &= each.smooth
    probes, skipped = g.size, int((~smooth).sum())
    if not (np.isfinite(g).all() and np.isfinite(r).all()):
        whose = "" if not np.isfinite(g).all() else "the reference is "
        return Comparison(method, "FAIL", probes=probes, note=f"{whose}not finite")
    if skipped == probes:
        note = "every difference crosses a kink"
        return Comparison(method, "kink", probes=probes, skipped=skipped, directional=sampled, note=note)
    said = verdict(
        g[smooth],
        r[smooth],
        whole,
        tolerance=tolerance,
        rounding=whole.eps,
        noise=found.noise + reference.noise,
        zero=is_zero(reference, directions, whole),
        length=length if entries else directions.norm,
    )
    at = int(np.flatnonzero(smooth)[np.argmax(np.abs((g - r)[smooth]))])
    shape = directions.shape
    note = "" if said.passed or said.zero or not entries else diagnose(method, g.reshape(shape), r.reshape(shape))
    return Comparison(
        method,
        ("zero" if said.zero else "ok") if said.passed else "FAIL",
        said.norm,
        float(abs(g[at] - r[at])),
        None if said.zero or said.expected == 0 else said.relative,
        _cosine(g[smooth], r[smooth]),
        None if sampled else tuple(int(i) for i in np.unravel_index(at, shape)),
        float(g[at]),
        float(r[at]),
        said.limit,
        said.passed and not said.zero and said.error > tolerance * said.expected,
        probes,
        skipped,
        sampled,
        note,
    )


def same_computation(comparison: Comparison) -> Comparison:
    """The comparison of manual and reverse where no rule was written by hand: it can fail but not confirm."""
    return dataclasses.replace(comparison, status="auto", note=ASIDE["auto"]) if comparison.ok else comparison


def is_zero(reference: Measured, directions: Directions, whole: Whole) -> bool:
    """Whether a leaf counts as zero, as far as the noise of the reference lets it tell."""
    return norm_of(reference, directions) <= whole.zero + reference.noise


def norm_of(measured: Measured, directions: Directions) -> float:
    """The norm of a leaf, estimated if it was seen along random directions."""
    if measured.values is not None:
        return length(measured.values.astype(np.float64))
    return math.nan if measured.along is None else directions.norm(measured.along)


def _seen(measured: Measured, directions: Directions, whole: bool) -> np.ndarray:
    if measured.values is None:
        return np.asarray(measured.along, np.float64)
    return measured.values.astype(np.float64).ravel() if whole else directions.along(measured.values)


def _cosine(one: np.ndarray, other: np.ndarray) -> float | None:
    norms = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return None if norms == 0 else float(np.vdot(one, other)) / norms
