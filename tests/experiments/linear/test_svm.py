"""A quick run of the support vector machine: what it learns, and that each rule can say no."""

import numpy as np
import pytest

from experiments.linear.svm import SAME, STRENGTHS
from experiments.linear.svm_lines import hinge, margins, reference, shared, value
from tests.experiments.studying import Finished

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_the_neuron_ends_near_the_machine_and_the_activation_does_not(run):
    for name in ("irises", "tumours"):
        first, *others = run.figures[name]
        # The weaker the penalty, the more steps it takes: a quick run ends in time for the first.
        assert np.abs(first["above SVC"]).max() <= SAME
        assert np.abs(first["with bias"]).max() <= SAME
        assert min(first["supports"]) > 0.9
        assert [row["C"] for row in (first, *others)] == list(STRENGTHS)
        for row in others:
            assert -1e-6 < min(row["above SVC"]) <= max(row["above SVC"]) < 0.3
            assert np.shape(row["lines"])[0] == run.study.seeds
    assert min(run.figures["irises"][0]["LinearSVC above"]) > 0.1
    assert min(run.figures["activation"]["above"]) > 0.1
    assert run.verdict("LinearSVC") == run.verdict("activation of the neuron") == "does not hold"


def with_all(run: Finished, **values: float) -> dict[str, list]:
    """Both data sets, with these values in every row and seed."""
    seeds = len(run.figures["activation"]["above"])
    changed = {name.replace("_", " "): [each] * seeds for name, each in values.items()}
    return {name: [row | changed for row in run.figures[name]] for name in ("irises", "tumours")}


def test_every_rule_can_say_the_opposite(run):
    assert run.verdict("minimises what", **with_all(run, above_SVC=1e-4)) == "holds"
    assert run.verdict("minimises what", **with_all(run, above_SVC=1e-2)) == "does not hold"
    assert run.verdict("minimises what", **with_all(run, above_SVC=-1e-2)) == "does not hold"
    assert run.verdict("same support vectors", **with_all(run, supports=0.96)) == "holds"
    assert run.verdict("same support vectors", **with_all(run, supports=0.9)) == "does not hold"
    assert run.verdict("LinearSVC", **with_all(run, LinearSVC_above=0.0)) == "holds"
    assert run.verdict("LinearSVC", **with_all(run, LinearSVC_above=0.1, with_bias=0.1)) == "does not hold"
    penalised = run.verdict("LinearSVC", **with_all(run, LinearSVC_above=0.1, with_bias=0.0))
    assert penalised == "holds only when the neuron's bias is penalised too"
    activation = run.figures["activation"] | {"above": [1e-4] * run.study.seeds}
    assert run.verdict("activation of the neuron", activation=activation) == "holds"


def test_values_and_margins_worked_by_hand():
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, -1])
    on_the_margin, inside = np.array([2.0, 0.0, -1.0]), np.array([1.0, 0.0, 0.0])
    np.testing.assert_array_equal(margins(on_the_margin, x, y), [1, 1])
    np.testing.assert_array_equal(margins(inside, x, y), [1, 0])
    # ‖w‖² / (2 C N) with C = 1 and N = 2, and the mean hinge of the second line, (0 + 1) / 2.
    assert value(on_the_margin, x, y, 1.0) == 4 / 4
    assert value(on_the_margin, x, y, 1.0, bias=True) == 5 / 4
    assert value(inside, x, y, 1.0) == 1 / 2 + 1 / 4
    assert value(inside, x, y, 10.0) == 1 / 2 + 1 / 40


def test_the_shared_support_vectors_worked_by_hand():
    # Of the first, the first two are support vectors, of the second the first and the last: one of three is shared.
    assert shared(np.array([0.5, 1.005, 2.0]), np.array([-3.0, 1.5, 1.0])) == pytest.approx(1 / 3)


def test_the_activation_knows_no_label():
    np.testing.assert_array_equal(hinge(np.array([-1.0, 0.5, 1.0, 7.0])), [2, 0.5, 0, 0])


def test_the_references_worked_by_hand():
    # Two samples at 1 and 3: the line of SVC is x − 2; LinearSVC pays for the 2.
    free, penalised = reference(np.array([[1.0], [3.0]]), np.array([-1, 1]), 10.0)
    np.testing.assert_allclose(free, [1, -2], atol=1e-6)
    assert -2 < penalised[1] < 0
