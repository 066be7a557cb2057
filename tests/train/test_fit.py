"""``fit`` runs the steps of ``make_train`` from Python."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import fnn
from fnn.train.progress import ProgressBar
from tests.comparing import close, same
from tests.drawing import drawn

X = drawn("inputs of a classification", 45, 4).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32) + (X[:, 1] > 0)
MODEL = fnn.Serial(fnn.Dense(8, use_bias=False), fnn.BatchNorm(), fnn.Tanh(), fnn.Dense(3))
OBJECTIVE = fnn.Objective(MODEL, fnn.CrossEntropy())
ADAM = fnn.optim.adam(1e-2)


def fit(data=(X, Y), **options):
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(1), "progress": False} | options
    return fnn.fit(OBJECTIVE, options.pop("optimizer", ADAM), data, **options)


@functools.cache
def usual():
    return fit(metrics=(fnn.Accuracy(),))


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.full
def test_fit_is_the_run_of_make_train():
    options = {"epochs": 3, "batch_size": 8, "metrics": (fnn.Accuracy(),)}
    result = fit(validation=(X, Y), **options)
    whole = jax.jit(fnn.make_train(OBJECTIVE, ADAM, **options))(jax.random.key(1), (X, Y), validation=(X, Y))
    close(result, whole, rtol=1e-4, atol=1e-6)


def test_the_history_is_numpy_with_one_entry_an_epoch():
    result = usual()
    assert result.epochs_run == 3
    assert {name: (type(values), values.shape) for name, values in result.history.items()} == {
        "loss": (np.ndarray, (3,)),
        "accuracy": (np.ndarray, (3,)),
    }


def test_the_same_key_gives_the_same_bits():
    same(fit(metrics=(fnn.Accuracy(),)), usual())


@pytest.mark.full
def test_fit_goes_on_from_given_parameters():
    first = usual()
    second = fit(params=first.params, state=first.state, epochs=1, optimizer=fnn.optim.sgd(0.0))
    same(first.params, second.params)
    assert int(second.state["batch_norm_0"]["count"]) == 4 * 6


@pytest.mark.full
def test_early_stopping_keeps_the_best_epoch():
    optimizer = fnn.optim.sgd(lambda step: jnp.where(step < 24, 0.05, 5.0))
    stopping = fnn.EarlyStopping(2, monitor="loss")
    result = fit(optimizer=optimizer, epochs=20, early_stopping=stopping)
    best = int(np.argmin(result.history["loss"]))
    assert result.epochs_run == best + 1 + 2 < 20
    again = fit(optimizer=optimizer, epochs=best + 1)
    same(result.params, again.params)


@pytest.mark.full
@pytest.mark.parametrize("early_stopping", [None, fnn.EarlyStopping(2, min_delta=100.0)])
def test_validation_now_and_then_is_that_of_make_train(early_stopping):
    options = {"epochs": 5, "batch_size": 16, "validate_every": 2, "metrics": (fnn.ConfusionMatrix(3),)}
    result = fit(validation=(X, Y), early_stopping=early_stopping, **options)
    train = fnn.make_train(OBJECTIVE, ADAM, early_stopping=early_stopping, **options)
    whole = jax.jit(train)(jax.random.key(1), (X, Y), validation=(X, Y))
    assert result.epochs_run == whole.epochs_run == 5
    close(result.history, whole.history, rtol=1e-4, atol=1e-6)
    assert np.isnan(result.history["validation_loss"]).tolist() == [True, False, True, False, False]


@pytest.mark.full
def test_early_stopping_that_has_judged_nothing_returns_what_was_learned():
    class Stop(fnn.Callback):
        def on_steps(self, run):
            if run.steps == 13:
                run.stop("enough")

    options = {"epochs": 9, "validation": (X, Y), "callbacks": [Stop()]}
    stopped = fit(early_stopping=fnn.EarlyStopping(2), validate_every=9, **options)
    plain = fit(**options)
    same(stopped.params, plain.params)


def test_fit_inside_jit_is_refused():
    with pytest.raises(TypeError, match=r"inside jit or vmap, call what fnn.make_train returns"):
        jax.jit(lambda key: fit(key=key).params)(jax.random.key(0))


def test_arrays_of_jax_and_of_numpy_train_alike():
    same(fit((jnp.asarray(X), jnp.asarray(Y)), metrics=(fnn.Accuracy(),)), usual())


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ((X, changed(Y, 7, 3)), r"labels lie in \[0, 3\), got \[3\]"),
        ((changed(X, (4, 0), np.nan), Y), "the inputs of the data are not finite in sample 4"),
        ((X, Y[:-1]), "have the same length"),
        ((X[:0], Y[:0]), "the number of samples is at least 1|the batch is empty"),
        ((X, Y[:, None]), "expected labels"),
    ],
)
def test_bad_data_are_refused_before_the_first_step(data, match):
    with pytest.raises(ValueError, match=match):
        fit(data)


def test_bad_validation_data_are_refused_by_name():
    with pytest.raises(ValueError, match="the inputs of the validation data are not finite in sample 0"):
        fit(validation=(changed(X, (0, 0), np.inf), Y))


def test_params_without_state_are_an_error():
    with pytest.raises(ValueError, match="give params and state together"):
        fit(params=usual().params)


def test_progress_prints_plain_lines_where_there_is_no_terminal():
    page = io.StringIO()
    with ProgressBar("training", epochs=20, console=Console(file=page)) as bar:
        for epoch in range(20):
            bar.step(epoch, 1)
            bar.epoch(epoch, {"loss": 1 / (epoch + 1)})
    lines = page.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "training  epoch 20/20  loss 0.05"


def test_progress_is_a_bar_on_a_terminal():
    page = io.StringIO()
    with ProgressBar("training", epochs=2, console=Console(file=page, force_terminal=True, width=120)) as bar:
        bar.epoch(0, {"loss": 0.5})
    assert "1/2" in page.getvalue()
    assert "loss 0.5" in page.getvalue()
