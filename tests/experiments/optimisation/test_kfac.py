"""A quick run of K-FAC against Adam, and that each rule can say the opposite."""

import numpy as np
import pytest

from experiments.optimisation.kfac import ADAMS, STEPS_AN_EPOCH, steps_to

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_all_of_them_learn_from_the_same_starts(run):
    losses = {name: np.array(each) for name, each in run.figures["losses"].items()}
    assert set(losses) == {*ADAMS, "K-FAC"}
    for each in losses.values():
        assert each.shape[0] == run.study.seeds
        assert (each[:, -1] < each[:, 0]).all()
    assert losses["K-FAC"].shape[1] == run.study.epochs // 3


def test_every_rule_can_say_the_opposite(run):
    slow = {"Adam": [[3.0, 1.0]], "Adam, cosine": [[3.0, 1.0]], "K-FAC": [[2.0, 1.0]]}
    fast = {name: [[5.0, 4.0, 3.0, 2.0, 1.0, 0.5]] for name in ADAMS} | {"K-FAC": [[0.5, 0.4]]}
    seconds = {"Adam": 1.0, "K-FAC": 2.0}
    for claim in ("of Adam in a third", "of Adam, cosine in a third", "less time"):
        assert run.verdict(claim, losses=slow, seconds=seconds) == "does not hold"
        assert run.verdict(claim, losses=fast, seconds=seconds) == "holds"
    never = fast | {"K-FAC": [[0.6, 0.6]]}
    assert run.verdict("of Adam in a third", losses=never) == "does not hold"


def test_steps_worked_by_hand():
    theirs, ours = steps_to({"Adam": [[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]], "K-FAC": [[2.0, 1.0], [2.0, 2.0]]}, "Adam")
    assert theirs.tolist() == [2 * STEPS_AN_EPOCH, STEPS_AN_EPOCH]
    assert ours.tolist() == [2 * STEPS_AN_EPOCH, np.inf]
