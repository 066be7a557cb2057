"""A quick run of the recurrent networks: what begins to be learned, and that each rule can say no."""

import numpy as np
import pytest

from experiments.sequences.rnn import Recurrence, listed
from experiments.sequences.rnn_problem import MODELS, PARAMETERS, adding, feed_forward, parameters, refused

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits

GOOD, BAD = [[0.01] * 2] * 3, [[1.0] * 2] * 3


def test_a_short_run_learns_something_of_the_shortest_sequences_and_nothing_of_the_longest(run):
    errors = {name: np.array(each) for name, each in run.figures["errors"].items()}
    assert errors["simple"].shape == (len(run.study.lengths), run.study.seeds)
    assert errors["simple"][0].max() < 0.95
    assert all(0.9 < each[-1].mean() < 1.1 for each in errors.values())
    sizes = [*run.figures["parameters"].values(), *run.figures["feed-forward parameters"]]
    assert all(abs(size - PARAMETERS) < 0.1 * PARAMETERS for size in sizes)
    assert run.figures["refused"]


def test_every_rule_can_say_the_opposite(run):
    def verdict(claim: str, across: list = GOOD, **changed: list) -> str:
        errors = dict.fromkeys(run.figures["errors"], GOOD) | {"simple": [GOOD[0], BAD[0], BAD[0]]}
        # In "across", seeds come before lengths.
        carried = dict.fromkeys(("LSTM", "GRU"), np.transpose(across).tolist())
        return run.verdict(claim, lengths=Recurrence().lengths, errors=errors | changed, across=carried)

    assert verdict("does worse", **{"feed-forward": BAD}) == "holds"
    assert verdict("does worse", **{"feed-forward": [GOOD[0], BAD[0], GOOD[0]]}) == "holds only when the length is 20"
    assert verdict("does worse", **{"feed-forward": GOOD}) == "does not hold"
    assert verdict("From some length on") == "holds"
    assert verdict("From some length on", simple=GOOD) == "does not hold"
    assert verdict("From some length on", LSTM=BAD) == "holds only when the GRU alone is asked"
    assert verdict("From some length on", GRU=BAD) == "does not hold"
    assert verdict("Jordan") == "holds"
    assert verdict("Jordan", Jordan=[GOOD[0], [0.01, 0.2], BAD[0]]) == "holds only when the length is 10"
    assert verdict("Jordan", Jordan=BAD) == "does not hold"
    assert verdict("each other") == "holds"
    assert verdict("each other", lateral=BAD) == "does not hold"
    assert verdict("at other lengths") == "holds"
    assert verdict("at other lengths", [GOOD[0], GOOD[0], BAD[0]]) == "holds only when the other length is 10"
    assert verdict("at other lengths", [BAD[0], GOOD[0], BAD[0]]) == "does not hold"


@pytest.mark.parametrize("lengths", [(10,), (20, 10), (10, 10), (1, 10)])
def test_lengths_that_cannot_be_compared_are_refused(lengths):
    with pytest.raises(ValueError, match="two or more in increasing order, each at least 2, got"):
        Recurrence(lengths=lengths)


def test_the_sequences_have_one_mark_in_each_half_and_the_sum_of_the_marked():
    x, lengths, y = adding(np.random.default_rng(0), (5, 7), 10, 40)
    assert (x.shape, y.shape) == ((5, 7, 40, 2), (5, 7, 1))
    assert (lengths == 10).all()
    assert not x[..., 10:, :].any()
    numbers, marks = x[..., 0], x[..., 1]
    assert (marks[..., :5].sum(-1) == 1).all()
    assert (marks[..., 5:10].sum(-1) == 1).all()
    np.testing.assert_allclose((numbers * marks).sum(-1), y[..., 0], rtol=1e-6)
    # The variance of a sum of two uniform numbers is 2/12.
    assert adding(np.random.default_rng(0), (20_000,), 10, 10)[2].var() == pytest.approx(1 / 6, rel=0.03)


def test_sizes_and_lengths_worked_by_hand():
    # Kernels 2 · 24 and 24 · 24, 24 biases; 24 weights and a bias of the output.
    assert parameters(MODELS["simple"], 10) == 48 + 576 + 24 + 25
    # The same, but for the 24 units that do not see themselves.
    assert parameters(MODELS["lateral"], 10) == 673 - 24
    # 32 units of 20 inputs, each with a bias and a weight of the output, and its bias.
    assert parameters(feed_forward(10), 10) == 32 * 22 + 1
    assert refused(10, 20)
    assert not refused(10, 10)
    assert listed([10, 20, 40], np.array([True, False, True])) == "10 or 40"
    assert listed([10, 20, 40], np.zeros(3, bool)) == "none"
