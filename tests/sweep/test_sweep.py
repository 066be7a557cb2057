"""Every run of a sweep is the run alone: side by side, mapped, in chunks, beside runs that diverge or stop early."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.comparing import close, same
from tests.sweep.swept import DATA, KEY, by_rate, check_alone, compiled, linear, runner
from tests.train.blobs import blobs, classifier

RUNNER, LINEAR = runner(metrics=[fnn.Accuracy()]), linear()


@pytest.mark.full
@pytest.mark.parametrize(
    ("method", "max_parallel", "layout"),
    [
        pytest.param("vmap", None, "6 runs side by side", marks=pytest.mark.full),
        ("vmap", 4, "6 runs in 2 chunks of 3 side by side"),
        pytest.param("vmap", 5, "6 runs in 2 chunks of 3 side by side", marks=pytest.mark.full),
        pytest.param("map", None, "6 runs one after the other", marks=pytest.mark.full),
        pytest.param("vmap", 1, "6 runs one after the other", marks=pytest.mark.full),
    ],
)
def test_every_run_is_the_run_alone(method, max_parallel, layout):
    held_out = blobs(20)
    result = fnn.sweep(
        RUNNER,
        KEY,
        DATA,
        validation=held_out,
        seeds=2,
        learning_rate=[0.01, 0.05, 0.1],
        method=method,
        max_parallel=max_parallel,
    )
    assert str(result.layout) == layout
    check_alone(result, RUNNER, DATA, validation=held_out)


@pytest.mark.full
@pytest.mark.parametrize("max_parallel", [2, 3])
def test_chunks_with_a_remainder_drop_what_fills_them(max_parallel):
    result = fnn.sweep(LINEAR, KEY, DATA, seeds=7, learning_rate=0.05, max_parallel=max_parallel)
    assert result.layout.places > 7
    assert all(leaf.shape[0] == 7 for leaf in jax.tree.leaves(result.results))
    check_alone(result, LINEAR, DATA)


USUAL = {
    "learning_rate": 0.01, "weight_decay": 0.01, "b1": 0.9, "b2": 0.99, "clip": 10.0,
    "decay": 1e-3, "lasso": 1e-4, "smoothing": 0.1, "dropout": 0.1, "scale": 1.0,
}  # fmt: skip
OTHER = {
    "learning_rate": 0.05, "weight_decay": 0.5, "b1": 0.5, "b2": 0.999, "clip": 0.05,
    "decay": 0.1, "lasso": 0.01, "smoothing": 0.3, "dropout": 0.5, "scale": 2.0,
}  # fmt: skip


def objective_of_everything(h):
    penalties = (fnn.L2(h["decay"]), fnn.L1(h["lasso"]))
    return fnn.Objective(
        classifier(h["dropout"], h["scale"]), fnn.CrossEntropy(label_smoothing=h["smoothing"]), penalties
    )


def optimizer_of_everything(h):
    adam = fnn.optim.adamw(h["learning_rate"], h["b1"], h["b2"], weight_decay=h["weight_decay"])
    return fnn.optim.chain(fnn.optim.clip_by_global_norm(h["clip"]), adam)


@pytest.fixture(scope="module")
def everything():
    """A run for the usual values, then one for each hyper-parameter with another; and what makes them."""
    train = runner(objective_of_everything, optimizer_of_everything)
    combinations = [USUAL, *(USUAL | {name: OTHER[name]} for name in USUAL)]
    return fnn.sweep(train, KEY, DATA, combinations=combinations), jax.jit(train)


@pytest.mark.full  # the quick proof: tests/train/test_run.py, by vmap; here, learning rates and the scales of a kernel
@pytest.mark.parametrize("place", range(len(USUAL)), ids=list(USUAL))
def test_anything_that_enters_computations_can_be_swept(everything, place):
    result, alone = everything
    one = alone(result.keys[1 + place], DATA, result.combination(1 + place))
    close(result.result(1 + place), one, rtol=1e-6, atol=1e-6)
    kernels = result.results.params["dense_0"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1 + place])


INITIALIZERS = (
    "HeNormal",
    "Normal",
    "TruncatedNormal",
    "Uniform",
    "Constant",
    "Orthogonal",
    "GlorotUniform",
    "LecunUniform",
)


@pytest.fixture(scope="module")
def initialised():
    """Runs of a model with a branch for every initialiser, for two scales; each is the run alone."""

    def objective(h):
        inits = {name: getattr(fnn.initializers, name)(h["scale"]) for name in INITIALIZERS}
        branches: dict[str, Any] = {name: fnn.Dense(3, kernel_init=init) for name, init in inits.items()}
        return fnn.Objective(fnn.Parallel(**branches), fnn.CrossEntropy())

    train = runner(objective, fnn.optim.sgd(0.1), epochs=1, batch_size=25)
    result = fnn.sweep(train, KEY, DATA, scale=[0.1, 1.0])
    check_alone(result, train, DATA)
    return result


@pytest.mark.full
@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_scale_of_every_initialiser_can_be_swept(initialised, name):
    assert not np.allclose(*initialised.results.params[name]["kernel"])


@pytest.mark.full
@pytest.mark.parametrize("method", ["vmap", pytest.param("map", marks=pytest.mark.full)])
def test_a_run_that_diverges_leaves_the_others_to_the_bit(method):
    data, options = (DATA[0], np.eye(3, dtype=np.float32)[DATA[1]]), {"seeds": 2, "method": method}
    objective = lambda h: fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError())  # noqa: E731
    train = runner(objective, by_rate, epochs=8, batch_size=25)
    with_it = fnn.sweep(train, KEY, data, learning_rate=[0.01, 1e6, 0.02], **options)
    without = fnn.sweep(train, KEY, data, learning_rate=[0.01, 0.03, 0.02], **options)
    assert np.isnan(with_it.results.history["loss"][2:4, -1]).all()
    for run in (0, 1, 4, 5):
        same(with_it.result(run), without.result(run))
    assert [row["diverged"] for row in with_it.table().rows] == [False, False, True, True, False, False]


@pytest.mark.full
def test_each_run_stops_by_itself_and_keeps_what_it_had():
    stopping = fnn.EarlyStopping(2, monitor="loss")
    train = runner(
        lambda h: fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError()),
        lambda h: fnn.optim.sgd(lambda step: jnp.where(step < h["steps"], 0.05, 1.0)),  # diverges from there on
        epochs=20,
        early_stopping=stopping,
    )
    data = DATA[0], np.eye(3, dtype=np.float32)[DATA[1]]
    result = fnn.sweep(train, KEY, data, steps=[8, 24, 1000], method="vmap")
    ran = np.asarray(result.results.epochs_run)
    assert ran[0] < ran[1] < ran[2]
    check_alone(result, train, data)
    for epochs, losses in zip(ran, np.asarray(result.results.history["loss"]), strict=True):
        assert np.isfinite(losses[:epochs]).all()
        assert np.isnan(losses[epochs:]).all()


@pytest.mark.full
def test_seeds_are_folded_into_the_key_and_the_same_for_every_combination():
    result = fnn.sweep(LINEAR, KEY, DATA, seeds=[5, 3], learning_rate=[0.01, 0.1])
    assert result.seeds.tolist() == [5, 3, 5, 3]
    assert result.hyperparams["learning_rate"].tolist() == [0.01, 0.01, 0.1, 0.1]
    for seed, key in zip(result.seeds, result.keys, strict=True):
        assert (key == jax.random.fold_in(KEY, int(seed))).all()


@pytest.mark.full
def test_seeds_may_be_keys_and_keys_of_the_old_kind_fold_too():
    keys = jax.random.split(jax.random.key(1), 4)
    result = fnn.sweep(LINEAR, KEY, DATA, seeds=keys, learning_rate=0.1)
    assert (result.keys == keys).all()
    old = fnn.sweep(LINEAR, jax.random.PRNGKey(7), DATA, seeds=2, learning_rate=[0.1, 0.2])
    new = fnn.sweep(LINEAR, KEY, DATA, seeds=2, learning_rate=[0.1, 0.2])
    close(old.results, new.results, rtol=1e-6, atol=1e-6)


def test_combinations_meet_every_point_of_the_grid():
    train = linear(lambda h: fnn.optim.sgd(h["learning_rate"], momentum=h["momentum"]))
    pairs = [{"learning_rate": 0.1, "momentum": 0.0}, {"momentum": 0.9, "learning_rate": 0.01}]
    result = fnn.sweep(train, KEY, DATA, combinations=pairs)
    assert [result.combination(run) for run in range(2)] == pairs
    result = fnn.sweep(train, KEY, DATA, combinations=[{"momentum": 0.9}], learning_rate=[0.1, 0.2])
    assert result.combination(1) == {"momentum": 0.9, "learning_rate": 0.2}


@pytest.mark.full
def test_a_sweep_over_seeds_alone_needs_no_hyperparameters():
    train = fnn.make_train(fnn.Objective(fnn.Dense(3), fnn.CrossEntropy()), fnn.optim.sgd(0.1), epochs=2, batch_size=25)
    result = fnn.sweep(train, KEY, DATA, seeds=2)
    close(result.result(1), jax.jit(train)(jax.random.fold_in(KEY, 1), DATA), rtol=1e-6, atol=1e-6)
    assert result.best().seed in (0, 1)


@pytest.mark.full
def test_a_run_under_jit_can_be_swept():
    jitted, plain = (fnn.sweep(train, KEY, DATA, learning_rate=[0.1, 0.2]) for train in (compiled(LINEAR), LINEAR))
    close(plain.results, jitted.results, rtol=1e-6, atol=1e-6)


@pytest.mark.full
def test_epochs_without_validation_are_no_divergence():
    train = linear(epochs=3, validate_every=2, metrics=[fnn.Accuracy()])
    result = fnn.sweep(train, KEY, DATA, validation=DATA, learning_rate=[0.01, 0.1])
    assert not any(row["diverged"] for row in result.table("validation_loss").rows)
    assert result.best("validation_loss").hyperparams == {"learning_rate": 0.1}


MEASURED = linear(metrics=[fnn.Accuracy(), fnn.Perplexity()])


@pytest.mark.full
@pytest.mark.parametrize(
    "wrapped",
    [
        pytest.param(lambda train: train, marks=pytest.mark.full),
        functools.partial,
        jax.jit,
        lambda train: lambda *args, **options: train(*args, **options),
        lambda train: functools.partial(jax.jit(train)),
    ],
    ids=["itself", "partial", "jit", "lambda", "partial of jit"],
)
def test_a_metric_says_itself_what_is_better_whatever_the_run_is_wrapped_in(wrapped):
    result = fnn.sweep(wrapped(MEASURED), KEY, DATA, validation=DATA, learning_rate=[0.001, 0.1])
    scores = np.asarray(result.results.history["validation_accuracy"])[:, -1]
    assert scores[0] < scores[1]
    assert result.best("validation_accuracy").run == 1
    assert result.table("accuracy").higher_is_better
    assert not result.table("validation_perplexity").higher_is_better
    assert result.best("perplexity").run == 1
    assert result.result(1).history.higher_is_better("accuracy")
