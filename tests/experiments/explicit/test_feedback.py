"""A quick run without backpropagation: what it learns, and that each rule can say no."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.explicit import feedback_training as training
from experiments.explicit.feedback import turned
from experiments.explicit.feedback_training import BACKPROPAGATION, FIXED, RULES, WAYS

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_all_ways_start_alike_and_all_that_change_hidden_layers_learn_more(run):
    accuracy = {way: np.array(run.figures["history"][way]) for way in WAYS}
    assert all((each[:, 0] == accuracy[FIXED][:, 0]).all() for each in accuracy.values())
    assert all(
        each[:, -1].mean() > accuracy[FIXED][:, -1].mean() > 0.5 for way, each in accuracy.items() if way != FIXED
    )


def test_angles_fall_and_the_signs_begin_closer_than_random_matrices(run):
    angles = {rule: np.array(each).mean(1) for rule, each in run.figures["angles"].items()}
    assert all((each[:, -1] < each[:, 0]).all() and (each[:, -1] < 90).all() for each in angles.values())
    assert (angles["sign symmetry"][:, 0] < angles["feedback alignment"][:, 0] - 10).all()


def test_every_rule_can_say_the_opposite(run):
    history, angles = run.figures["history"], run.figures["angles"]
    near = [[0.1, 0.97 + 0.001 * seed] for seed in range(run.study.seeds)]
    far = [[0.1, 0.90 + 0.001 * seed] for seed in range(run.study.seeds)]
    learned = dict.fromkeys(WAYS, near) | {FIXED: far}
    assert run.verdict("Hidden layers learn", history=learned) == "holds"
    assert run.verdict("Hidden layers learn", history=learned | {FIXED: near}) == "does not hold"
    one = run.verdict("Hidden layers learn", history=learned | dict.fromkeys(list(RULES)[1:], far))
    assert one == "holds only when the rule is feedback alignment"
    falling = [[[90.0 + seed, 50.0 + seed] for seed in range(run.study.seeds)]] * run.study.layers
    rising = [*falling[:-1], [[seed[1], seed[0] - 5] for seed in falling[0]]]
    both = angles | {"feedback alignment": falling, "direct feedback alignment": falling}
    assert run.verdict("turns towards", angles=both) == "holds"
    assert run.verdict("turns towards", angles=both | {"feedback alignment": rising}).startswith("holds only when")
    for rule in RULES:
        claim = f"{rule.capitalize()} is as accurate"
        assert run.verdict(claim, history=history | {rule: near, BACKPROPAGATION: near}) == "holds"
        assert run.verdict(claim, history=history | {rule: far, BACKPROPAGATION: near}) == "does not hold"


def test_an_interval_that_reaches_past_the_limit_does_not_count():
    assert turned(np.array([[88.0, 60.0], [92.0, 62.0], [90.0, 61.0]]))
    assert not turned(np.array([[88.0, 60.0], [92.0, 95.0], [90.0, 61.0]]))
    assert not turned(np.array([[120.0, 95.0], [121.0, 96.0], [122.0, 97.0]]))  # closer, but beyond a right angle


def test_angles_worked_by_hand_and_those_of_the_rules():
    one = {"bias": jnp.array([3.0]), "kernel": jnp.array([[0.0, 4.0]])}
    for other, expected in (([3.0, 0.0, 4.0], 0), ([4.0, 7.0, -3.0], 90), ([-6.0, 0.0, -8.0], 180)):
        tree = {"bias": jnp.array(other[:1]), "kernel": jnp.array([other[1:]])}
        np.testing.assert_allclose(training.angle(one, tree), expected, atol=0.05)
    plain = training.network(8, 2)
    x, labels = jnp.ones((4, 5)) * jnp.arange(4.0)[:, None], jnp.arange(4)
    params, _ = plain.init(jax.random.key(0), x)
    exact = plain.value_and_grad(params, {}, (x, labels))[1]
    for way in WAYS:
        found = training.ruled(plain, way, 2, 3).value_and_grad(params, {}, (x, labels))[1]
        below = float(training.angle(found["dense_0"], exact["dense_0"]))
        assert float(training.angle(found["head"], exact["head"])) < 0.1
        assert below > 5 if way in RULES else below < 0.1


def test_fixed_layers_stay_and_a_traced_seed_draws_the_same_matrices():
    optimizer = training.optimizer(FIXED, 0.5)
    params = {name: {"bias": jnp.ones(2)} for name in ("dense_0", "head")}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    moved = fnn.optim.apply_updates(params, updates)
    assert [float(moved[name]["bias"][0]) for name in ("dense_0", "head")] == [1.0, 0.5]
    plain, batch = training.network(8, 2), (jnp.ones((4, 5)), jnp.arange(4))
    params, _ = plain.init(jax.random.key(0), batch[0])

    def gradient(seed):
        objective = dataclasses.replace(training.ruled(plain, "feedback alignment", 2, seed))
        return objective.value_and_grad(params, {}, batch)[1]["dense_0"]["kernel"]

    np.testing.assert_allclose(jax.jit(gradient)(7), gradient(7), rtol=1e-5, atol=1e-7)
    assert not np.allclose(gradient(7), gradient(8), rtol=0.1)
