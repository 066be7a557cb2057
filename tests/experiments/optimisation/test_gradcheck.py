"""A quick run of the gradient check: what differences see, and that each rule can say no."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.optimisation.gradcheck import interval
from experiments.optimisation.gradcheck_errors import EPSILONS, NOTES, slopes, summary, told_apart, worst
from experiments.optimisation.gradcheck_network import FAULT, RIGHT, by_formula, differences, drawn, gradients
from experiments.study import seeds_of

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_the_curves_are_a_v_and_float64_is_finer(run):
    wide, narrow = run.figures["float64"], run.figures["float32"]
    for figures in (wide, narrow):
        assert -1.1 < min(figures["below"]) <= max(figures["below"]) < -0.9
        assert 1.9 < min(figures["above"]) <= max(figures["above"]) < 2.1
        assert figures["best ε"] == sorted(figures["best ε"])
        lowest = [min(middle) for _, middle, _ in figures["errors"]]
        assert lowest == sorted(lowest, reverse=True)
    assert max(wide["at 1e-3"]) < 1e-5 < min(narrow["at 1e-3"])
    assert max(wide["told apart"]["four digits"]) == max(narrow["told apart"]["half of the fault"]) == 1
    assert run.figures["reports"] == {"passed": run.study.reports, "rejected": [["first/kernel"]] * run.study.reports}
    assert run.verdict("agree to four digits") == "holds only when computed in float64"


def test_every_rule_can_say_the_opposite(run):
    wide, narrow, reports = run.figures["float64"], run.figures["float32"], run.figures["reports"]
    assert run.verdict("agree to four digits", float32=wide) == "holds"
    assert run.verdict("agree to four digits", float64=narrow) == "does not hold"
    assert run.verdict("near a root") == "holds"
    for formula in range(3):
        best = [each * (100 if i == formula else 1) for i, each in enumerate(wide["best ε"])]
        assert run.verdict("near a root", float64=wide | {"best ε": best}) == "does not hold"
    for claim, name, slope in (("grows like 1/ε", "below", -1.2), ("grows like ε²", "above", 1.7)):
        assert run.verdict(claim) == "holds"
        assert run.verdict(claim, float32=narrow | {name: [slope] * run.study.seeds}) == "does not hold"
    assert run.verdict("five points are better") == "holds"
    assert run.verdict("five points are better", float64=wide | {"worse one-sided": 0.5}) == "does not hold"
    assert run.verdict("five points are better", float32=narrow | {"better five-point": 0.5}) == "does not hold"
    assert run.verdict("stands out", float32=wide) == "holds"
    never = {"told apart": {name: [0.0] * len(EPSILONS) for name in wide["told apart"]}}
    assert run.verdict("stands out", float32=narrow | never) == "holds only when computed in float64"
    assert run.verdict("stands out", float64=wide | never) == "does not hold"
    assert run.verdict("names the array") == "holds"
    assert run.verdict("names the array", reports=reports | {"passed": 0}) == "does not hold"
    both = [["first/kernel", "last/kernel"]] * run.study.reports
    assert run.verdict("names the array", reports=reports | {"rejected": both}) == "does not hold"


def test_the_formulas_worked_by_hand():
    # (1 + s)³ at s = 0: (1.331 − 1) / 0.1, (1.331 − 0.729) / 0.2, and five points are exact for a cubic.
    with jax.enable_x64(True):
        found = by_formula(lambda step: (1 + step) ** 3, jnp.array(0.1))
    np.testing.assert_allclose(found, [3.31, 3.01, 3], rtol=1e-12)


def test_the_fault_is_in_one_array_and_differences_see_the_right_one():
    keys = seeds_of(0, 2)
    with jax.enable_x64(True):
        right, wrong = gradients(keys)
        found = differences(keys, np.array([1e-5]), "float64")
        params = drawn(keys[0], "float64")[0]
    sizes = jax.tree.map(lambda leaf: leaf.size, params)
    assert sizes == {"first": {"bias": 4, "kernel": 12}, "last": {"bias": 3, "kernel": 12}}
    expected = np.repeat([1, FAULT, 1, 1], [4, 12, 3, 12])
    np.testing.assert_allclose(wrong / right, np.broadcast_to(expected, (2, 31)), rtol=1e-12)
    assert found.shape == (2, 1, 31, 3)
    np.testing.assert_allclose(found[:, 0, :, 1], right, atol=1e-9)


def test_the_point_is_the_same_in_both_dtypes():
    key = jax.random.key(5)
    with jax.enable_x64(True):
        wide, _, (x, _) = drawn(key, "float64")
        narrow, _, (other, labels) = drawn(key, "float32")
    assert x.dtype == "float64"
    assert other.dtype == "float32"
    np.testing.assert_array_equal(x, other)
    jax.tree.map(np.testing.assert_array_equal, wide, narrow)
    np.testing.assert_array_equal(labels, [0, 1, 2, 0, 1, 2, 0, 1])
    assert np.isfinite(RIGHT(narrow, {}, (other, labels))[0])


def test_slopes_and_intervals_worked_by_hand():
    assert EPSILONS[NOTES] == pytest.approx(1e-3)
    found = slopes(np.stack([3 / EPSILONS, 5 * EPSILONS**2]), 1e-8, 1e-3)
    np.testing.assert_allclose(found, [-1, 2])
    np.testing.assert_allclose(interval([1.0, 2.0, 3.0]), [2 - 1.959964 / np.sqrt(3), 2 + 1.959964 / np.sqrt(3)])


def test_what_a_checker_tells_apart_worked_by_hand():
    # Two arrays, (3, 4) and (1): off by 0.5 of 5 and by 0.3 of 1 at the first ε, by nothing at the second.
    rule, found = np.array([[3.0, 4.0, 1.0]]), np.array([[[3.0, 4.5, 1.3], [3.0, 4.0, 1.0]]])
    np.testing.assert_allclose(worst(found, rule, [2, 1]), [[0.3, 0]])
    right, wrong = np.array([[0.1, 0.3, 0.1], [0.1, 0.1, 0.1]]), np.array([[0.3, 0.3, 0.1], [0.3, 0.3, 0.1]])
    np.testing.assert_array_equal(told_apart(right, wrong, 0.2), [1, 0.5, 0])


def test_the_summary_of_curves_worked_by_hand():
    # Errors 4/3 of ε² and u/ε with the machine epsilon u: the least is at the cube root of 3u/8, u^(1/3) times 0.72.
    unit = float(np.finfo("float64").eps)
    central = unit / EPSILONS + 4 / 3 * EPSILONS**2
    errors = np.stack([10 * central, central, central / 10], axis=-1)
    found = 2 + 2 * np.broadcast_to(errors[None, :, None], (3, len(EPSILONS), 1, 3))
    figures = summary(found, np.full((3, 1), 2.0), "float64")
    assert figures["best ε"][1] == pytest.approx(0.72 * unit ** (1 / 3), rel=0.2)
    np.testing.assert_allclose(figures["errors"][1][1], central, rtol=1e-3, atol=1e-15)
    np.testing.assert_allclose(figures["at 1e-3"], central[NOTES], rtol=1e-6)
    np.testing.assert_allclose(figures["above"], 2, atol=0.02)
    assert figures["worse one-sided"] == figures["better five-point"] == 1
