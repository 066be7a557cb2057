"""A quick run of logistic regression: what it learns, and that each rule can say no."""

import numpy as np
import pytest

from experiments.linear.logistic import SAME, STRENGTHS
from experiments.linear.logistic_solutions import bound, formulas_error, interval, reference, reliability, sigmoid

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_the_coefficients_of_the_strong_penalties_are_those_of_scikit_learn(run):
    at = {name: np.array(values) for name, values in run.figures["strengths"].items()}
    assert at["own"].shape == at["theirs"].shape == (len(STRENGTHS), 31)
    # The weaker the penalty, the more steps it takes: a quick run ends in time for the first three.
    assert at["apart"][:3].max() <= SAME
    assert at["bound"][:3].max() <= SAME
    assert at["softmax at twice"][:3].max() <= SAME < at["softmax at equal"].min()
    assert at["bias penalised"].min() > 1e-3
    assert (np.diff(np.linalg.norm(at["own"][:, :-1], axis=1)) > 0).all()


def test_the_splits_are_learned_as_well_as_by_scikit_learn(run):
    own, theirs = (np.array(run.figures["splits"][name]) for name in ("own", "theirs"))
    assert own.shape == theirs.shape == (run.study.splits,)
    assert min(own.min(), theirs.min()) > 0.9
    assert abs(own.mean() - theirs.mean()) < 0.01
    for rows in run.figures["splits"]["reliability"]:
        predicted, shares, halves = np.array(rows).T
        assert (np.diff(predicted) > 0).all()
        assert shares[0] < 0.1 < 0.9 < shares[-1]
        assert (halves >= 0).all()


def test_every_rule_can_say_the_opposite(run):
    strengths, splits = run.figures["strengths"], run.figures["splits"]
    none = [0.0] * len(STRENGTHS)
    same = strengths | {"apart": none, "bound": none, "softmax at twice": none}
    assert run.verdict("scikit-learn's coefficients", strengths=same) == "holds"
    assert run.verdict("scikit-learn's coefficients", strengths=same | {"apart": [*none[1:], 1e-5]}) == "does not hold"
    assert run.verdict("scikit-learn's coefficients", strengths=same | {"bound": [*none[1:], 1e-5]}) == "does not hold"
    assert run.verdict("bias is not penalised", strengths=same) == "holds"
    assert run.verdict("bias is not penalised", strengths=same | {"bias penalised": none}) == "does not hold"
    assert run.verdict("sigmoid of their difference") == "holds"
    assert run.verdict("sigmoid of their difference", formulas=1e-9) == "does not hold"
    assert run.verdict("same penalty", strengths=same) == "holds only when the two have twice the penalty"
    assert run.verdict("same penalty", strengths=same | {"softmax at equal": none}) == "holds"
    assert run.verdict("same penalty", strengths=same | {"softmax at twice": [0.1, *none[1:]]}) == "does not hold"
    equal, worse = splits | {"own": splits["theirs"]}, splits | {"own": [0.9] * len(splits["own"])}
    assert run.verdict("as accurate", splits=equal) == "holds"
    assert run.verdict("as accurate", splits=worse) == "does not hold"


def test_probabilities_worked_by_hand():
    coefficients = np.array([[np.log(3), 0.0], [0.0, -np.log(4)]])
    np.testing.assert_allclose(sigmoid(coefficients, np.array([[1.0], [-1.0]])), [[0.75, 0.25], [0.2, 0.2]])


def test_the_bound_worked_by_hand():
    # At 0 the slopes are −½ of the weight and 0 of the bias, the curvatures ¼ + λ and ¼: (½ + ½) / ¼.
    x, y, zero = np.array([[1.0], [-1.0]]), np.array([1, 0]), np.zeros(2)
    assert bound(zero, zero, 0.25, x, y) == pytest.approx(4)


def test_scikit_learn_minimises_the_objective_with_a_strength_of_one_over_c_n():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 3)), (random.random(40) < 0.5).astype(int)
    found = reference(x, y, 0.5)
    assert bound(found, found, 1 / (0.5 * 40), x, y) < 1e-8
    assert bound(found, found, 2 / (0.5 * 40), x, y) > 1e-2


def test_the_formulas_agree_for_other_draws():
    assert formulas_error(7) < 1e-12


def test_the_interval_and_the_reliability_worked_by_hand():
    assert interval(np.array([1.0, 2.0, 3.0])) == pytest.approx(1.96 / np.sqrt(3))
    probabilities, ones = np.array([[0.05, 0.05], [0.05, 0.95]]), np.array([[False, True], [False, True]])
    # In the first tenth 1 of 3: the rows have a third more and a third less than that share, √(2 (1/9 + 1/9)) / 3.
    rows = [(0.05, 1 / 3, 1.96 * 2 / 9), (0.95, 1, 0)]
    np.testing.assert_allclose(reliability(probabilities, ones), rows)
    assert reliability(np.ones((2, 1)), np.ones((2, 1), bool)) == [(1, 1, 0)]
