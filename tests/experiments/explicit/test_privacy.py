"""A quick run of private training: what it costs and hides, and that each rule can say no."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.explicit import privacy_training as training
from experiments.explicit.privacy import CLIPPED, LONG, PLAIN, named
from experiments.study import seeds_of

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def made(study, **changed):
    """Figures by which every claim holds, but for what is changed: (accuracy, told) by the kind of training."""
    shares = {PLAIN: (0.95, 0.58), LONG: (0.94, 0.99), CLIPPED: (0.949, 0.58)}
    shares |= {named(noise): (0.93 - 0.01 * place, 0.52) for place, noise in enumerate(study.noise)} | changed
    return {
        name: {
            "accuracy": [accuracy + 0.001 * seed for seed in range(study.seeds)],
            "told": [told + 0.001 * seed for seed in range(study.seeds)],
        }
        for name, (accuracy, told) in shares.items()
    }


def test_all_learn_and_only_long_training_tells_what_was_trained_on(run):
    found = run.figures["found"]
    assert all(np.mean(each["accuracy"]) > 0.75 for each in found.values())
    assert min(found[LONG]["told"]) > 0.9
    assert max(found[named(run.study.noise[-1])]["told"]) < 0.65
    assert np.mean(found[LONG]["loss"]) < np.mean(found[PLAIN]["loss"])
    assert run.figures["epsilon"] == sorted(run.figures["epsilon"], reverse=True)
    # 100 steps with a noise multiplier of 8, a fifth of the digits in each, as dp-accounting has it.
    np.testing.assert_allclose(run.figures["epsilon"][-1], 0.79, atol=0.01)


def test_every_rule_can_say_the_opposite(run):
    study, most = run.study, named(run.study.noise[-1])

    def verdict(claim, changed=None):
        return run.verdict(claim, found=made(study, **(changed or {})))

    for claim in ("Clipping alone", "Accuracy falls", "Long training", "hardly tells", "takes the noise"):
        assert verdict(claim) == "holds"
    assert verdict("Clipping alone", {CLIPPED: (0.93, 0.58)}) == "does not hold"
    assert verdict("Accuracy falls", {most: (0.95, 0.52)}) == "does not hold"
    assert verdict("Long training", {LONG: (0.94, 0.7)}) == "does not hold"
    assert verdict("hardly tells", {most: (0.92, 0.7)}) == "does not hold"
    assert verdict("takes the noise", {CLIPPED: (0.949, 0.52)}) == "does not hold"


def test_what_hides_only_at_a_small_epsilon_is_said_to(run):
    study = type(run.study).quickly(noise=(1.0, 8.0))
    found = made(study, **{named(1.0): (0.94, 0.8), named(8.0): (0.9, 0.51)})
    claims = study.claims({"found": found, "epsilon": [12.7, 0.79]})
    assert [each.verdict for each in claims if "hardly" in each.claim] == ["holds only when ε is at most 0.79"]
    # Accuracy must fall at every step: here it does not fall at the first.
    rising = made(study, **{named(1.0): (0.89, 0.5), named(8.0): (0.9, 0.5)})
    claims = study.claims({"found": rising, "epsilon": [12.7, 0.79]})
    assert [each.verdict for each in claims if "falls" in each.claim] == ["does not hold"]


def test_pairs_told_apart_worked_by_hand():
    assert training.told_apart([0.0, 0.1], [0.2, 0.3, 0.4]) == 1.0
    assert training.told_apart([0.5], [0.2, 0.3]) == 0.0
    assert training.told_apart([0.2, 0.4], [0.1, 0.3, 0.4]) == (2 + 0.5) / 6


def test_planted_labels_are_wrong_and_all_others_are_as_they_were():
    objective = training.network(4)
    images, labels = jnp.ones((30, 5)), jnp.arange(30) % 10
    found = training.problem(objective, jax.random.key(0), (images, labels), (images, labels), 8)
    changed = np.flatnonzero(np.asarray(found.labels != labels))
    assert changed.tolist() == sorted(np.asarray(found.planted).tolist())
    assert len(changed) == 8
    assert (np.asarray(found.others) != np.asarray(labels)).all()
    assert set(np.asarray(found.labels)) <= set(range(10))


def test_the_best_rate_is_chosen_as_said_and_training_starts_where_it_is_given():
    objective = training.network(4)
    part = jnp.eye(6, 5), jnp.arange(6)
    problems = jax.vmap(lambda key: training.problem(objective, key, part, part, 2))(seeds_of(0, 2))
    privacy = fnn.Privacy(1.0, 0.0, 1e-4)
    rates = jnp.array([0.0, 0.5])
    params = training.trained(objective, part[0], problems, rates, epochs=40, batch_size=3, privacy=privacy)
    still = jax.tree.map(lambda leaf: leaf[0], params)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), still, problems.params))
    judged = training.Judge(objective, part, part, part, problems)(params, by="loss")
    assert judged["rate"] == 1
    assert len(judged["accuracy"]) == len(judged["told"]) == 2
