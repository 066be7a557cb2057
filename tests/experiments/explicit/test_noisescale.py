"""A quick run of the batch sizes: what they cost, and that each rule can say no."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.explicit import noisescale_training as training
from experiments.explicit.noisescale import TARGETS, NoiseScale
from experiments.study import seeds_of

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def made(study, *, critical=12.0, scale=12.0, end=12.0, grown=2.0):
    """Figures on exact hyperbolas, with these batch sizes to the first loss, and ``grown`` times them to the second."""
    reached = {}
    for factor, target in zip((1.0, grown), TARGETS, strict=True):
        steps = [100 * (1 + factor * critical / batch) for batch in study.batches]
        rows = len(study.batches), study.seeds
        each = {"scale": np.full(rows, factor * scale), "end": np.full(rows, factor * end)}
        reached[str(target)] = {name: values.tolist() for name, values in each.items()}
        reached[str(target)]["steps"] = [[count] * study.seeds for count in steps]
    return reached


def test_larger_batches_take_fewer_steps_and_more_examples(run):
    for each in run.figures["reached"].values():
        steps = np.array(each["steps"]).mean(1)
        assert (np.diff(steps[[0, 1, -1]]) < 0).all()
        assert (np.diff(steps * run.study.batches) > 0).all()
        assert each["rate"][0] < each["rate"][-1]
        assert (np.array(each["scale"]) > 1).all()
    high, low = run.figures["reached"].values()
    assert (np.array(low["steps"]) > np.array(high["steps"])).all()


def test_every_rule_can_say_the_opposite(run):
    study = run.study
    claims = ("Doubling a small", "Doubling a large", "on a hyperbola", "scale of a run", "grow as the", "one point")
    assert all(run.verdict(claim, reached=made(study)) == "holds" for claim in claims)
    assert run.verdict("Doubling a small", reached=made(study, critical=2.0)) == "does not hold"
    assert run.verdict("Doubling a large", reached=made(study, critical=300.0)) == "does not hold"
    assert run.verdict("scale of a run", reached=made(study, scale=100.0)) == "does not hold"
    assert run.verdict("scale of a run", reached=made(study, scale=3.0)) == "does not hold"
    assert run.verdict("one point", reached=made(study, end=100.0)) == "does not hold"
    assert run.verdict("grow as the", reached=made(study, grown=0.9)) == "does not hold"
    bent = made(study)
    bent["0.1"]["steps"][1] = [2 * count for count in bent["0.1"]["steps"][1]]
    assert run.verdict("on a hyperbola", reached=bent) == "does not hold"


def test_steps_between_points_worked_by_hand():
    losses = np.array([[2.0, 1.0, 0.25, 0.3], [2.0, np.nan, 2.0, 2.0], [0.1, 0.2, 0.1, 0.1], [0.5, np.inf, 0.25, 0.3]])
    # Half of the way down from 1 to 0.25, in logarithms; never; at once; and from a point that is not finite.
    np.testing.assert_allclose(training.steps_to(losses[:3], 0.5, 10), [25.0, np.inf, 10.0])
    np.testing.assert_allclose(training.steps_to(losses[3], 0.3, 10), 30.0)


def test_the_fit_finds_a_hyperbola_and_its_examples():
    batches = np.array([4, 16, 64, 256])
    least, critical = training.fitted(batches, 50 * (1 + 20 / batches))
    steps = 50 * (1 + 20 / batches)
    np.testing.assert_allclose((steps / least - 1) * (steps * batches / (critical * least) - 1), 1, rtol=1e-3)


def test_runs_are_plain_descent_and_their_noise_is_that_of_the_library():
    objective = fnn.Objective(fnn.Dense(2), fnn.MeanSquaredError())
    digits = jnp.linspace(-1, 1, 12).reshape(6, 2), jnp.linspace(0, 1, 12).reshape(6, 2) ** 2
    keys = seeds_of(0, 2)
    params = jax.vmap(lambda key: objective.init(key, digits[0])[0])(keys)
    losses, on_the_way = training.descents(objective, 3, digits, (keys, params), jnp.array([0.0, 0.1]), (4, 5))
    assert losses.shape == (2, 2, 4)
    first = jax.vmap(lambda each: objective(each, {}, digits)[0])(params)
    np.testing.assert_allclose(losses[0], np.repeat(np.asarray(first)[:, None], 4, 1), rtol=1e-6)
    assert (losses[1, :, -1] < losses[0, :, -1]).all()
    noise = training.noise_of(objective, digits)(jax.tree.map(lambda leaf: leaf[1], on_the_way))
    last = jax.tree.map(lambda leaf: leaf[1, 0, -1], on_the_way)
    found = fnn.gradient_noise_scale(objective, last, {}, digits)
    np.testing.assert_allclose(noise[:, 0, -1], [found.signal, found.noise], rtol=1e-4)


def test_a_loss_that_no_rate_reaches_is_an_error():
    with pytest.raises(ValueError, match=r"batches of 4 no rate brings every seed to a loss of 0\.3 within 1980 steps"):
        NoiseScale(seeds=1, batches=(4, 8), points=1, octaves=4.0, width=2).measure()
