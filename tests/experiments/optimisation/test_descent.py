"""A quick run of gradient descent: what batches, rates and momentum do, and that each rule can say the opposite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.intervals import wilson
from experiments.optimisation.descent import BETAS, KINDS, SAMPLES, SHARES, SIZES, brackets
from experiments.optimisation.descent_runs import (
    NETWORK,
    escapes,
    estimates,
    flat,
    line,
    network,
    path,
    single_gradients,
    slope,
    slope_of_well,
)

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_smaller_batches_are_noisier_and_cheaper(run):
    paths = run.figures["paths"]
    for kind, size in KINDS.items():
        assert paths[kind]["updates"] == run.study.passes * SAMPLES // size
        assert len(paths[kind]["cost"]) == run.study.seeds
        low, middle, high = np.array(paths[kind]["excess"])
        assert ((low <= middle) & (middle <= high)).all()
        assert high[0] == 1
        assert high[-1] < 0.1
    assert max(paths["batch"]["rises"]) == 0 < min(paths["stochastic"]["rises"])
    costs = [np.median(paths[kind]["cost"]) for kind in ("stochastic", "mini-batch", "batch")]
    assert 0 < costs[0] < costs[1] < costs[2]


def test_estimates_are_unbiased_and_scatter_less_in_larger_batches(run):
    for each in run.figures["estimates"]:
        assert each["bias"] < 1e-12
        assert slope(SIZES, each["variance"]) == pytest.approx(-1, abs=0.1)
        assert each["means"][-1] < each["means"][0] / 5
    assert run.verdict("biased estimate") == "does not hold"


def test_descent_diverges_above_the_edge_and_momentum_escapes(run):
    logs = np.array(run.figures["edges"])
    assert (logs[:, SHARES < 1] < 0).all()
    assert (logs[:, SHARES > 1] > 0).all()
    assert run.verdict("On a quadratic") == "holds"
    found = run.figures["escapes"]
    assert found["velocity"][0] == found["mean"][0] < 0.3 < found["velocity"][1] < found["velocity"][3]
    assert run.verdict("Momentum escapes") == "holds only when the velocity is a sum, which lengthens the steps"


def test_every_rule_can_say_the_opposite(run):
    paths, found = run.figures["paths"], run.figures["estimates"]
    batch, still = paths["batch"], [0] * run.study.seeds
    assert run.verdict("lowers the loss at every step", paths=paths | {"batch": paths["stochastic"]}) != "holds"
    calm = paths | {"stochastic": paths["stochastic"] | {"rises": still}}
    assert run.verdict("lowers the loss at every step") == "holds"
    assert run.verdict("lowers the loss at every step", paths=calm) == "does not hold"
    assert run.verdict("fewer gradients") == "holds"
    assert run.verdict("fewer gradients", paths=paths | {"mini-batch": batch}) == "does not hold"
    never = paths["stochastic"] | {"cost": [-1, *paths["stochastic"]["cost"][1:]]}
    assert run.verdict("fewer gradients", paths=paths | {"stochastic": never}) == "does not hold"
    assert run.verdict("biased estimate", estimates=[*found[1:], found[0] | {"bias": 0.1}]) == "holds"
    steep = [each | {"variance": [1 / size**1.1 for size in SIZES]} for each in found]
    exact = [each | {"variance": [3 / size for size in SIZES]} for each in found]
    assert run.verdict("one over the batch size", estimates=exact) == "holds"
    assert run.verdict("one over the batch size", estimates=[*exact[1:], steep[0]]) == "does not hold"
    late = np.where(SHARES > 1.02, 1.0, -1.0).tolist()
    early = np.where(SHARES > 0.98, 1.0, -1.0).tolist()
    assert run.verdict("On a quadratic", edges=[*run.figures["edges"], late]) == "does not hold"
    assert run.verdict("On a quadratic", edges=[*run.figures["edges"], early]) == "does not hold"
    none, all_but_first = [0.1] * len(BETAS), [0.1, *[0.9] * (len(BETAS) - 1)]
    both = {"velocity": all_but_first, "mean": all_but_first}
    assert run.verdict("Momentum escapes", escapes=both) == "holds"
    assert run.verdict("Momentum escapes", escapes=both | {"velocity": none}) == "does not hold"


def test_a_path_worked_by_hand():
    x, y = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[1.0], [2.0]])
    # From 0 the first sample alone has the gradient (−2, 0), then the second (0, −8).
    weights, losses = path(x, y, jnp.array([[0], [1]]), jnp.zeros((2, 1)), 0.1)
    np.testing.assert_allclose(weights, [[0.2, 0], [0.2, 0.8]], rtol=1e-6)
    np.testing.assert_allclose(losses, [(0.8**2 + 2**2) / 2, (0.8**2 + 0.4**2) / 2], rtol=1e-6)
    assert [each.shape for each in line(0, 5)] == [(5, 2), (5, 1)]


def test_single_gradients_add_up_to_the_full_one():
    params, x, y = network(1)
    params, x, y = jax.tree.map(lambda each: jnp.asarray(each, jnp.float32), (params, x, y))
    single = single_gradients(params, x, y)
    full = jax.grad(lambda params: NETWORK(params, {}, (x, y))[0])(params)
    assert single.shape == (256, 41)
    np.testing.assert_allclose(single.mean(0), flat(full), atol=1e-5)
    # One draw of one sample: the distance of its mean is the root of its variance.
    found = estimates(1, (1,), 1)
    assert found["counts"] == [1]
    assert found["variance"][0] > 0


def test_exponents_and_brackets_worked_by_hand():
    assert slope((1, 2, 4), [8.0, 2.0, 0.5]) == pytest.approx(-2)
    logs = np.full((3, len(SHARES)), -1.0)
    logs[0, 4:], logs[1] = 0.0, 1.0
    below, above = brackets(logs)
    np.testing.assert_array_equal(below, [SHARES[3], 0, SHARES[-1]])
    np.testing.assert_array_equal(above, [SHARES[4], SHARES[0], np.inf])


def test_the_well_and_escapes_worked_by_hand():
    minima = np.roots([1, 0, -1, 0.1])
    np.testing.assert_allclose(slope_of_well(minima), 0, atol=1e-12)
    assert np.sum(minima > 0.5) == np.sum(minima < -0.5) == 1
    # At w = 1 the slope is 0.1: a push of 20 leads to 1 − 0.1 · 20.1 = −1.01, and half as far with (1 − β) g, β = 0.5.
    noise, starts = np.array([[20.0, 0.0]]), np.ones(2)
    assert escapes((0.0, 0.5), noise, starts, 0.1) == {"velocity": [0.5, 0.5], "mean": [0.5, 0]}


def test_the_interval_of_a_share_worked_by_hand():
    # Of 4 draws, 2: ½ ± z √(1/16 + z²/64) / (1 + z²/4).
    low, high = wilson([0.5], 4)
    half = 1.959964 * np.sqrt(1 / 16 + 1.959964**2 / 64) / (1 + 1.959964**2 / 4)
    np.testing.assert_allclose([low, high], [[0.5 - half], [0.5 + half]])
    np.testing.assert_allclose(wilson([0.0, 1.0], 10), [[0, 0.7225], [0.2775, 1]], atol=1e-3)
