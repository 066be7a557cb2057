"""A quick run on regularisation: what it does to the weights, and that each rule can say no."""

import copy

import jax
import numpy as np
import pytest

import fnn
from experiments.generalisation.regularization import Regularization, best
from experiments.generalisation.regularization_claims import HALF, MOST, SHARES, listed, lost
from experiments.generalisation.regularization_plots import STYLES
from experiments.generalisation.regularization_removal import exactly_zero, near_zero, without_units, without_weights
from experiments.generalisation.regularization_ridge import COPIES, NOISE, noiseless_points
from experiments.generalisation.regularization_training import (
    CONNECT,
    DROPOUT,
    L1,
    MOVED,
    NOISY,
    NONE,
    OTHERS,
    STRENGTHS,
    TIED,
    UNTIED,
    WHOLE,
    Local,
    Windows,
    choices,
    motions,
    window_pixels,
)
from experiments.intervals import interval, points
from fnn.testing import check_layer
from tests.experiments.studying import Finished

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_it_learns_and_the_ways_do_to_the_weights_what_they_are_for(run):
    assert tuple(run.figures["ways"]) == WHOLE == tuple(STYLES)
    assert min(min(found["tested"]) for found in run.figures["ways"].values()) > 0.75
    near = {way: np.array(found) for way, found in run.figures["near zero"].items()}
    assert (near[L1] > near[NONE] + 0.2).all()
    assert (np.diff(np.mean(run.figures["by strength"][L1], 1)) > 0).all()
    lost_units = {way: lost(found, HALF).mean() for way, found in run.figures["without units"].items()}
    assert lost_units[DROPOUT] < lost_units[NONE] - 0.03
    # Nothing is removed at the share 0, and the accuracy is that of the whole network.
    for way in WHOLE:
        assert np.shape(run.figures["without units"][way]) == (run.study.seeds, len(SHARES))
        for part in ("units", "weights"):
            whole = np.array(run.figures[f"without {part}"][way])[:, 0]
            np.testing.assert_allclose(whole, run.figures["ways"][way]["tested"], atol=3e-3)
    assert run.verdict("expected loss under noise") == run.verdict("trained with noise ends") == "holds"


def with_gains(run: Finished, **gains: float) -> dict:
    """All ways, every seed of which gains this much over none, or nothing."""
    tested = np.array(run.figures["ways"][NONE]["tested"])
    return {
        way: run.figures["ways"][NONE] | {"tested": (tested + gains.get(way.replace(" ", "_"), 0.0)).tolist()}
        for way in (*STRENGTHS, *OTHERS)
    }


def test_the_rules_on_accuracy_can_say_the_opposite(run):
    for way in (*STRENGTHS, *OTHERS):
        if way in (NONE, UNTIED):
            continue
        better = with_gains(run, **{way.replace(" ", "_"): 0.01})
        assert run.verdict(f"Accuracy: {way} helps", ways=better) == "holds"
        assert run.verdict(f"Accuracy: {way} helps", ways=with_gains(run)) == "does not hold"
    first, *others = run.figures["ways"][NONE]["tested"]
    one = with_gains(run)
    one[L1] = one[L1] | {"tested": [first + 0.05, *others]}
    assert run.verdict("Accuracy: L1 helps", ways=one) == "does not hold"
    assert run.verdict("helps most", ways=with_gains(run, augmentation=0.02, L2=0.01)) == "holds"
    assert run.verdict("helps most", ways=with_gains(run, augmentation=0.01, L2=0.02)) == "does not hold"
    assert run.verdict("share their weights", ways=with_gains(run, tied_windows=0.01)) == "holds"
    assert run.verdict("share their weights", ways=with_gains(run, windows=0.01)) == "does not hold"


def changed(figures: dict, name: str, way: str, values: object) -> dict:
    """One of the figures, with other values for one way."""
    return {name: copy.deepcopy(figures[name]) | {way: values}}


def test_the_rules_on_weights_and_units_can_say_the_opposite(run):
    seeds, figures = run.study.seeds, run.figures
    assert run.verdict("exactly 0", **changed(figures, "zero", L1, [0.02] * seeds)) == "holds"
    assert run.verdict("exactly 0", **changed(figures, "zero", L1, [0.02] * (seeds - 1) + [0.0])) == "does not hold"
    for way in (L1, CONNECT):
        near = f"{way} leaves most"
        assert run.verdict(near, **changed(figures, "near zero", way, [0.6] * seeds)) == "holds"
        few = changed(figures, "near zero", way, [0.6] * (seeds - 1) + [0.4])
        weak = changed(figures, "by strength", L1, [[0.4] * seeds] * 3)
        assert run.verdict(near, **few, **weak) == "does not hold"
        kept = [[0.9] * len(SHARES)] * seeds
        gone = [[0.9 - 0.4 * (i >= MOST) for i in range(len(SHARES))]] * seeds
        removed = f"With {way}, most"
        without = changed(figures, "without weights", NONE, gone)["without weights"]
        assert run.verdict(removed, **{"without weights": without | {way: kept}}) == "holds"
        assert run.verdict(removed, **{"without weights": without | {way: gone}}) == "does not hold"
    strong = changed(figures, "by strength", L1, [[0.4] * seeds, [0.6] * seeds, [0.6] * seeds])
    few = changed(figures, "near zero", L1, [0.4] * seeds)
    assert run.verdict("L1 leaves most", **few, **strong) == "holds only when its strength is 0.0003 or more"
    kept = [[0.9] * len(SHARES)] * seeds
    gone = [[0.9 - 0.4 * (i >= HALF) for i in range(len(SHARES))]] * seeds
    units = figures["without units"] | {NONE: gone}
    by_rate = {"by strength": figures["by strength"] | {DROPOUT: [[[0.9, 0.5]] * seeds, *[[[0.9, 0.8]] * seeds] * 2]}}
    assert run.verdict("redundant", **{"without units": units | {DROPOUT: kept}}) == "holds"
    redundant = run.verdict("redundant", **{"without units": units | {DROPOUT: gone}}, **by_rate)
    assert redundant == "holds only when its rate is 0.4 or more"
    by_rate["by strength"][DROPOUT][-1] = [[0.9, 0.5]] * seeds
    assert run.verdict("redundant", **{"without units": units | {DROPOUT: gone}}, **by_rate) == "does not hold"


def test_the_rules_on_ridge_can_say_the_opposite(run):
    ridge = run.figures["ridge"]

    def verdict(claim: str, **values: object) -> str:
        return run.verdict(claim, ridge=ridge | values)

    assert verdict("expected loss", identity=1e-11) == "does not hold"
    assert verdict("noisy copies", copies=[[0.1 / count**0.5 for count in COPIES]]) == "holds"
    assert verdict("noisy copies", copies=[[0.1 / count for count in COPIES]]) == "does not hold"
    assert verdict("noisy copies", copies=[[0.1] * len(COPIES)]) == "does not hold"
    near = {"0": [1.0], "0.5": [0.06], "1": [0.04], "2": [0.1]}
    assert verdict("trained with noise", trained=near) == "holds"
    assert verdict("trained with noise", trained=near | {"1": [0.055]}) == "does not hold"
    assert verdict("trained with noise", trained=near | {"0.5": [0.03]}) == "does not hold"


def test_ways_that_are_taken_apart_must_be_tried():
    with pytest.raises(ValueError, match="it lacks L2, DropConnect"):
        Regularization(ways=(NONE, L1, DROPOUT))


def test_the_choices_have_one_strength_each():
    names, columns = choices((NONE, L1, MOVED), (0.1, 0.2))
    assert names == [NONE] * 2 + [L1] * 6 + [MOVED] * 6
    assert set(columns) == {L1, MOVED, "rate"}
    assert NOISY not in columns
    np.testing.assert_allclose(columns[L1], [0, 0, *np.repeat(STRENGTHS[L1], 2), *[0] * 6], rtol=1e-6)
    np.testing.assert_allclose(columns["rate"], [0.1, 0.2] * 7, rtol=1e-6)


def test_the_best_choice_is_that_of_the_validation_digits():
    accuracies = np.array([[[0.5, 0.9], [0.7, 0.6]], [[0.6, 0.9], [0.5, 0.7]]])
    found = best(accuracies, np.array([0.1, 0.2]), np.array([3.0, 4.0]))
    assert found["index"] == 1
    assert found["tested"] == [0.6, 0.7]
    assert (found["rate"], found["strength"], found["strengths"]) == (0.2, 4.0, [4.0, 3.0])
    assert best(accuracies, np.array([0.1, 0.2]))["strength"] is None


def params_of(kernel: np.ndarray, last: np.ndarray) -> dict:
    """The parameters of one network, on a first axis."""
    dense = ({"kernel": each[None], "bias": np.zeros((1, each.shape[1]), np.float32)} for each in (kernel, last))
    return {"drop_connect_0": dict(zip(("dense_0", "dense_1"), dense, strict=True))}


def test_removing_units_and_weights_worked_by_hand():
    # Unit 0 sees the class of digits of class 0, unit 1 that of class 1: without a unit, its digits count as class 0.
    eye = np.eye(2, dtype=np.float32)
    params = params_of(np.diag([2.0, 1.0]).astype(np.float32), eye)
    part = np.concatenate([eye, eye[1:]]), np.array([0, 1, 1])
    np.testing.assert_allclose(without_weights(params, part, (0, 0.5, 0.75, 1.0)), [[1, 1, 1 / 3, 1 / 3]], rtol=1e-6)
    # Unit 0 can go, but not unit 1: half removed is 1 or ⅓, by the draw.
    found = without_units(params, part, (0, 0.5, 1.0), draws=200)[0]
    np.testing.assert_allclose(found, [1, 2 / 3, 1 / 3], atol=0.1)
    kernel = np.array([[1.0, 0.005], [-0.5, 0.0]], np.float32)
    assert near_zero(params_of(kernel, eye)).tolist() == [0.5]
    assert exactly_zero(params_of(kernel, eye)).tolist() == [0.25]


def test_the_layers_of_windows_obey_the_contract():
    pixels = window_pixels()
    assert pixels.shape == (36, 9)
    assert pixels[0].tolist() == [0, 1, 2, 8, 9, 10, 16, 17, 18]
    assert pixels[-1].tolist() == [45, 46, 47, 53, 54, 55, 61, 62, 63]
    key = jax.random.key(0)
    check_layer(Windows(), jax.random.normal(key, (2, 64)))
    check_layer(Local(3), jax.random.normal(key, (2, 4, 5)))


def test_windows_that_share_their_weights_are_a_convolution():
    x = jax.random.normal(jax.random.key(0), (2, 64))
    tied = OTHERS[TIED]
    params, state = tied.init(jax.random.key(1), x)
    assert sum(leaf.size for leaf in jax.tree.leaves(params["dense_0"])) == 80
    untied, _ = OTHERS[UNTIED].init(jax.random.key(1), x)
    assert sum(leaf.size for leaf in jax.tree.leaves(untied["local_0"])) == 2880
    convolution = fnn.Serial(fnn.Conv(8, (3, 3), padding="VALID"), fnn.Relu(), fnn.Flatten(), fnn.Dense(10))
    kernel = params["dense_0"]["kernel"].reshape(3, 3, 1, 8)
    same = {"conv_0": params["dense_0"] | {"kernel": kernel}, "dense_0": params["dense_1"]}
    expected, _ = convolution.apply(same, {}, x.reshape(-1, 8, 8, 1))
    np.testing.assert_allclose(tied.apply(params, state, x)[0], expected, atol=1e-5)


def test_motions_of_strength_zero_change_nothing():
    x = jax.random.uniform(jax.random.key(0), (3, 64))
    np.testing.assert_array_equal(motions(0.0)(jax.random.key(1), x), x)
    assert not np.allclose(motions(1.0)(jax.random.key(1), x), x)


def test_the_expectation_of_a_quadratic_and_ridge_worked_by_hand():
    x = np.array([[1.0, 2.0]])
    # E (w·(x + σ n))² = (w·x)² + σ² ‖w‖² = 5² + σ² · 5 for w = (1, 2).
    values = (noiseless_points(x) @ np.array([1.0, 2.0])) ** 2
    np.testing.assert_allclose(values.mean(), 25 + 5 * NOISE**2)
    # x = 1, y = 3: (3 − w)² + 2 w² is least at w = 1.


def test_intervals_worked_by_hand():
    # The mean of 0 and 2 is 1, its standard error 1; t is tan(π (p − ½)) at one degree of freedom.
    np.testing.assert_allclose(interval([0.0, 2.0]), (1, np.tan(np.pi * 0.475)))
    np.testing.assert_allclose(interval([0.0, 2.0], 5), (1, np.tan(np.pi * 0.495)))
    assert points(-0.012, 0.005) == "-1.2 ± 0.5"
    assert listed([0.25, 1.0]) == "0.25, 1"
    np.testing.assert_allclose(lost([[0.9, 0.6], [0.8, 0.8]], 1), [0.3, 0])
