"""A whole run is one pure function: it compiles once, maps over seeds, and counts every sample."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn.metrics import Metric
from fnn.train.step import Training
from tests.comparing import close, same
from tests.train.blobs import blobs, classifier

SEEDS = jax.vmap(jax.random.key)(jnp.arange(3))


OBJECTIVE = fnn.Objective(classifier(), fnn.CrossEntropy())
ADAM = fnn.optim.adam(1e-2)


def run(**options):
    options = {"epochs": 4, "batch_size": 16, "metrics": (fnn.Accuracy(),)} | options
    return fnn.make_train(options.pop("objective", OBJECTIVE), options.pop("optimizer", ADAM), **options)


@functools.cache
def trained(**options):
    """The compiled run; of the same options, the same."""
    return jax.jit(run(**options))


@dataclasses.dataclass(frozen=True)
class Seen(Metric):
    """The sums of the targets and of their squares: which samples an epoch saw."""

    name = "seen"

    def update(self, outputs, targets, weights=None):
        return jnp.stack([targets.sum(), (targets**2).sum()])

    def value(self, sums):
        return sums[0] + 1e6 * sums[1]


def test_training_learns_and_reports_every_epoch():
    result = jax.jit(run(epochs=15))(jax.random.key(0), blobs(), validation=blobs(30))
    assert int(result.epochs_run) == 15
    assert set(result.history) == {"loss", "accuracy", "validation_loss", "validation_accuracy"}
    assert all(values.shape == (15,) for values in result.history.values())
    assert result.history["loss"][-1] < 0.5 * result.history["loss"][0]
    assert result.history["validation_accuracy"][-1] == 1


# Steps and a remainder; without one; one of a single sample, which joins the batch before it; a remainder alone.
@pytest.mark.full
@pytest.mark.parametrize(
    "samples", [pytest.param(50, marks=pytest.mark.full), 33, pytest.param(17, marks=pytest.mark.full), 16, 5]
)
def test_an_epoch_sees_every_sample_once(samples):
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    targets = np.arange(samples, dtype=np.float32)[:, None]
    train = run(objective=objective, optimizer=fnn.optim.sgd(0.0), metrics=(Seen(),), epochs=2)
    seen = jax.jit(train)(jax.random.key(0), (np.ones((samples, 2), np.float32), targets)).history["seen"]
    np.testing.assert_allclose(seen, Seen()(targets, targets), rtol=1e-5)


def test_the_loss_of_an_epoch_is_the_weighted_mean_over_its_samples(draw, random):
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    batch = tuple(part.astype(np.float32) for part in (random(21, 2), random(21, 1), draw.uniform(size=21)))
    train = run(objective=objective, optimizer=fnn.optim.sgd(0.0), metrics=(), epochs=1, batch_size=8)
    result = jax.jit(train)(jax.random.key(0), batch, validation=batch)
    whole, _ = jax.jit(objective)(result.params, result.state, batch)
    np.testing.assert_allclose(result.history["loss"][0], whole, rtol=1e-5)
    np.testing.assert_allclose(result.history["validation_loss"][0], whole, rtol=1e-5)


@pytest.mark.full  # the quick proof: sweeps, which are these
def test_vmap_and_map_over_seeds_equal_the_runs_alone():
    train, data = trained(), blobs()
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *(train(key, data) for key in SEEDS))
    close(jax.jit(jax.vmap(train, (0, None)))(SEEDS, data), stacked, rtol=2e-5, atol=2e-5)
    mapped = jax.jit(lambda keys, data: jax.lax.map(lambda key: train(key, data), keys))(SEEDS, data)
    close(mapped, stacked, rtol=1e-6, atol=1e-6)


@pytest.mark.full
def test_a_run_compiles_once_whatever_the_seed_the_hyperparameters_and_the_data():
    chex.clear_trace_counter()

    @chex.assert_max_traces(n=1)
    def optimizer(hyperparams):
        return fnn.optim.adam(hyperparams["rate"], b1=hyperparams["b1"])

    train, (x, y) = jax.jit(run(optimizer=optimizer, validate_every=2)), blobs()
    train(jax.random.key(0), (x, y), {"rate": 0.1, "b1": 0.9}, validation=(x, y))
    train(jax.random.key(1), (x, y), {"rate": 0.1, "b1": 0.9}, validation=(x, y))
    train(jax.random.key(1), (x, y), {"rate": 0.3, "b1": 0.0}, validation=(x, y))
    train(jax.random.key(1), (2 * x, 1 - y % 2), {"rate": 0.3, "b1": 0.0}, validation=(x[::-1], y))


@pytest.mark.full
def test_early_stopping_does_no_work_after_the_stop():
    steps, epochs = [], []

    def augment(key, inputs):
        jax.debug.callback(lambda: steps.append(1))
        return inputs

    stopping = fnn.EarlyStopping(3, monitor="loss")
    still = {
        "optimizer": fnn.optim.sgd(0.0),
        "shuffle": False,
        "objective": fnn.Objective(fnn.Dense(3), fnn.CrossEntropy()),
    }
    train = run(epochs=60, augment=augment, early_stopping=stopping, on_epoch=lambda *_: epochs.append(1), **still)
    result = jax.jit(train)(jax.random.key(0), blobs())
    jax.effects_barrier()
    assert int(result.epochs_run) == 4  # the first is the best, and three do not improve on it
    assert (len(epochs), len(steps)) == (4, 4 * 4)


@pytest.mark.full
def test_the_same_key_gives_the_same_bits():
    same(*(trained()(jax.random.key(5), blobs()) for _ in range(2)))


@pytest.mark.full
def test_other_keys_give_other_runs():
    assert not np.allclose(*(trained()(key, blobs()).params["dense_0"]["kernel"] for key in SEEDS[:2]))


@pytest.mark.full
def test_hyperparameters_reach_the_objective_and_the_optimizer():
    data = blobs()
    train = fnn.make_train(
        lambda h: fnn.Objective(classifier(), fnn.CrossEntropy(label_smoothing=h["smoothing"]), (fnn.L2(h["decay"]),)),
        lambda h: fnn.optim.adam(h["rate"]),
        epochs=3,
        batch_size=16,
    )
    values = {"rate": [1e-3, 1e-1], "smoothing": [0.0, 0.2], "decay": [0.0, 1e-2]}
    sets, alone = {name: np.array(pair, np.float32) for name, pair in values.items()}, jax.jit(train)
    both = jax.jit(jax.vmap(train, (None, None, 0)))(jax.random.key(0), data, sets)
    for index in range(2):
        one = alone(jax.random.key(0), data, {name: pair[index] for name, pair in values.items()})
        close(jax.tree.map(lambda leaf, index=index: leaf[index], both.history), one.history, rtol=1e-4, atol=1e-4)
    assert not np.allclose(both.history["loss"][0], both.history["loss"][1])


def test_a_function_of_hyperparameters_needs_them():
    with pytest.raises(TypeError, match="is taken for a function of hyperparams"):
        run(optimizer=lambda h: fnn.optim.sgd(h))(jax.random.key(0), blobs())
    with pytest.raises(TypeError, match=r"expected an objective and an optimizer, .* got 0\.1"):
        run(optimizer=0.1)(jax.random.key(0), blobs())


@pytest.mark.full
def test_a_result_prints_what_there_is():
    result = trained()(jax.random.key(0), blobs())
    assert repr(result).startswith("TrainResult(epochs_run=4, history of accuracy, loss, ")
    assert repr(result).endswith(" parameters)")


@pytest.mark.full
def test_dropout_rates_can_be_mapped_over():
    train = fnn.make_train(
        lambda rate: fnn.Objective(fnn.Serial(fnn.Dropout(rate), fnn.Dense(3)), fnn.CrossEntropy()),
        fnn.optim.sgd(0.1),
        epochs=1,
        batch_size=16,
    )
    mapped = jax.jit(jax.vmap(train, (None, None, 0)))
    losses = mapped(jax.random.key(0), blobs(), np.array([0.0, 0.8], np.float32)).history["loss"]
    alone = jax.jit(train)(jax.random.key(0), blobs(), 0.8).history["loss"]
    np.testing.assert_allclose(losses[1], alone, rtol=1e-5)
    assert not np.allclose(losses[0], losses[1])


@pytest.mark.full  # the quick proof: the gradient of a run, in tests/train/test_differentiable.py
def test_manual_and_automatic_gradients_train_alike():
    with jax.enable_x64(True):
        x, y = blobs()
        results = [
            jax.jit(run(method=method, epochs=13))(jax.random.key(0), (x.astype("float64"), y))
            for method in ("manual", "auto")
        ]
        close(results[0].history, results[1].history, rtol=1e-10, atol=1e-10)
        close(results[0].params, results[1].params, rtol=1e-8, atol=1e-8)


@pytest.mark.full
def test_an_optax_optimizer_stands_in_for_one_of_ours():
    adam = optax.chain(optax.scale_by_adam(), optax.scale(-1e-2))
    ours, theirs = (train(jax.random.key(0), blobs()).params for train in (trained(), trained(optimizer=adam)))
    close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.full  # the quick proof: tests/train/test_run_length.py, judged at every other epoch
def test_early_stopping_stops_and_returns_the_best_epoch():
    stopping = fnn.EarlyStopping(2, monitor="loss")
    diverging = fnn.optim.sgd(lambda step: jnp.where(step < 12, 0.05, 5.0))
    result = jax.jit(run(optimizer=diverging, epochs=30, early_stopping=stopping))(jax.random.key(0), blobs())
    ran, losses = int(result.epochs_run), np.asarray(result.history["loss"])
    assert ran < 30
    assert np.isfinite(losses[:ran]).all()
    assert np.isnan(losses[ran:]).all()
    best = int(np.nanargmin(losses))
    assert best == ran - 1 - stopping.patience
    up_to_best = jax.jit(run(optimizer=diverging, epochs=best + 1))(jax.random.key(0), blobs())
    close((result.params, result.opt_state), (up_to_best.params, up_to_best.opt_state), rtol=1e-6, atol=1e-6)


def test_a_run_that_is_never_finite_returns_what_it_started_from():
    stopping = fnn.EarlyStopping(2, monitor="loss")
    overflowing = {"objective": fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError()), "optimizer": fnn.optim.sgd(1e30)}
    data = blobs()[0], np.eye(3, dtype=np.float32)[blobs()[1]]
    result = jax.jit(run(early_stopping=stopping, metrics=(), **overflowing))(jax.random.key(0), data)
    training = Training(overflowing["objective"], overflowing["optimizer"])
    assert not np.isfinite(result.history["loss"]).any()
    close((result.params, result.state, result.opt_state), tuple(training.start(jax.random.key(0), data[0])), rtol=1e-6)


def test_early_stopping_watches_what_is_there():
    with pytest.raises(
        ValueError, match=r"early stopping watches 'validation_loss', but .* give the run validation data"
    ):
        run(early_stopping=fnn.EarlyStopping(2))(jax.random.key(0), blobs())


def test_early_stopping_knows_that_accuracy_improves_upwards():
    stopping = fnn.EarlyStopping(3, monitor="validation_accuracy")
    assert stopping.sign((fnn.Accuracy(),)) == 1
    assert fnn.EarlyStopping(3).sign((fnn.Accuracy(),)) == -1


@pytest.mark.full
def test_on_epoch_is_told_every_epoch():
    told = []
    result = jax.jit(run(on_epoch=lambda epoch, values: told.append((int(epoch), float(values["loss"])))))(
        jax.random.key(0), blobs()
    )
    jax.effects_barrier()
    assert sorted(told) == [(epoch, pytest.approx(float(loss))) for epoch, loss in enumerate(result.history["loss"])]


def test_an_error_inside_names_the_layer():
    objective = fnn.Objective(fnn.Serial(body=fnn.Serial(fnn.Conv(4, (3, 3)))), fnn.CrossEntropy())
    with pytest.raises(ValueError, match="expected an input") as caught:
        run(objective=objective)(jax.random.key(0), blobs())
    assert any(note.startswith("in body/conv_0: Conv(features=4") for note in caught.value.__notes__)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"batch_size": 0}])
def test_counts_are_at_least_one(options):
    with pytest.raises(ValueError, match="is at least 1"):
        run(**options)
