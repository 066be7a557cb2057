"""A quick run of the perceptron: what it learns, and that each rule can say no."""

import numpy as np
import pytest

from experiments.linear.perceptron import XOR, signed_distance, wrong

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_setosa_is_separated_and_xor_is_not(run):
    assert run.figures["setosa"]["wrong"] == [0] * run.study.seeds
    assert min(run.figures["xor"]["wrong"]) >= 1
    assert all(0 < margin < run.figures["widest"] for margin in run.figures["setosa"]["margins"])
    assert run.verdict("separates setosa") == run.verdict("does not separate XOR") == "holds"
    assert run.verdict("widest margin") == "does not hold"


def test_every_rule_can_say_the_opposite(run):
    setosa, xor = run.figures["setosa"], run.figures["xor"]
    assert run.verdict("separates setosa", setosa=setosa | {"wrong": [0, 1, 0]}) == "does not hold"
    assert run.verdict("does not separate XOR", xor=xor | {"wrong": [2, 0, 1]}) == "does not hold"
    assert run.verdict("distance of a sample", distance_error=1e-9) == "does not hold"
    assert run.verdict("widest margin", widest=min(setosa["margins"])) == "holds"


def test_distances_and_mistakes_of_a_line_worked_by_hand():
    # The line x₁ + x₂ = ½ has only (0, 0) on one side: of the points of XOR, (1, 1) is on the wrong one.
    line = np.array([1.0, 1.0, -0.5])
    np.testing.assert_allclose(signed_distance(XOR[0], line), np.array([-0.5, 0.5, 0.5, 1.5]) / np.sqrt(2))
    assert wrong(*XOR, line[None]) == [1]
    # A point on the line is taken for −1.
    assert wrong(np.zeros((1, 2)), np.array([-1.0]), np.array([[1.0, 1.0, 0.0]])) == [0]
