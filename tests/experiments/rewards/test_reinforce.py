"""A quick run on cart-pole: the policy learns, the physics are those worked by hand, and each rule can say no."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.rewards.cart_pole import FARTHEST, LONGEST, STEEPEST, accelerations, fallen, moved, starts
from experiments.rewards.reinforce import WAYS, CartPole
from experiments.rewards.reinforce_plots import middle_of
from experiments.rewards.reinforce_scores import best, chance, lowest, needed, ratio, saved
from experiments.rewards.reinforce_training import GROUPS, episodes, grouped, policy, seen, start, to_go, values

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def test_it_learns_to_balance_the_pole(run):
    returns, steps = np.array(run.figures["returns"]), np.array(run.figures["steps"])
    assert returns.shape == steps.shape == (len(WAYS), run.study.seeds, run.study.updates)
    assert returns[..., 0].max() < 40
    assert returns.max(-1).min() > 300
    # A critic of zeros is no baseline yet, so the first two policies of both ways are the same.
    np.testing.assert_array_equal(returns[0, :, :2], returns[1, :, :2])
    assert not np.array_equal(returns[0, :, 2:], returns[1, :, 2:])
    np.testing.assert_allclose(np.diff(steps), run.study.environments * returns[..., 1:], atol=1)
    before, after = (np.array(run.figures["episodes"][when]) for when in ("before", "after"))
    assert len(before) < len(after) <= LONGEST
    np.testing.assert_array_equal(before[0], after[0])


def test_the_critic_lowers_the_variance(run):
    ratios = saved(run.figures["variances"])
    assert ratios.shape == (run.study.seeds, len(run.study.after))
    assert np.median(ratios[:, -1]) > 2


def test_every_rule_can_say_the_opposite(run):
    def returns(*ways: Sequence[float]) -> dict:
        found = np.array([[way] * 5 for way in ways])
        return {"returns": found.tolist(), "steps": (100 * found.cumsum(-1)).tolist()}

    fast, slow, never = [100, 500, 500, 450], [100, 200, 500, 450], [100, 200, 300, 400]
    lost = [100, 500, 399, 500]
    assert run.verdict("reaches a mean return", **returns(slow, fast)) == "holds"
    assert run.verdict("reaches a mean return", **returns(never, fast)) == "holds only when there is a critic"
    assert run.verdict("reaches a mean return", **returns(fast, never)) == "does not hold"
    assert run.verdict("stays there", **returns(slow, fast)) == "holds"
    assert run.verdict("stays there", **returns(lost, fast)) == "holds only when there is a critic"
    assert run.verdict("stays there", **returns(never, fast)) == "holds only when there is a critic"
    assert run.verdict("stays there", **returns(fast, lost)) == "does not hold"
    assert run.verdict("fewer steps", **returns(slow, fast)) == "holds"
    assert run.verdict("fewer steps", **returns(fast, slow)) == "does not hold"
    assert run.verdict("fewer steps", **returns(never, never)) == "does not hold"
    # Sooner in three of five seeds is as good as chance.
    mixed = returns(slow, fast)
    for part in mixed.values():
        for seed in (0, 1):
            part[0][seed], part[1][seed] = part[1][seed], part[0][seed]
    assert run.verdict("fewer steps", **mixed) == "does not hold"
    lower, higher = [1.0, 2.0], [2.0, 1.0]
    assert run.verdict("lowers the variance", after=[0, 5, 9], variances=[[higher, lower, lower]] * 2) == "holds"
    late = run.verdict(
        "lowers the variance", after=[0, 5, 9], variances=[[higher, lower, lower], [lower, higher, lower]]
    )
    assert late == "holds only when it has learned for 9 updates"
    assert run.verdict("lowers the variance", after=[0, 5], variances=[[lower, higher]] * 2) == "does not hold"


@pytest.mark.usefixtures("float64")
def test_the_physics_worked_by_hand():
    # At rest and upright, pushed right: 4/3 − 1/11 = 41/33, q = 100/11, so θ″ = −600/41 and x″ = 400/41.
    np.testing.assert_allclose(accelerations((0.0, 0.0, 0.0, 0.0), 10.0), (400 / 41, -600 / 41), rtol=1e-14)
    np.testing.assert_allclose(moved((0.0, 0.0, 0.0, 0.0), True), (0, 8 / 41, 0, -12 / 41), rtol=1e-14)
    # Positions move with the velocities from before the step.
    found = moved((1.0, 2.0, 0.0, 3.0), False)
    np.testing.assert_allclose(found, (1.04, 2 - 8 / 41, 0.06, 3 + 12 / 41), rtol=1e-14)
    # A horizontal pole that turns at 2/s: q = (10 + 0.05 · 4) / 1.1 is x″, and θ″ = 9.8 / (½ · 4/3).
    np.testing.assert_allclose(accelerations((0.0, 0.0, math.pi / 2, 2.0), 10.0), (10.2 / 1.1, 14.7), rtol=1e-14)
    # At 60° without a force: q = 0.05 · 4 · sin 60° / 1.1 for 2/s, and 4/3 − 0.1 · ¼ / 1.1 = 4/3 − 1/44.
    q, sine = 0.2 * math.sqrt(0.75) / 1.1, math.sqrt(0.75)
    angular = (9.8 * sine - q / 2) / (0.5 * (4 / 3 - 1 / 44))
    np.testing.assert_allclose(
        accelerations((0.0, 0.0, math.pi / 3, 2.0), 0.0), (q - 0.05 * angular / 2 / 1.1, angular), rtol=1e-14
    )
    # Left and right are mirror images.
    np.testing.assert_allclose(moved((-0.1, 0.3, 0.1, -0.2), False), -np.array(moved((0.1, -0.3, -0.1, 0.2), True)))


def test_where_an_episode_ends():
    states = [(FARTHEST, 9.0, 0.0, 9.0), (-2.41, 0.0, 0.0, 0.0), (0.0, 0.0, STEEPEST, 0.0), (0.0, 0.0, -0.21, 0.0)]
    assert [bool(fallen(state)) for state in states] == [False, True, False, True]
    assert math.isclose(STEEPEST, 12 * math.pi / 180)
    first = starts(np.random.default_rng(0), 1000, 2)
    assert first.shape == (1000, 2, 4)
    assert np.abs(first).max() <= 0.05
    np.testing.assert_allclose([first.mean(), first.std()], [0, 0.1 / math.sqrt(12)], atol=1e-3)


@pytest.mark.usefixtures("float64")
def test_episodes_that_always_push_to_the_right():
    params, _ = policy.init(jax.random.key(0), jnp.zeros((1, 4)))
    params["dense_1"] = {"kernel": jnp.zeros((32, 1)), "bias": jnp.full(1, 50.0)}
    first = jnp.array([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.2, 1.0]])
    states, right, running = episodes(params, first, jnp.full((20, 2), 0.999))
    assert right.all()
    state, steps = tuple(first[0]), 0
    while not fallen(state):
        np.testing.assert_allclose(states[steps, 0], state, atol=1e-12)
        state, steps = moved(state, True), steps + 1
    # The step that ends the episode counts, those after it do not.
    assert running.sum(0).tolist() == [steps, 1]
    assert running[:steps, 0].all()
    np.testing.assert_allclose(to_go(running)[:, 0], np.maximum(steps - np.arange(20), 0) / LONGEST)


def test_what_the_critic_sees_and_expects():
    (_, judging), first, chances = start(0, updates=2, environments=3)
    assert first.shape == (2, 3, 4)
    assert chances.shape == (2, LONGEST, 3)
    states = jnp.ones((5, 3, 4))
    found = seen(states)
    np.testing.assert_array_equal(found[..., :4], states)
    np.testing.assert_allclose(found[:, 1, 4], np.arange(5) / LONGEST)
    np.testing.assert_array_equal(values(judging, states), np.zeros((5, 3)))
    # Of ten environments in five groups, the third group has the fifth and the sixth.
    groups = grouped(jnp.arange(20).reshape(2, 10))
    assert groups.shape == (GROUPS, 2, 2)
    assert groups[2].tolist() == [[4, 5], [14, 15]]


def test_numbers_worked_by_hand():
    returns, steps = np.array([[9.0, 475.0, 300.0], [9.0, 9.0, 474.0]]), np.array([[1.0, 5.0, 8.0], [1.0, 2.0, 7.0]])
    assert needed(returns, steps).tolist() == [5, np.inf]
    assert lowest(returns, needed(returns, steps)).tolist() == [300, 0]
    used = np.array([[[1.0, np.inf], [5.0, 6.0]], [[np.inf, 1.0], [1.0, np.inf]]])
    assert best(used, np.array([[[500.0, 9.0], [1.0, 1.0]], [[9.0, 9.0], [9.0, 10.0]]])).tolist() == [1, 1]
    assert saved([[[2.0, 3.0], [0.0, 0.0], [0.0, 2.0]]]).tolist() == [[1.5, 1, np.inf]]
    assert ratio(np.array([2.0, np.inf, 4.0, np.inf]), np.array([1.0, 3.0, np.inf, np.inf])).tolist() == [
        2,
        np.inf,
        0,
        1,
    ]
    assert [chance(heads, 2) for heads in (0, 1, 2)] == [1, 0.75, 0.25]
    places, middle = middle_of([[0.0, 10.0], [10.0, 20.0]], [[0.0, 10.0], [0.0, 20.0]])
    assert (places[0], places[-1]) == (0, 10)
    assert (middle[0], middle[-1]) == (5, 12.5)


def test_options_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="shared among 4 rates; 6 leaves a rest"):
        CartPole(seeds=6)
    with pytest.raises(ValueError, match="there are 10 updates, so none after 39"):
        CartPole(updates=10)
