"""Differentially private training: what a step releases, how batches are drawn, and the account of both."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

import fnn
from fnn.layer import named_key
from fnn.paths import map_named
from fnn.train.poisson import RARE, Drawn, poisson
from tests import compiled
from tests.comparing import close, same
from tests.train.stop_at import StopAt

pytestmark = pytest.mark.full

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.standard_normal((40, 4)), RANDOM.integers(0, 3, 40)
MODEL = fnn.Serial(fnn.Dense(5), fnn.LayerNorm(), fnn.Tanh(), fnn.Dense(3))
OBJECTIVE = fnn.Objective(MODEL, fnn.CrossEntropy())
PRIVACY = fnn.Privacy(0.7, noise_multiplier=1.3, delta=1e-3)
OPTIONS: dict[str, Any] = {"epochs": 3, "batch_size": 10, "privacy": PRIVACY}


# ---- one step


def expected_gradient(objective: Any, params: Any, batch: tuple, noise_key: Any) -> Any:
    """Every example's gradient by ``jax.grad``, clipped one by one, summed, with the noise of the same key."""
    bare = dataclasses.replace(objective, penalties=())

    def of_one(x: Any, y: Any, w: Any) -> Any:
        g = jax.grad(bare, has_aux=True)(params, {}, (x[None], y[None]), train=True)[0]
        norm = jnp.sqrt(sum(jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(g)))
        return jax.tree.map(lambda leaf: jnp.where(w > 0, leaf * jnp.minimum(1, 0.7 / norm), 0), g)

    total = jax.tree.map(lambda leaf: leaf.sum(0), jax.vmap(of_one)(*batch))

    def released(path: str, leaf: Any) -> Any:
        return (leaf + 1.3 * 0.7 * jax.random.normal(named_key(noise_key, path), leaf.shape, leaf.dtype)) / 10

    penalties = jax.grad(lambda p: sum(penalty(p) for penalty in objective.penalties))(params)
    return jax.tree.map(jnp.add, map_named(released, total), penalties)


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.parametrize("micro_batch", [None, 4, 5, 100])
def test_a_step_releases_the_noisy_mean_of_clipped_gradients(micro_batch: int | None):
    objective = fnn.Objective(MODEL, fnn.CrossEntropy(), (fnn.L2(0.3),))
    params, state = compiled.start(objective, KEY, X)
    weights = np.r_[np.ones(9), 0.5, np.zeros(3)]
    batch = X[:13] * 3, Y[:13], weights
    privacy = dataclasses.replace(PRIVACY, micro_batch=micro_batch)

    def found(params: Any, batch: Any) -> Any:
        return privacy.gradients(objective, params, state, batch, expected=10, key=KEY, noise_key=jax.random.key(3))

    @jax.jit
    def expected(params: Any, batch: Any) -> Any:
        grads = expected_gradient(objective, params, batch, jax.random.key(3))
        norms = fnn.per_example_norms(objective, params, state, batch).norms
        return grads, objective(params, state, batch, train=True), norms

    (value, aux), grads = jax.jit(found)(params, batch)
    other_grads, (exact, other), norms = expected(params, batch)
    close(grads, other_grads)
    close(value, exact)
    close(aux.outputs, other.outputs)
    assert (norms > 0.7).any()


@pytest.mark.usefixtures("strict_numerics")
def test_what_pads_a_batch_changes_nothing():
    params, state = compiled.start(OBJECTIVE, KEY, X)
    weights = np.r_[np.ones(6), np.zeros(4)]
    other = np.where(weights[:, None] > 0, X[:10], 100 * X[20:30])

    @jax.jit
    def grads(x: Any) -> Any:
        given = x, Y[:10], weights
        return PRIVACY.gradients(OBJECTIVE, params, state, given, expected=6, key=KEY, noise_key=KEY)[1]

    close(grads(X[:10]), grads(other))


def test_the_noise_has_its_size_and_is_drawn_anew_in_every_step():
    model = fnn.Serial(fnn.Dense(40), fnn.Dense(3))
    objective = fnn.Objective(model, fnn.CrossEntropy())
    params, state = compiled.start(objective, KEY, X)
    nothing = X[:2], Y[:2], np.zeros(2)

    @jax.jit
    def grads(key: Any) -> Any:
        found = PRIVACY.gradients(objective, params, state, nothing, expected=10, key=KEY, noise_key=key)[1]
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(found)])

    draws = np.stack([grads(jax.random.key(seed)) for seed in range(20)]) * 10 / (1.3 * 0.7)
    count = draws.size
    assert abs(draws.mean()) < 4 / math.sqrt(count)
    assert abs(draws.var() - 1) < 4 * math.sqrt(2 / count)
    assert abs(np.corrcoef(draws[0], draws[1])[0, 1]) < 4 / math.sqrt(draws.shape[1])


# ---- how batches are drawn


def test_every_sample_enters_a_batch_by_itself_with_the_same_probability():
    sampling, steps = poisson(40, 10, 1e-3), 2000
    given = np.arange(1.0, 41.0)
    drawn = Drawn((jnp.arange(40), jnp.arange(40)), KEY, 0, sampling)
    weighed = Drawn((jnp.arange(40), jnp.arange(40), jnp.asarray(given)), KEY, 0, sampling)
    places, targets, used = jax.lax.map(drawn.of, jnp.arange(steps))
    same(places, targets)
    taken = np.zeros((steps, 40), bool)
    for step in range(steps):
        inside = np.asarray(places[step])[np.asarray(used[step]) > 0]
        assert len(set(inside)) == len(inside)
        taken[step, inside] = True
    rates = taken.mean(0)
    assert np.all(np.abs(rates - 0.25) < 5 * math.sqrt(0.25 * 0.75 / steps))
    correlation = np.corrcoef(taken[:, 0], taken[:, 1])[0, 1]
    assert abs(correlation) < 5 / math.sqrt(steps)
    x, _, w = weighed.of(7)
    same(w, np.where(np.asarray(used[7]) > 0, given[np.asarray(x)], 0).astype(np.float32))


@pytest.mark.parametrize(("samples", "expected", "delta"), [(60_000, 256, 1e-5), (1797, 128, 1e-4), (50, 49, 1e-3)])
def test_a_draw_that_finds_no_room_is_rare_beside_delta(samples: int, expected: int, delta: float):
    sampling = poisson(samples, expected, delta)
    assert expected <= sampling.room <= samples
    assert binom.sf(sampling.room, samples, sampling.rate) <= 1.01 * RARE * delta
    assert sampling.room < expected + 10 * math.sqrt(expected)
    assert 0 <= sampling.rate - expected / samples <= 2**-23
    assert sampling.rate * 2**23 == round(sampling.rate * 2**23)
    assert sampling.plan.count == round(samples / expected)


def test_a_draw_that_finds_no_room_drops_its_last_samples():
    small = dataclasses.replace(poisson(40, 10, 1e-3), room=3)
    full = poisson(40, 10, 1e-3)
    data = jnp.arange(40), jnp.arange(40)
    few, _, used = Drawn(data, KEY, 0, small).of(0)
    all_of_them, _, _ = Drawn(data, KEY, 0, full).of(0)
    assert used.tolist() == [1, 1, 1]
    same(few, all_of_them[:3])


def test_a_batch_has_at_most_all_samples():
    with pytest.raises(ValueError, match="an expected number of samples, at most the 40 there are, got 41"):
        poisson(40, 41, 1e-3)


# ---- runs


def test_fit_and_make_train_are_the_same_run_and_learn():
    validation = X[:20], (X[:20, 0] > 0).astype(int)
    data = X, (X[:, 0] > 0).astype(int)
    options = {**OPTIONS, "metrics": (fnn.Accuracy(),), "epochs": 8, "privacy": fnn.Privacy(1.0, 0.3, 1e-3)}
    train = fnn.make_train(OBJECTIVE, fnn.optim.adam(0.05), **options)
    one = jax.jit(train)(KEY, data, validation=validation)
    other = fnn.fit(OBJECTIVE, fnn.optim.adam(0.05), data, validation=validation, key=KEY, progress=False, **options)
    close(one.params, other.params, rtol=1e-5, atol=1e-6)
    close(dict(one.history), dict(other.history), rtol=1e-5)
    assert list(other.history)[-1] == "epsilon"
    assert other.history["loss"][-1] < 0.7 * other.history["loss"][0]


def test_a_resumed_run_draws_the_same_batches_and_noise(tmp_path: Any):
    def run(**more: Any) -> Any:
        return fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y), key=KEY, progress=False, **OPTIONS, **more)

    whole = run()
    run(checkpoint=tmp_path, callbacks=[StopAt(6)])
    resumed = run(checkpoint=tmp_path, resume=True)
    same(resumed.params, whole.params)
    same(dict(resumed.history), dict(whole.history))
    more = {"checkpoint": tmp_path, "resume": True, "privacy": dataclasses.replace(PRIVACY, noise_multiplier=2.0)}
    options = {**OPTIONS, **more}
    with pytest.raises(ValueError, match=r"privacy: Privacy\(max_norm=0.7, noise_multiplier=1.3.*, now .*=2.0"):
        fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y), key=KEY, progress=False, **options)


@pytest.mark.parametrize(
    "optimizer",
    [fnn.optim.accumulate(fnn.optim.sgd(0.1), 2), fnn.optim.chain(fnn.optim.sgd(0.1), fnn.optim.ema(0.9))],
)
def test_other_parts_of_training_go_with_it(optimizer: Any):
    found = fnn.fit(OBJECTIVE, optimizer, (X, Y), key=KEY, progress=False, **OPTIONS)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found.params))


def test_a_loss_with_a_head_of_its_own_is_private_too():
    objective = fnn.Objective(fnn.Dense(5), fnn.LinearCrossEntropy(3, chunk=2))
    options = {**OPTIONS, "metrics": (fnn.Accuracy(),)}
    found = fnn.fit(objective, fnn.optim.sgd(0.1), (X, Y), key=KEY, progress=False, **options)
    plain = fnn.Objective(fnn.Serial(fnn.Dense(5), loss=fnn.Dense(3, use_bias=False)), fnn.CrossEntropy())
    params, state = objective.init(named_key(KEY, "init"), X)
    other = fnn.fit(plain, fnn.optim.sgd(0.1), (X, Y), key=KEY, params=params, state=state, progress=False, **options)
    close(found.params, other.params, rtol=1e-5, atol=1e-6)
    close(found.history["accuracy"], other.history["accuracy"])


def test_frozen_layers_stay():
    objective = fnn.Objective(fnn.Serial(body=fnn.Frozen(fnn.Dense(5)), head=fnn.Dense(3)), fnn.CrossEntropy())
    params, state = compiled.start(objective, KEY, X)
    after = fnn.fit(
        objective, fnn.optim.sgd(0.1), (X, Y), key=KEY, params=params, state=state, progress=False, **OPTIONS
    ).params
    same(after["body"], params["body"])
    assert not np.allclose(after["head"]["kernel"], params["head"]["kernel"])


# ---- the account


def test_epsilon_is_that_of_the_library():
    accounting = pytest.importorskip("dp_accounting", reason="the account needs dp-accounting")
    event = accounting.PoissonSampledDpEvent(poisson(6000, 256, 1e-5).rate, accounting.GaussianDpEvent(1.1))
    exact, loose = accounting.pld.PLDAccountant(), accounting.rdp.RdpAccountant()
    for each in (exact, loose):
        each.compose(accounting.SelfComposedDpEvent(event, 230))
    found = fnn.Privacy(5.0, 1.1, 1e-5).epsilon(samples=6000, batch_size=256, steps=230)
    assert exact.get_epsilon(1e-5) <= found < 1.0001 * exact.get_epsilon(1e-5)
    assert found < loose.get_epsilon(1e-5)
    assert fnn.Privacy(5.0, 0.0, 1e-5).epsilon(samples=6000, batch_size=256, steps=1) == math.inf


def test_the_history_counts_every_step():
    pytest.importorskip("dp_accounting", reason="the account needs dp-accounting")
    train = fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **{**OPTIONS, "epochs": None, "steps": 10})
    found = train(KEY, (X, Y)).history["epsilon"]
    expected = [PRIVACY.epsilon(samples=40, batch_size=10, steps=steps) for steps in (4, 8, 10)]
    close(found, np.asarray(expected, np.float32))


# ---- what is refused


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"method": "auto"}, "in the backward pass by hand; leave out method="),
        ({"shuffle": False}, "draws its batches at random; leave out shuffle=False"),
        ({"augment": fnn.augment.Mixup(0.3)}, "holds for single samples, and the augmentation mixes them"),
        (
            {"early_stopping": fnn.EarlyStopping(2, monitor="loss")},
            "early stopping by 'loss' would choose by what the training data say without noise",
        ),
    ],
)
def test_settings_that_privacy_does_not_cover_are_refused(more: dict[str, Any], message: str):
    options = {**OPTIONS, **more}
    with pytest.raises(ValueError, match=message):
        fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y), key=KEY, progress=False, **options)
    with pytest.raises(ValueError, match=message):
        fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **options)


def test_only_a_privacy_is_one():
    with pytest.raises(TypeError, match=r"privacy is a Privacy\(max_norm, noise_multiplier, delta\), got 1.0"):
        fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **{**OPTIONS, "privacy": 1.0})


@pytest.mark.parametrize("data", [[(X, Y)], iter([(X, Y)])], ids=["a list of batches", "an iterator"])
def test_batches_that_others_drew_are_refused(data: Any):
    with pytest.raises(ValueError, match="privacy draws every sample by itself: give arrays"):
        fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), data, key=KEY, progress=False, **OPTIONS)


@pytest.mark.parametrize(
    "optimizer", [fnn.optim.lbfgs(), fnn.optim.chain(fnn.optim.sgd(0.1), fnn.optim.reduce_on_plateau())]
)
def test_an_optimiser_that_reads_the_loss_gets_none(optimizer: Any):
    with pytest.raises((ValueError, TypeError), match="value"):
        fnn.fit(OBJECTIVE, optimizer, (X, Y), key=KEY, progress=False, **OPTIONS)


def test_a_layer_that_mixes_samples_is_named():
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Dense(3)), fnn.CrossEntropy())
    with pytest.raises(ValueError, match=r"in batch_norm_0: BatchNorm\(.*takes statistics over the batch"):
        fnn.make_train(objective, fnn.optim.sgd(0.1), **OPTIONS)(KEY, (X, Y))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0.0, 1.0, 1e-5), ValueError, "max_norm is above 0, got 0.0"),
        ((1.0, -1.0, 1e-5), ValueError, "noise_multiplier is at least 0, got -1.0"),
        ((1.0, math.inf, 1e-5), ValueError, "noise_multiplier is at least 0, got inf"),
        ((1.0, 1.0, 1.0), ValueError, "delta is a number in .0, 1., got 1.0"),
        ((jnp.ones(()), 1.0, 1e-5), TypeError, "max_norm is a number, which the account of the privacy needs"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: tuple, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        fnn.Privacy(*arguments)
