"""A quick run of the attributions: what they find, and that each rule can say no."""

import numpy as np
import pytest

from experiments.explicit.attribution_measures import RANDOM, RULES, SHARES, keep, rank_correlation

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_relevances_account_for_the_score_and_rules_find_pixels(run):
    assert np.allclose(run.figures["accounted"]["LRP-ε"], 1, atol=0.01)
    assert np.allclose(run.figures["accounted"]["gradient × input"], 1, atol=0.01)  # ReLUs without biases
    logits = {name: np.array(each) for name, each in run.figures["logits"].items()}
    assert all(np.allclose(each[:, 0], logits[RANDOM][:, 0]) for each in logits.values())
    assert (logits["LRP-ε"][:, 2] < logits[RANDOM][:, 2]).all()
    assert run.verdict("accounts for the whole score") == "holds"


def test_every_rule_can_say_the_opposite(run):
    logits, accounted, after = (run.figures[name] for name in ("logits", "accounted", "correlations"))
    seeds, steps = run.study.seeds, len(after["gradient"][0])
    low = {name: [[9.0 - share for share in SHARES]] * seeds for name in RULES} | {
        RANDOM: [[9.0] * len(SHARES)] * seeds
    }
    assert run.verdict("pixels that matter", logits=low) == "holds"
    assert run.verdict("pixels that matter", logits=low | {RANDOM: logits["LRP-ε"]}) != "holds"
    assert run.verdict("accounts for the whole", accounted=accounted | {"LRP-γ": [0.5] * seeds}) == "does not hold"
    same = {name: [[1.0] * steps] * seeds for name in RULES}
    others = {name: [[1.0, *[0.1] * (steps - 1)]] * seeds for name in RULES}
    assert run.verdict("attributions are others", correlations=same) == "does not hold"
    assert run.verdict("attributions are others", correlations=others) == "holds"
    assert run.verdict("shows the image", correlations=others) == "does not hold"
    assert run.verdict("shows the image", correlations=others | {"guided": same["guided"]}) == "holds"


def test_the_pixels_that_are_kept_and_a_rank_correlation_worked_by_hand():
    order, inked = np.array([[[3.0, 9.0], [1.0, 2.0]]]), np.array([[[True, False], [True, True]]])
    assert keep(order, inked, 0.0).tolist() == [[[1, 1], [1, 1]]]
    assert keep(order, inked, 1 / 3).tolist() == [[[0, 1], [1, 1]]]
    assert keep(order, inked, 1.0).tolist() == [[[0, 1], [0, 0]]]
    found = rank_correlation(order, np.array([[[-1.0, 0.0], [3.0, 2.0]]]), inked)
    np.testing.assert_allclose(found, [-1.0])
    np.testing.assert_allclose(rank_correlation(order, np.zeros((1, 2, 2)), inked), [0.0])
