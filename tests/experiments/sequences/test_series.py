"""A quick run of the forecasts: what even short training reaches, that nothing leaks, and that each rule can say no."""

import numpy as np
import pytest

from experiments import data
from experiments.sequences.series import SHOWN, choice
from experiments.sequences.series_plots import piece
from experiments.sequences.series_problem import (
    HORIZONS,
    LAGS,
    NETWORKS,
    Part,
    Task,
    ends,
    parts_of,
    repeated,
    ridge_forecasts,
    season_of,
    sizes,
    tasks,
)
from experiments.sequences.series_scores import BLOCKS, better, listed, ratios, shown, squares

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_short_training_beats_the_last_value_where_the_next_is_foretellable_and_not_on_the_price(run):
    errors = {
        name: {way: np.array(each) for way, each in found.items()} for name, found in run.figures["errors"].items()
    }
    for name, found in errors.items():
        assert {way: len(each) for way, each in found.items()}["LSTM"] == run.study.seeds
        assert all(each.shape[1:] == (BLOCKS, len(HORIZONS)) for each in found.values()), name
    assert better(ratios(errors["membrane"]["feed-forward"], errors["membrane"], "last value"))[0]
    assert (ratios(errors["membrane"]["ridge"], errors["membrane"], "last value")[0] < 1).all()
    assert (ratios(errors["price"]["LSTM"], errors["price"], "last value")[0] > 0.98).all()
    # A value a week before is the last value 5 days ahead; 20 ahead, only the fourth week before is known.
    np.testing.assert_allclose(errors["volume"]["last season"][..., 1:], errors["volume"]["last value"][..., 1:])
    assert run.figures["season"] == 71
    assert all(len(set(map(len, lines.values()))) == 1 for lines in run.figures["pictured"].values())
    assert {name: len(lines["LSTM"]) for name, lines in run.figures["pictured"].items()} == SHOWN


def test_every_rule_can_say_the_opposite(run):
    one = np.ones((2, BLOCKS, len(HORIZONS)))
    good, bad = (0.5 * one).tolist(), (2 * one).tolist()
    first = one * [0.5, 2, 2]

    def verdict(claim: str, name: str, **changed: list) -> str:
        second = "drift" if name == "price" else "last season"
        ways = {"last value": one[:1].tolist(), second: bad[:1], "ridge": one[:1].tolist(), "feed-forward": good}
        alike = ways | {"LSTM": good} | {each.replace("_", "-"): values for each, values in changed.items()}
        return run.verdict(claim, errors=run.figures["errors"] | {name: alike})

    for name, words in (("membrane", "potential"), ("volume", "volume")):
        for rival, reference in (("than naive", "last value"), ("than ridge", "ridge")):
            claim = f"{words if name == 'membrane' else 'volume of a stock'} better {rival}"
            assert verdict(claim, name) == "holds", claim
            assert verdict(claim, name, LSTM=bad) == "does not hold"
            assert verdict(claim, name, LSTM=first.tolist()) == "holds only when the horizon is 1"
            assert verdict(claim, name, **{reference: (0.4 * one[:1]).tolist()}) == "does not hold"
    # The better of the naive forecasts counts.
    assert verdict("potential better than naive", "membrane", **{"last season": (0.4 * one[:1]).tolist()}) != "holds"
    assert verdict("The LSTM forecasts", "membrane") == "does not hold"
    assert verdict("The LSTM forecasts", "membrane", LSTM=(0.2 * one).tolist()) == "holds"
    assert verdict("The LSTM forecasts", "membrane", LSTM=(one * [2, 2, 0.2]).tolist()).endswith("horizon is 20")
    above = {"feed_forward": bad, "LSTM": bad}
    assert verdict("Nothing forecasts", "price", **above) == "holds"
    assert verdict("Nothing forecasts", "price") == "does not hold"
    assert verdict("Nothing forecasts", "price", **above, ridge=good[:1]) == "does not hold"
    mixed = above | {"LSTM": first.tolist()}
    assert verdict("Nothing forecasts", "price", **mixed) == "holds only when the horizon is 5 or 20"


def test_no_part_knows_the_targets_of_a_later_one():
    values = np.arange(500.0)
    parts = parts_of(Task(values, values, 5))
    train, validation, _ = ends(values)
    assert (train, validation) == (300, 400)
    for part, start, stop in zip(parts, (0, 300, 400), (300, 400, 500), strict=True):
        ahead = part.last[:, None] + part.changes * part.scale
        assert ahead.min() == max(start, LAGS) and ahead.max() == stop - 1  # noqa: PT018
        # What is seen ends with the last value; mean and deviation of 0 … 299 standardise it.
        np.testing.assert_allclose(part.seen[:, -1] * np.sqrt((300**2 - 1) / 12) + 149.5, part.last, rtol=1e-5)
        # The season is 5: what is known of the values 1, 5 and 20 ahead lies 4 and 0 before the last, and at it.
        np.testing.assert_allclose(part.naive * part.scale, np.broadcast_to([-4.0, 0, 0], part.naive.shape))
    # Later values change neither earlier parts nor the scales.
    later = values.copy()
    later[400:] = 7
    for now, then in zip(parts[:2], parts_of(Task(later, later, 5))[:2], strict=True):
        for each, other in zip(now, then, strict=True):
            np.testing.assert_array_equal(each, other)
    # Without a season, the mean change of the training part.
    drifting = parts_of(Task(values**2, values, 0))[2]
    np.testing.assert_allclose(drifting.naive[0] * drifting.scale, [299, 5 * 299, 20 * 299])


def test_ridge_finds_a_linear_series_and_the_least_penalty_for_it():
    random = np.random.default_rng(0)
    seen = random.normal(size=(300, LAGS))
    changes = np.stack([seen[:, -1], 2 * seen[:, -2] + 1, 0 * seen[:, 0]], 1)
    part = Part(seen, changes, 0 * changes, seen[:, -1], np.ones(3))
    fitted, strengths = ridge_forecasts(part, part, part)
    np.testing.assert_allclose(fitted, changes, atol=1e-4)
    assert strengths[:2] == [1e-6, 1e-6]


def test_figures_worked_by_hand():
    assert season_of(np.sin(2 * np.pi * np.arange(1200) / 40)) in (40, 80)
    differences = np.ones((1, 20, 3)) * [1, 2, 3]
    assert squares(differences)[0, 0].tolist() == [2, 8, 18]
    ours, theirs = squares(differences), {"ridge": squares(2 * differences)}
    np.testing.assert_allclose(ratios(ours, theirs, "ridge"), 0.25)
    naive = {"last value": ours * [2, 1, 1], "drift": ours * [1, 4, 2]}
    np.testing.assert_allclose(ratios(ours, naive, "naive")[0], 1)
    # Half of the blocks have no error: the interval of the mean of ten such blocks holds 0.5 ± 1.96 · 0.5 / √10.
    half = np.tile([0.0, 1.0], 5)[None, :, None] * np.ones(3)
    _, low, high = ratios(half, {"ridge": np.ones((1, 10, 3))}, "ridge")
    np.testing.assert_allclose([low[0], high[0]], [0.2, 0.8], atol=0.1)
    # Two seeds, of errors 0 and 2: an interval of the mean of two draws reaches both.
    seeds = np.stack([0 * ours[0], 2 * ours[0]])
    np.testing.assert_allclose(ratios(seeds, {"ridge": ours}, "ridge")[:, 0], [1, 0, 2])
    assert better(np.array([[0.5, 0.5], [0.4, 0.4], [0.9, 1.1]])).tolist() == [True, False]
    assert listed(np.array([True, False, True])) == "1 or 20"
    assert listed(np.zeros(3, bool)) == "none"
    assert shown({"ridge": np.ones((3, 3))}).startswith("ridge 1.00 [1.00, 1.00], 1.00")
    assert choice({"rate": 0.001, "epochs": [3, 1]}) == "rate 0.001, epochs 3, 1"
    assert (choice([0.1, 1.0]), choice(None)) == ("strengths 0.1, 1", "")
    assert repeated([np.array([1, 2, 3])], 5)[0].tolist() == [1, 2, 3, 1, 2]
    test = Part(np.zeros((2, 1)), np.ones((2, 3)), np.zeros((2, 3)), np.array([1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    assert piece({"ridge": np.zeros((1, 2, 3))}, test, 2) == {"measured": [4, 5], "ridge": [1, 2]}


def test_the_series_are_those_that_ship_and_the_networks_are_of_equal_size():
    membrane, price = data.load_membrane(), data.load_google()
    assert (len(membrane.values), len(price.values)) == (12_000, 1047)
    assert -70 < membrane.values.min() < membrane.values.max() < 5
    assert (price.values[0], price.values[-1]) == (100.34, 362.71)
    assert data.load_google("volume").values[0] == 22_351_900
    parts = [parts_of(task) for task in tasks().values()]
    assert sizes(parts) == (2944, 981, 981)
    assert [len(each[0].seen) for each in parts] == [2949, 577, 577]
    # 4 gates of 16 units see 1 value, 16 outputs and a bias; 33 units 32 values and a bias; 3 outputs.
    assert 4 * 16 * 18 + 3 * 17 == 1203 and 33 * 33 + 3 * 34 == 1191  # noqa: PT018
    assert set(NETWORKS) == {"LSTM", "feed-forward"}
