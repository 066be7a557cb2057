"""What a sweep cannot mean is refused, with what it takes instead."""

import jax
import jax.numpy as jnp
import pytest

import fnn
from tests.sweep.swept import DATA, KEY, linear, runner
from tests.train.blobs import classifier

LINEAR = linear()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"learning_rate": []}, ValueError, "'learning_rate' has no values"),
        ({"learning_rate": [[0.1], [0.2]]}, ValueError, r"list of numbers, got an array of shape \(2, 1\)"),
        ({"learning_rate": ["a"]}, TypeError, "is a list of numbers"),
        ({"learning_rate": "fast"}, TypeError, "is a list of numbers, got 'fast'"),
        ({"learning_rate": [True, False]}, TypeError, "is a list of numbers"),
        ({"learning_rate": [0.1, 0.1]}, ValueError, "'learning_rate' 0.1 is given twice"),
        ({"learning_rate": [0.1, float("nan")]}, ValueError, "has a NaN"),
        ({"learning_rate": None}, TypeError, "is a list of numbers, got None"),
        ({"learning_rate": [0.1], "seed": [1]}, ValueError, "'seed' is a column"),
        (
            {"learning_rate": [0.1], "clip": [1, 2]},
            ValueError,
            "nothing in a run depends on the hyper-parameter 'clip'",
        ),
        (
            {"rate": [0.1]},
            KeyError,
            r"reads the hyper-parameter 'learning_rate', which is not .*given: rate\); add learning_rate=\[…\]",
        ),
        ({}, TypeError, "is taken for a function of hyperparams"),
        ({"learning_rate": 0.1, "seeds": 0}, ValueError, "seeds is at least 1"),
        ({"learning_rate": 0.1, "seeds": []}, ValueError, "seeds is empty"),
        ({"learning_rate": 0.1, "seeds": [1, 1]}, ValueError, "seed 1 is given twice"),
        ({"learning_rate": 0.1, "seeds": [-1]}, ValueError, "a list of integers from 0"),
        ({"learning_rate": 0.1, "seeds": [0.5]}, ValueError, "a list of integers from 0"),
        ({"learning_rate": 0.1, "seeds": 1.5}, TypeError, "seeds is an integer"),
        ({"learning_rate": 0.1, "seeds": True}, TypeError, "seeds is an integer, got True"),
        ({"learning_rate": 0.1, "seeds": "three"}, TypeError, "seeds is an integer, got 'three'"),
        (
            {"learning_rate": 0.1, "seeds": None},
            TypeError,
            "seeds is a number of seeds, .* got None",
        ),
        ({"learning_rate": 0.1, "devices": "cpu"}, TypeError, "devices is a list such as .* got 'cpu'"),
        ({"learning_rate": 0.1, "devices": ["cpu"]}, TypeError, "devices is a list of devices .* got .'cpu'"),
        ({"learning_rate": 0.1, "key": 0}, TypeError, r"key is a random key, got 0; write jax.random.key\(0\)"),
        (
            {"learning_rate": 0.1, "key": jax.random.split(KEY)},
            ValueError,
            "key is one random key",
        ),
        ({"train": 3}, TypeError, "train is the function that fnn.make_train returns, got 3"),
        ({"train": fnn.Objective(fnn.Dense(1), fnn.CrossEntropy())}, TypeError, "train is the function that fnn"),
        (
            {"train": lambda key, data: {"loss": jnp.ones(1)}},
            TypeError,
            r"returns a TrainResult, .* got {loss",
        ),
        ({"combinations": "all"}, TypeError, "a list of dicts"),
        ({"combinations": 3}, TypeError, "a list of dicts"),
        ({"learning_rate": 0.1, "max_parallel": 0}, ValueError, "max_parallel is at least 1"),
        ({"learning_rate": 0.1, "max_parallel": 2.0}, TypeError, "max_parallel is an integer"),
        ({"learning_rate": 0.1, "method": "scan"}, ValueError, "method is 'auto', 'vmap' or 'map', got 'scan'"),
        ({"learning_rate": 0.1, "devices": []}, ValueError, "devices is empty"),
        ({"combinations": []}, ValueError, "combinations is empty"),
        ({"combinations": {"learning_rate": 0.1}}, TypeError, "a list of dicts"),
        ({"combinations": [0.1]}, TypeError, "a combination is a dict"),
        ({"combinations": [{"learning_rate": [0.1, 0.2]}]}, ValueError, "has one number per name"),
        ({"combinations": [{"learning_rate": 0.1}, {"rate": 1}]}, ValueError, "number 1 names"),
        ({"combinations": [{"learning_rate": 0.1}] * 2}, ValueError, "is given twice"),
        ({"combinations": [{"learning_rate": 0.1}], "learning_rate": 1}, ValueError, "both in the combinations and"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        fnn.sweep(**{"train": LINEAR, "key": KEY, "data": DATA} | options)


def test_a_hyperparameter_that_a_jitted_run_does_not_use_is_found_too():
    with pytest.raises(ValueError, match="depends on the hyper-parameter 'clip'"):
        fnn.sweep(jax.jit(runner()), KEY, DATA, learning_rate=[0.1], clip=[1, 2])


def unused_clip(h):
    return h["clip"]


def clip_that_nothing_is_made_of(h):
    fnn.Dropout(h["clip"])


@pytest.mark.full
@pytest.mark.parametrize(
    "read",
    [
        lambda h: h.get("clip"),
        lambda h: "clip" in h,
        unused_clip,
        clip_that_nothing_is_made_of,
        lambda h: jax.jit(lambda clip: clip + 1)(h["clip"]),
        lambda h: jax.lax.fori_loop(0, 3, lambda _, clip: clip + 1, h["clip"]),
        lambda h: jnp.where(h["clip"] > 1, 0, jnp.nan),
        lambda h: h | {"more": 1},
    ],
)
@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.full)])
def test_reading_a_hyperparameter_is_not_using_it(read, jit):
    train = linear(lambda h: (read(h), fnn.optim.sgd(h["learning_rate"]))[1])
    words = r"nothing in a run depends on the hyper-parameter 'clip': .*\(used: learning_rate\)"
    with pytest.raises(ValueError, match=words):
        fnn.sweep(jax.jit(train) if jit else train, KEY, DATA, learning_rate=[0.1], clip=[1, 2])


def test_a_run_without_hyperparameters_has_nothing_to_sweep():
    train = runner(fnn.Objective(classifier(), fnn.CrossEntropy()), fnn.optim.sgd(0.1))
    with pytest.raises(ValueError, match=r"nothing in a run depends .* as a function of hyperparams .*used: none"):
        fnn.sweep(train, KEY, DATA, learning_rate=[0.1, 0.2])


@pytest.mark.parametrize(
    "objective",
    [
        lambda h: fnn.Objective(fnn.Dense(h["width"]), fnn.CrossEntropy()),
        lambda h: fnn.Objective(fnn.Dense(3 if h["width"] > 3 else 4), fnn.CrossEntropy()),
        lambda h: fnn.Objective(fnn.Dense(3), fnn.CrossEntropy(ignore_index=range(9)[h["width"]])),
    ],
)
def test_sizes_and_conditions_cannot_be_swept_and_the_error_says_so(objective):
    with pytest.raises(TypeError) as caught:
        fnn.sweep(runner(objective, fnn.optim.sgd(0.1)), KEY, DATA, width=[3, 4])
    assert any("not sizes or conditions" in note for note in getattr(caught.value, "__notes__", [])), caught.value


def test_a_size_that_is_swept_is_told_of_as_a_size():
    """It said that a JitTracer came."""
    train = runner(lambda h: fnn.Objective(fnn.Dense(h["width"]), fnn.CrossEntropy()), fnn.optim.sgd(0.1))
    words = r"features is an integer, got the traced int32\[\]: a size must be known .* cannot sweep it; loop over it"
    with pytest.raises(TypeError, match=words):
        fnn.sweep(train, KEY, DATA, width=[3, 4])


def test_bad_data_are_refused_though_the_program_could_not():
    inputs, labels = DATA
    with pytest.raises(ValueError, match="label"):
        fnn.sweep(runner(), KEY, (inputs, labels + 2), learning_rate=[0.1])
    with pytest.raises(ValueError, match="not finite in sample 0"):
        fnn.sweep(runner(), KEY, DATA, validation=(inputs * jnp.nan, labels), learning_rate=[0.1])


def test_a_hyperparameter_named_like_a_score_is_refused():
    train = linear(lambda h: fnn.optim.sgd(h["loss"]))
    with pytest.raises(ValueError, match="'loss' is a column of scores in the table of this sweep; rename"):
        fnn.sweep(train, KEY, DATA, loss=[0.1])
