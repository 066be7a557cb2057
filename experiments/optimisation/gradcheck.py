"""Gradcheck: how well do differences check a gradient, with which ε, and do they see a fault of one per cent?

Claims: central differences with ε = 1e-3, the notes' choice, agree with the gradient to four digits; their best ε is
near the cube root of the machine epsilon, below it the error grows like 1/ε and above it like ε²; at their best,
one-sided differences are worse and five points better; a kernel gradient that is 1 % too large stands out at the best
ε; the report of fnn.compare_gradients names it.

Measure: random draws of a 3-4-3 network with tanh, softmax and cross-entropy on 8 samples, all numbers from N(0, 1) in
float32, labels in turn. Every entry of the gradient by differences at each ε, computed in float64 and in float32 at the
same point; figures come in this order. The error is ‖differences − gradient‖ / ‖gradient‖, with the hand-derived
gradient in float64, and four digits are an error of at most 1e-4. Slopes are those of log error against log ε, fitted
in each draw from 1/5 of the cube root down to 100 times the machine epsilon, and from 5 times the cube root up to 0.1.
A checker compares each parameter array; it tells right from wrong at a tolerance if the right rule is within it on all
of them and the wrong one is not.

Result: with ε = 1e-3 the error is at most 2.0e-6 in float64; in float32 it is up to 7.9e-4, and four digits never
agree. The best ε is 1.0e-5 in float64 and 1.0e-2 in float32, 1.7 and 2 times the cube root; the slopes are −1.00 below
it, and 2.00 and 1.99 above. One-sided differences are worse in every draw, five points better. At the best ε the fault
stands out to four digits in every draw in float64 and in 64 % in float32, where the right rule often fails, too (in
none at 1e-3); at a tolerance of half the fault, in every draw in both. fnn.compare_gradients named the faulty array,
and it alone, in 20 of 20 draws. Seeds 0 to 99, 22 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

import fnn
from experiments.claims import Claim, judge
from experiments.intervals import half_of_mean
from experiments.optimisation import gradcheck_plots
from experiments.optimisation.gradcheck_errors import EPSILONS, NOTES, summary, told_apart, worst
from experiments.optimisation.gradcheck_network import RIGHT, WRONG, differences, drawn, gradients
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

DTYPES = ("float64", "float32")
FORMULAS = {"one-sided": 1 / 2, "central": 1 / 3, "five-point": 1 / 5}
"""The power of the machine epsilon that the best ε of each is near."""


TOLERANCES = {"four digits": 1e-4, "half of the fault": 5e-3}
"""The relative errors up to which a checker passes a rule."""

NEAR = 10
"""The factor by which the best ε may differ from the expected one."""

MOST = 0.95
"""The share of the draws in which a formula must be the better one."""


@dataclasses.dataclass(frozen=True)
class GradientCheck(Study):
    """The options of the experiment."""

    name = "gradcheck"
    quick_options: ClassVar = {"seeds": 10, "reports": 2}

    seeds: int = 100
    """How many draws of the network and its samples, with the seeds seed, seed + 1, …"""

    reports: int = 20
    """How many of the draws go through fnn.compare_gradients, too."""

    def measure(self) -> Figures:
        keys = seeds_of(self.seed, self.seeds)
        figures: dict[str, Any] = {}
        with jax.enable_x64(True):
            right, wrong = (np.asarray(each) for each in gradients(keys))
            sizes = [leaf.size for leaf in jax.tree.leaves(drawn(keys[0], "float64")[0])]
            for dtype in DTYPES:
                found = np.asarray(differences(keys, EPSILONS, dtype), np.float64)
                passed, caught = (worst(found[..., 1], rule, sizes) for rule in (right, wrong))
                apart = {name: told_apart(passed, caught, each).tolist() for name, each in TOLERANCES.items()}
                figures[dtype] = summary(found, right, dtype) | {"told apart": apart}
        return figures | {"reports": self.reported(keys), GRADIENTS: compared(RIGHT, *drawn(keys[0], "float32"))}

    def reported(self, keys: jax.Array) -> dict[str, Any]:
        """How many reports find the right network right, and which rows those of the faulty one reject."""
        options: dict[str, Any] = {"methods": ("manual", "finite"), "cost": False, "progress": False}
        samples = [drawn(key, "float32") for key in keys[: self.reports]]
        passed = [fnn.compare_gradients(RIGHT, *each, **options).ok for each in samples]
        rows = [fnn.compare_gradients(WRONG, *each, **options).rows for each in samples]
        return {"passed": sum(passed), "rejected": [[row.path for row in each if not row.ok] for each in rows]}

    def claims(self, figures: Figures) -> list[Claim]:
        found, (four_digits, half) = [figures[dtype] for dtype in DTYPES], TOLERANCES.values()
        at_notes = [np.array(each["at 1e-3"]) for each in found]
        powers = [float(np.finfo(dtype).eps) ** power for dtype in DTYPES for power in FORMULAS.values()]
        factors = np.array([each["best ε"] for each in found]) / np.reshape(powers, (2, 3))
        shares = np.array([[each["worse one-sided"], each["better five-point"]] for each in found])
        seen = [each["told apart"]["four digits"][each["best"]] for each in found]
        loosely = [each["told apart"]["half of the fault"][each["best"]] for each in found]
        reports, named = figures["reports"], sum(each == ["first/kernel"] for each in figures["reports"]["rejected"])

        def words(values: Any, form: str) -> str:
            return " and ".join(f"{value:{form}}" for value in values)

        def growth(claim: str, name: str, power: int) -> Claim:
            means = [interval(each[name]) for each in found]
            return judge(
                claim,
                rule=f"the 95 % interval of the mean slope lies within {power} ± 0.1, in both dtypes",
                figure="slope " + " and ".join(f"{low:.3f} to {high:.3f}" for low, high in means),
                holds=all(power - 0.1 <= low <= high <= power + 0.1 for low, high in means),
            )

        return [
            judge(
                "Central differences with ε = 1e-3 agree to four digits",
                rule=f"the error is at most {four_digits:g} in every draw, in both dtypes",
                figure=f"at most {words([each.max() for each in at_notes], '.1e')}; four digits"
                f" in {words([(each <= four_digits).mean() for each in at_notes], '.0%')} of the draws",
                holds=max(each.max() for each in at_notes) <= four_digits,
                only_when="computed in float64",
                there=at_notes[0].max() <= four_digits,
            ),
            judge(
                "The best ε is near a root of the machine epsilon: the square root of one-sided differences, the cube"
                " root of central ones, the fifth root of five points",
                rule=f"that of the median error is within a factor of {NEAR} of it, in both dtypes",
                figure=f"central {words([each['best ε'][1] for each in found], '.1e')}: {words(factors[:, 1], '.2g')}"
                f" of the root; one-sided {words(factors[:, 0], '.2g')}, five-point {words(factors[:, 2], '.2g')}",
                holds=np.maximum(factors, 1 / factors).max() <= NEAR,
            ),
            growth("Below its best ε the error of central differences grows like 1/ε", "below", -1),
            growth("Above it, it grows like ε²", "above", 2),
            judge(
                "At their best, one-sided differences are worse than central ones, and five points are better",
                rule=f"in at least {MOST:.0%} of the draws, in both dtypes, each at its own best ε of the median",
                figure=f"worse in {words(shares[:, 0], '.0%')}; better in {words(shares[:, 1], '.0%')}",
                holds=shares.min() >= MOST,
            ),
            judge(
                "A fault of 1 % stands out at the best ε, to four digits",
                rule=f"at a tolerance of {four_digits:g} the checker tells them apart in every draw, in both dtypes",
                figure=f"in {words(seen, '.0%')} of the draws; at {half:g}, half of the fault, {words(loosely, '.0%')}",
                holds=min(seen) == 1,
                only_when="computed in float64",
                there=seen[0] == 1,
            ),
            judge(
                "The report of fnn.compare_gradients names the array with the fault, and no other",
                rule="in every draw it rejects the kernel of the first layer alone, and nothing of the right network",
                figure=f"named in {named} of {len(reports['rejected'])}, right passed in {reports['passed']}",
                holds=named == reports["passed"] == len(reports["rejected"]),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        errors = {dtype: dict(zip(FORMULAS, np.array(figures[dtype]["errors"]), strict=True)) for dtype in DTYPES}
        shares = {
            dtype: {name: np.array(each) for name, each in figures[dtype]["told apart"].items()} for dtype in DTYPES
        }
        draws, notes = len(figures[DTYPES[0]]["at 1e-3"]), float(EPSILONS[NOTES])
        tolerance = TOLERANCES["four digits"]
        gradcheck_plots.v_curves(folder / "v_curves.png", EPSILONS, errors, notes=notes, tolerance=tolerance)
        gradcheck_plots.fault(folder / "fault.png", EPSILONS, shares, draws=draws, notes=notes)
        return {
            "v_curves.png": f"Median over {draws} draws, bands with 90 % of them. Thin lines: the notes' ε = 1e-3 and"
            " four digits.",
            "fault.png": "How often a checker passes the right rule and rejects one that is 1 % off, by its tolerance.",
        }


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the mean."""
    mean, half = float(np.mean(values)), half_of_mean(values)
    return mean - half, mean + half
