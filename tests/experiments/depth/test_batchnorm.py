"""A quick run on batch norm: it widens the range of rates, and each rule can say no."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.depth.batchnorm_claims import SCALES
from experiments.depth.batchnorm_measures import KINDS, constant, finite, shift
from experiments.depth.batchnorm_networks import (
    AFTER,
    BEFORE,
    MOVED,
    ROWS,
    WAYS,
    WITHOUT,
    Moments,
    Shifts,
    Used,
    shifts,
)
from experiments.depth.batchnorm_rates import LEVEL, edges, usable

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_more_rates_are_usable_with_it_and_training_mode_is_worse_in_small_batches(run):
    tested = {way: np.array(each["tanh"]) for way, each in run.figures["tested"].items()}
    assert list(tested) == list(WAYS)
    assert tested[BEFORE].shape == (len(run.figures["rates"]), run.study.seeds)
    assert ((tested[BEFORE] >= LEVEL).sum(0) > (tested[WITHOUT] >= LEVEL).sum(0)).all()
    small, large = (run.figures["modes"][size]["batch"]["loss"] for size in ("2", "64"))
    assert min(small) > max(large)


def changed(figures: dict, way: str, accuracies: list) -> dict:
    """The map of rates with other accuracies of one way, the same for every activation."""
    tested = copy.deepcopy(figures["tested"])
    tested[way] = dict.fromkeys(tested[way], accuracies)
    return tested


def test_every_rule_on_the_map_can_say_the_opposite(run):
    count, seeds = len(run.figures["rates"]), run.study.seeds
    none, middle, every = ([[value] * seeds for value in each] for each in rows(count))
    narrow, wide = changed(run.figures, WITHOUT, middle), changed(run.figures, WITHOUT, every)
    narrow[BEFORE] = narrow[AFTER] = dict.fromkeys(narrow[BEFORE], every)
    wide[BEFORE] = dict.fromkeys(wide[BEFORE], middle)
    for claim in ("widens the range", "Larger rates", "Smaller rates"):
        assert run.verdict(claim, tested=narrow) == "holds"
        assert run.verdict(claim, tested=wide) == "does not hold"
    assert run.verdict("before or after", tested=narrow) == "holds"
    # Without any usable rate with it, no rate is larger or smaller.
    nowhere = changed(run.figures, WITHOUT, middle)
    nowhere[BEFORE] = dict.fromkeys(nowhere[BEFORE], none)
    assert (
        run.verdict("Larger rates", tested=nowhere) == run.verdict("Smaller rates", tested=nowhere) == "does not hold"
    )
    narrow[AFTER] = dict.fromkeys(narrow[AFTER], none)
    assert run.verdict("before or after", tested=narrow) == "does not hold"


def test_decades_count_a_single_usable_rate_and_say_so(run):
    count, seeds = len(run.figures["rates"]), run.study.seeds
    none, _, _ = ([[value] * seeds for value in each] for each in rows(count))
    tested = changed(run.figures, WITHOUT, [[0.95] * seeds, *none[1:]])
    for claim in run.study.claims(run.figures | {"tested": tested}):
        if claim.claim.startswith("Batch norm widens"):
            assert "without: tanh 1" in claim.figure
            assert "rates lie 1 decades apart, and each usable one counts for as much" in claim.rule


def rows(count: int) -> tuple[list, list, list]:
    """Accuracies at which no rate, all but the first and the last, and all of them are usable."""
    return [0.1] * count, [0.1, *[0.95] * (count - 2), 0.1], [0.95] * count


def test_every_rule_on_shifts_can_say_the_opposite(run):
    count, seeds = len(run.figures["rates"]), run.study.seeds
    _, middle, every = ([[value] * seeds for value in each] for each in rows(count))
    tested = changed(run.figures, WITHOUT, middle)
    tested[BEFORE], tested[MOVED] = (dict.fromkeys(tested[BEFORE], each) for each in (every, middle))
    moved = {WITHOUT: 0.5, BEFORE: 0.1, AFTER: 0.1, MOVED: 0.9}
    found = {way: {"tanh": [value] * seeds} for way, value in moved.items()}
    assert run.verdict("It lessens the shift", tested=tested, shift=found) == "holds"
    assert run.verdict("because that shift is smaller", tested=tested, shift=found) == "holds"
    assert run.verdict("It lessens the shift", tested=tested, shift=found | {BEFORE: found[MOVED]}) == "does not hold"
    # Nothing follows where the added shifts are too small, or where the range stays.
    assert run.verdict("because that", tested=tested, shift=found | {MOVED: found[BEFORE]}) == "does not hold"
    tested[MOVED] = tested[BEFORE]
    assert run.verdict("because that shift is smaller", tested=tested, shift=found) == "does not hold"


def test_every_rule_on_scales_can_say_the_opposite(run):
    assert run.verdict("Scaling the weights") == "holds only when ε is 0"
    exact, usual = run.figures["scaled"].values()
    assert run.verdict("Scaling the weights", scaled={"0": exact, "1e-05": exact}) == "holds"
    assert run.verdict("Scaling the weights", scaled={"0": usual, "1e-05": usual}) == "does not hold"
    assert run.verdict("With ε it does so to 1 %") == "holds"
    far = usual | {"output": np.full((len(SCALES), run.study.seeds), 0.02).tolist()}
    assert run.verdict("With ε it does so to 1 %", scaled={"0": exact, "1e-05": far}) == "does not hold"
    assert run.verdict("needs ε") == "holds only when a unit is constant over the batch"
    assert run.verdict("needs ε", finite={"0": [False, False], "1e-05": [True, True]}) == "holds"
    assert run.verdict("needs ε", finite={"0": [True, True], "1e-05": [True, True]}) == "does not hold"


def test_every_rule_on_modes_can_say_the_opposite(run):
    def modes(gaps: list, points: list, short: float) -> dict:
        def scores(loss: float, accuracy: float) -> dict:
            return {"loss": [loss] * run.study.seeds, "accuracy": [accuracy] * run.study.seeds}

        return {
            size: {
                "rate": 0.1,
                "batch": scores(1 + gap, 0.9 - point),
                "running": scores(1.0, 0.9),
                "whole": scores(1.0, 0.9 + short),
            }
            for size, gap, point in zip(("2", "8", "64"), gaps, points, strict=True)
        }

    good, bad = modes([0.9, 0.5, 0.1], [0, 0, 0], 0), modes([0.1, 0.5, 0.9], [0.1, 0.1, 0.1], 0.1)
    for claim in ("The smaller the batch", "Both modes", "Running averages"):
        assert run.verdict(claim, modes=good) == "holds"
        assert run.verdict(claim, modes=bad) == "does not hold"
    partly = modes([0.1, 0.5, 0.2], [0.1, 0.005, 0], 0)
    assert run.verdict("The smaller the batch", modes=partly) == "holds only when batches have 8 samples or more"
    assert run.verdict("Both modes", modes=partly) == "holds only when batches have 8 or 64 samples"
    assert set(KINDS) < set(good["2"])


def test_numbers_worked_by_hand():
    found = np.array([[False, False], [True, False], [True, True], [False, True]])
    first, last = edges(found)
    assert (first.tolist(), last.tolist()) == ([1, 2], [2, 3])
    assert usable([[0.9, 0.89]]).tolist() == [[True, False]]
    mean, var = jnp.array([[[0.0, 0.0]], [[3.0, 1.0]], [[3.0, 1.0]]]), jnp.full((3, 1, 2), 5.0)
    np.testing.assert_allclose(shift(mean, var), (1 + 0) / 2)  # √((9 + 1)/2 / 5), then no move at all
    assert constant(np.array([[1.0, 2.0], [1.0, 3.0]])).tolist() == [True, False]
    assert finite(1e-5, jnp.ones((2, 1)))
    assert not finite(0.0, jnp.ones((2, 1)))


def test_the_layers_that_disturb_and_watch():
    x = jnp.array([[1.0, 2.0], [3.0, 6.0]])
    _, seen = Moments().apply({}, Moments().init(jax.random.key(0), x)[1], x, train=True)
    np.testing.assert_allclose(seen["mean"], [2, 4])
    np.testing.assert_allclose(seen["var"], [1, 4])
    table = jnp.array([[[1.0, 0.0], [2.0, 1.0]], [[0.0, 0.0], [1.0, 1.0]]])
    y, state, cache = Shifts(table).forward({}, {"count": jnp.array(0)}, x, train=True)
    np.testing.assert_allclose(y, [[3, 2], [7, 6]])
    assert int(state["count"]) == 1
    np.testing.assert_allclose(Shifts(table).backward(cache, x)[1], [[2, 2], [6, 6]])
    np.testing.assert_allclose(Shifts(table).apply({}, {"count": jnp.array(0)}, x)[0], x)
    drawn = shifts(0, 1.0)
    assert drawn.shape[:2] == (ROWS, 2)
    assert np.abs(drawn[:, 0]).max() <= 1
    assert 0.5 <= drawn[:, 1].min() < drawn[:, 1].max() <= 1.5


@pytest.mark.parametrize("used", [False, True])
def test_a_layer_that_is_not_used_is_the_identity_and_has_no_gradient(used: bool):
    layer, inner, x = Used(fnn.Dense(2), used), fnn.Dense(2), jnp.array([[1.0, 2.0]])
    params, state = layer.init(jax.random.key(0), x)
    y, _, cache = layer.forward(params, state, x)
    dparams, dx = layer.backward(cache, x)
    expected = (
        inner.backward(inner.forward(params, state, x)[2], x) if used else (jax.tree.map(jnp.zeros_like, params), x)
    )
    np.testing.assert_allclose(y, inner.apply(params, state, x)[0] if used else x)
    jax.tree.map(np.testing.assert_allclose, (dparams, dx), expected)
