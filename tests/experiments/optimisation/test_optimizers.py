"""A quick run of the optimisers: what rates and optimisers do, and that each rule can say the opposite."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.optimisation.optimizers import JUDGED, RATES, SAME, SPACING
from experiments.optimisation.optimizers_plots import FAMILIES
from experiments.optimisation.optimizers_runs import (
    DIVERGED,
    LEARNED,
    OPTIMIZERS,
    best,
    capped,
    networks,
    uncorrected,
    usable,
)
from experiments.optimisation.optimizers_steps import lengths, look_ahead, nesterov_apart, path, plain_adam, summary

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_every_optimiser_learns_at_its_best_rate_and_not_at_the_lowest(run):
    assert set(run.figures["swept"]) == set(JUDGED)
    for each in run.figures["swept"].values():
        losses, history = np.array(each["last"]), np.array(each["history"])
        assert losses.shape == (len(RATES), run.study.seeds)
        assert losses[best(losses)].max() < LEARNED < losses[0].min()
        assert losses.max() <= DIVERGED
        assert history.shape == (run.study.seeds, run.study.passes)
        assert (history[:, -1] < history[:, 0] / 2).all()


def test_steps_are_too_long_without_correction_and_grow_with_rmsprop(run):
    np.testing.assert_allclose(np.array(run.figures["lengths"]["earliest"])[:, 0], 0.1 / np.sqrt(0.001), rtol=1e-3)
    assert run.verdict("first steps are too short") == "does not hold"
    effective = run.figures["effective"]
    assert min(effective["RMSProp"]["last"]) > 5 * max(effective["RMSProp"]["first"])
    np.testing.assert_allclose(effective["sgd"]["last"], effective["sgd"]["first"], rtol=1e-3)
    assert run.verdict("RMSProp reduces") == "does not hold"
    assert run.verdict("AdaGrad reduces") == "holds"
    assert np.max(run.figures["nesterov"]["decaying"], axis=0)[0] > 1e-3
    assert run.verdict("rate inside the velocity") == "holds only when the rate is constant"


def test_every_rule_can_say_the_opposite(run):
    swept, effective = run.figures["swept"], run.figures["effective"]
    high = np.full((len(RATES), run.study.seeds), 3.0)
    wide, narrow = high.copy(), high.copy()
    wide[2:7], narrow[4:6] = 0.1, 0.2
    wide, narrow = ({"last": each.tolist()} for each in (wide, narrow))
    more = swept | {"adam": wide, "sgd": narrow, "momentum": narrow, "rmsprop": narrow, "adam, uncorrected": narrow}
    less = swept | {"adam": narrow, "sgd": wide, "momentum": narrow, "rmsprop": wide, "adam, uncorrected": wide}
    for claim in ("Adam tolerates", "Adam is better", "Adam ends worse"):
        assert run.verdict(claim, swept=more) == "holds"
        assert run.verdict(claim, swept=less) == "does not hold"
    short = run.figures["lengths"] | {"earliest": [[0.9] * 10, [0.5] * 10]}
    assert run.verdict("first steps are too short", lengths=short) == "holds"
    apart = {"constant": [[0.0, 0.0]], "decaying": [[0.0, 0.0]]}
    assert run.verdict("rate inside the velocity", nesterov=apart) == "holds"
    assert run.verdict("rate inside the velocity", nesterov=apart | {"constant": [[0.1, 0.0]]}) == "does not hold"
    for one, other in (("RMSProp", "holds"), ("AdaGrad", "does not hold")):
        swapped = effective[one] | {"first": effective[one]["last"], "last": effective[one]["first"]}
        assert run.verdict(f"{one} reduces", effective=effective | {one: swapped}) == other


def test_all_optimisers_with_a_rate_are_swept_and_drawn():
    makers = {name: getattr(fnn.optim, name) for name in fnn.optim.__all__}
    found = {name for name, make in makers.items() if "learning_rate" in inspect.signature(make).parameters}
    # A line search, one with an experiment of its own, a part of the others, and a wrapper whose two forms are there.
    assert found - {"lbfgs", "kfac", "scale_by_learning_rate", "schedule_free"} == set(OPTIMIZERS) - {
        "adam, uncorrected"
    }
    assert sorted(name for names in FAMILIES.values() for name in names) == sorted(OPTIMIZERS)


def test_adam_without_correction_worked_by_hand():
    # 0.1 g over √(0.001 g²) = √10, and twice the same gradient: 0.19 g over √(0.001999 g²).
    m = v = jnp.zeros(1)
    optimizer, g = uncorrected(1.0), jnp.array([2.0])
    state = optimizer.init(g)
    for expected in (np.sqrt(10), 0.19 / np.sqrt(0.001999)):
        plain, m, v = plain_adam(g, m, v)
        updates, state = optimizer.update(g, state, g)
        np.testing.assert_allclose(plain, [expected], rtol=1e-4)
        np.testing.assert_allclose(updates, [-expected], rtol=1e-4)
    assert lengths(0, 1, 2)[0] == pytest.approx([np.sqrt(10), 0.19 / np.sqrt(0.001999)], rel=0.01)


def test_the_look_ahead_worked_by_hand():
    # L = (w₁ − 1)² + 0 w₂, slope 2 (w₁ − 1). With β = ½ and η = 0.1: V = −0.2, W = 0.2, W − βV = 0.3; there the slope
    # is −1.4, V = −0.1 − 0.14 = −0.24, W = 0.44 and W − βV = 0.56.
    x, y = jnp.array([[1.0, 0.0]]), jnp.array([[1.0]])
    np.testing.assert_allclose(look_ahead(x, y, jnp.array([0.1]), 0.5), [[0.3], [0]], rtol=1e-6)
    np.testing.assert_allclose(look_ahead(x, y, jnp.array([0.1, 0.1]), 0.5), [[0.56], [0]], rtol=1e-6)
    end, _ = path(fnn.optim.sgd(0.1, momentum=0.5, nesterov=True), x, y, 2)
    np.testing.assert_allclose(end, [[0.56], [0]], rtol=1e-6)
    found = nesterov_apart(0, 1, 50)
    assert max(found["constant"][0]) < SAME < found["decaying"][0][0]
    assert found["decaying"][0][1] < SAME


def test_the_effective_rate_worked_by_hand():
    x, y = jnp.array([[1.0, 0.5]]), jnp.array([[1.0]])
    _, rates = path(fnn.optim.sgd(0.25), x, y, 3)
    np.testing.assert_allclose(rates, [0.25] * 3, rtol=1e-6)
    # The first slopes are −2 and −1: RMSProp divides by √0.1 times their size, so 0.25 / √0.1 over 2 and over 1.
    _, rates = path(fnn.optim.rmsprop(0.25), x, y, 1)
    np.testing.assert_allclose(rates, [0.25 / np.sqrt(0.1) * 0.75], rtol=1e-5)


def test_summaries_worked_by_hand():
    assert usable([[0.1, 3.0], [0.2, 0.1], [3.0, 3.0], [0.1, 0.1], [0.1, 0.1], [0.1, 3.0]], SPACING).tolist() == [
        1,
        0.5,
    ]
    assert usable([[3.0, 0.1], [3.0, 3.0]], SPACING).tolist() == [0, 0]
    assert best([[1.0, 3.0], [1.5, 1.5]]) == 1
    assert capped([np.nan, np.inf, 0.5]) == [DIVERGED, DIVERGED, 0.5]
    found = summary([np.arange(20.0), np.arange(20.0) + 2])
    assert found["first"] == [0.5, 2.5]
    assert found["last"] == [18.5, 20.5]
    assert found["steps"] == list(range(1, 21))
    assert (found["low"][3], found["median"][3], found["high"][3]) == (3, 4, 5)
    params = networks(3, 2)
    assert jax.tree.map(np.shape, params["dense_1"]) == {"kernel": (2, 32, 10), "bias": (2, 10)}
    np.testing.assert_array_equal(networks(4, 1)["dense_0"]["kernel"][0], params["dense_0"]["kernel"][1])
