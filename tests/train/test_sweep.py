"""Every run of a sweep is the run alone: side by side, mapped, in chunks, beside runs that diverge or stop early."""

import os
import subprocess
import sys
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.train.layout import layout_of

KEY = jax.random.key(7)


def blobs(samples=50, classes=3):
    """Points around the corners of a triangle, with their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, samples)
    corners = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return jnp.asarray(corners[labels] + 0.3 * rng.normal(size=(samples, 2)), jnp.float32), jnp.asarray(labels)


def model(dropout=0.1, scale=1.0):
    init = fnn.initializers.VarianceScaling(scale)
    # No bias before the batch norm: its gradient is exactly 0, and Adam would blow its rounding up to full steps.
    first = fnn.Dense(16, use_bias=False, kernel_init=init)
    return fnn.Serial(first, fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(dropout), fnn.Dense(3, kernel_init=init))


def perceptron(h):
    return fnn.Objective(model(), fnn.CrossEntropy())


def by_rate(h):
    return fnn.optim.sgd(h["learning_rate"], momentum=0.9)


def runner(objective: Any = perceptron, optimizer: Any = by_rate, **options: Any):
    given: dict[str, Any] = {"epochs": 3, "batch_size": 16} | options
    return fnn.make_train(objective, optimizer, **given)


def linear(optimizer=by_rate, **options):
    """Runs that compile quickly."""
    given: dict[str, Any] = {"epochs": 1} | options
    return runner(lambda h: fnn.Objective(fnn.Dense(3), fnn.CrossEntropy()), optimizer, **given)


def close(one, other, tolerance=1e-6):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def check_alone(result, train, data, runs=None, **options):
    """Every run of the sweep, or these, against the run that the documentation says is the same."""
    alone = jax.jit(train)
    for run in range(len(result)) if runs is None else runs:
        close(result.result(run), alone(result.keys[run], data, result.combination(run), **options))


@pytest.mark.parametrize(
    ("method", "max_parallel", "layout"),
    [
        ("vmap", None, "6 runs side by side"),
        ("vmap", 4, "6 runs in 2 chunks of 3 side by side"),
        ("vmap", 5, "6 runs in 2 chunks of 3 side by side"),
        ("map", None, "6 runs one after the other"),
        ("vmap", 1, "6 runs one after the other"),
    ],
)
def test_every_run_is_the_run_alone(method, max_parallel, layout):
    train, data, held_out = runner(metrics=[fnn.Accuracy()]), blobs(), blobs(20)
    result = fnn.sweep(
        train,
        KEY,
        data,
        validation=held_out,
        seeds=2,
        learning_rate=[0.01, 0.05, 0.1],
        method=method,
        max_parallel=max_parallel,
    )
    assert str(result.layout) == layout
    check_alone(result, train, data, validation=held_out)


@pytest.mark.parametrize("max_parallel", [2, 3])
def test_chunks_with_a_remainder_drop_what_fills_them(max_parallel):
    train, data = linear(), blobs()
    result = fnn.sweep(train, KEY, data, seeds=7, learning_rate=0.05, max_parallel=max_parallel)
    assert result.layout.places > 7
    assert all(leaf.shape[0] == 7 for leaf in jax.tree.leaves(result.results))
    check_alone(result, train, data)


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
    return fnn.Objective(model(h["dropout"], h["scale"]), fnn.CrossEntropy(label_smoothing=h["smoothing"]), penalties)


def optimizer_of_everything(h):
    adam = fnn.optim.adamw(h["learning_rate"], h["b1"], h["b2"], weight_decay=h["weight_decay"])
    return fnn.optim.chain(fnn.optim.clip_by_global_norm(h["clip"]), adam)


@pytest.fixture(scope="module")
def everything():
    """A run for the usual values, then one for each hyper-parameter with another; and what makes them."""
    train = runner(objective_of_everything, optimizer_of_everything)
    combinations = [USUAL, *(USUAL | {name: OTHER[name]} for name in USUAL)]
    return fnn.sweep(train, KEY, blobs(), combinations=combinations), jax.jit(train)


@pytest.mark.parametrize("place", range(len(USUAL)), ids=list(USUAL))
def test_anything_that_enters_computations_can_be_swept(everything, place):
    result, alone = everything
    close(result.result(1 + place), alone(result.keys[1 + place], blobs(), result.combination(1 + place)))
    kernels = result.results.params["dense_0"]["kernel"]
    assert not np.allclose(kernels[0], kernels[1 + place])


@pytest.mark.parametrize(
    "init",
    [
        fnn.initializers.Normal,
        fnn.initializers.TruncatedNormal,
        fnn.initializers.Uniform,
        fnn.initializers.Constant,
        fnn.initializers.Orthogonal,
        fnn.initializers.HeNormal,
        fnn.initializers.GlorotUniform,
        fnn.initializers.LecunUniform,
    ],
)
def test_the_scale_of_every_initialiser_can_be_swept(init):
    train = runner(
        lambda h: fnn.Objective(fnn.Dense(3, kernel_init=init(h["scale"])), fnn.CrossEntropy()),
        fnn.optim.sgd(0.1),
        epochs=1,
    )
    result = fnn.sweep(train, KEY, blobs(), scale=[0.1, 1.0])
    check_alone(result, train, blobs())
    assert not np.allclose(*result.results.params["kernel"])


@pytest.mark.parametrize("method", ["vmap", "map"])
def test_a_run_that_diverges_leaves_the_others_to_the_bit(method):
    data, options = blobs(), {"seeds": 2, "method": method}
    train = runner(lambda h: fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError()), by_rate, epochs=8)
    data = (data[0], jax.nn.one_hot(data[1], 3))
    with_it = fnn.sweep(train, KEY, data, learning_rate=[0.01, 1e6, 0.02], **options)
    without = fnn.sweep(train, KEY, data, learning_rate=[0.01, 0.03, 0.02], **options)
    assert np.isnan(with_it.results.history["loss"][2:4, -1]).all()
    for run in (0, 1, 4, 5):
        for a, b in zip(jax.tree.leaves(with_it.result(run)), jax.tree.leaves(without.result(run)), strict=True):
            np.testing.assert_array_equal(a, b)
    assert [row["diverged"] for row in with_it.table().rows] == [False, False, True, True, False, False]


def test_each_run_stops_by_itself_and_keeps_what_it_had():
    stopping = fnn.EarlyStopping(2, monitor="loss")
    train = runner(
        lambda h: fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError()),
        lambda h: fnn.optim.sgd(lambda step: jnp.where(step < h["steps"], 0.05, 1.0)),  # diverges from there on
        epochs=20,
        early_stopping=stopping,
    )
    data = blobs()[0], jax.nn.one_hot(blobs()[1], 3)
    result = fnn.sweep(train, KEY, data, steps=[8, 24, 1000], method="vmap")
    ran = np.asarray(result.results.epochs_run)
    assert ran[0] < ran[1] < ran[2]
    check_alone(result, train, data)
    for epochs, losses in zip(ran, np.asarray(result.results.history["loss"]), strict=True):
        assert np.isfinite(losses[:epochs]).all()
        assert np.isnan(losses[epochs:]).all()


def test_seeds_are_folded_into_the_key_and_the_same_for_every_combination():
    result = fnn.sweep(linear(), KEY, blobs(), seeds=[5, 3], learning_rate=[0.01, 0.1])
    assert result.seeds.tolist() == [5, 3, 5, 3]
    assert result.hyperparams["learning_rate"].tolist() == [0.01, 0.01, 0.1, 0.1]
    for seed, key in zip(result.seeds, result.keys, strict=True):
        assert (key == jax.random.fold_in(KEY, int(seed))).all()


def test_seeds_may_be_keys_and_keys_of_the_old_kind_fold_too():
    keys = jax.random.split(jax.random.key(1), 3)
    result = fnn.sweep(linear(), KEY, blobs(), seeds=keys, learning_rate=0.1)
    assert (result.keys == keys).all()
    train = linear()
    old = fnn.sweep(train, jax.random.PRNGKey(7), blobs(), seeds=2, learning_rate=[0.1, 0.2])
    new = fnn.sweep(train, KEY, blobs(), seeds=2, learning_rate=[0.1, 0.2])
    close(old.results, new.results)


def test_combinations_meet_every_point_of_the_grid():
    train = linear(lambda h: fnn.optim.sgd(h["learning_rate"], momentum=h["momentum"]))
    pairs = [{"learning_rate": 0.1, "momentum": 0.0}, {"momentum": 0.9, "learning_rate": 0.01}]
    result = fnn.sweep(train, KEY, blobs(), combinations=pairs)
    assert [result.combination(run) for run in range(2)] == pairs
    result = fnn.sweep(train, KEY, blobs(), combinations=[{"momentum": 0.9}], learning_rate=[0.1, 0.2])
    assert result.combination(1) == {"momentum": 0.9, "learning_rate": 0.2}


def test_a_sweep_over_seeds_alone_needs_no_hyperparameters():
    train = fnn.make_train(fnn.Objective(fnn.Dense(3), fnn.CrossEntropy()), fnn.optim.sgd(0.1), epochs=2, batch_size=16)
    result = fnn.sweep(train, KEY, blobs(), seeds=2)
    close(result.result(1), jax.jit(train)(jax.random.fold_in(KEY, 1), blobs()))
    assert result.best().seed in (0, 1)


@pytest.mark.parametrize("options", [{}, {"max_parallel": 4}, {"method": "map"}])
def test_a_sweep_compiles_once_however_many_runs(options):
    traces = []

    def augment(key, inputs):
        traces.append(1)
        return inputs

    train = linear(augment=augment)
    jax.make_jaxpr(train)(KEY, blobs(), {"learning_rate": 0.1})
    once = len(traces)
    fnn.sweep(train, KEY, blobs(), seeds=3, learning_rate=[0.01, 0.1, 0.2], **options)
    assert len(traces) == 3 * once  # one look at a run, and the program
    fnn.sweep(train, KEY, blobs(), seeds=3, learning_rate=[0.02, 0.3, 0.4], **options)
    assert len(traces) == 4 * once  # the look alone


def convolutional(h):
    return fnn.Objective(fnn.Serial(fnn.Conv(2, 3), fnn.Flatten(), fnn.Dense(3)), fnn.CrossEntropy())


def test_convolutional_models_are_mapped_and_others_run_side_by_side():
    assert jax.default_backend() == "cpu"
    images = jnp.ones((20, 4, 4, 1)), jnp.arange(20) % 3
    train = runner(convolutional, epochs=1)
    result = fnn.sweep(train, KEY, images, seeds=2, learning_rate=0.1)
    assert result.layout[2:] == (2, 1)
    check_alone(result, train, images)
    chosen = fnn.sweep(train, KEY, images, seeds=2, learning_rate=0.1, method="vmap")
    assert chosen.layout[2:] == (1, 2)
    assert fnn.sweep(linear(), KEY, blobs(), seeds=2, learning_rate=0.1).layout[2:] == (1, 2)


def test_a_convolution_with_the_same_kernel_in_all_runs_is_no_reason_to_map():
    def blurred(key, images):
        kernel = jnp.full((3, 3, 1, 1), 1 / 9)
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    train = runner(
        lambda h: fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(3)), fnn.CrossEntropy()), augment=blurred, epochs=1
    )
    images = jnp.ones((20, 4, 4, 1)), jnp.arange(20) % 3
    assert fnn.sweep(train, KEY, images, seeds=2, learning_rate=0.1).layout[2:] == (1, 2)


class Device:
    """A device with so much memory."""

    def __init__(self, platform, limit, used=0):
        self.platform, self.stats = platform, {"bytes_limit": limit, "bytes_in_use": used}

    def memory_stats(self):
        return self.stats


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1, 10)),  # half of 1000 less ten results of 10, for runs of 40
        ({"run_bytes": 100}, (3, 4)),
        ({"run_bytes": 10_000}, (10, 1)),
        ({"result_bytes": 1000}, (10, 1)),
        ({"kernels": True}, (1, 10)),  # no CPU
        ({"method": "map"}, (10, 1)),
        ({"max_parallel": 3}, (4, 3)),
        ({"max_parallel": 100, "run_bytes": 10_000}, (1, 10)),
    ],
)
def test_chunks_fit_into_memory(options, expected):
    given = {"method": "auto", "kernels": False, "run_bytes": 40, "result_bytes": 10, "max_parallel": None} | options
    assert layout_of(10, devices=[Device("gpu", 1200, 200)], **given)[2:] == expected


def test_runs_are_dealt_out_to_devices_and_none_is_without():
    devices = [Device("tpu", 1e9) for _ in range(4)]
    given = {"method": "auto", "kernels": True, "run_bytes": 1, "result_bytes": 1, "max_parallel": None}
    layout = layout_of(10, devices=devices, **given)
    assert (len(layout.devices), layout.chunks, layout.parallel, layout.places) == (4, 1, 3, 12)
    assert len(layout_of(3, devices=devices, **given).devices) == 3
    assert len(layout_of(5, devices=devices, **given).devices) == 3  # two each: a fourth would only repeat
    assert str(layout) == "10 runs over 4 devices, 3 side by side"


def test_two_devices_give_what_one_gives():
    program = """
        import jax, jax.numpy as jnp, numpy as np, fnn
        assert len(jax.devices()) == 2
        x = jax.random.normal(jax.random.key(0), (40, 2))
        data = x, (x[:, 0] > 0).astype(int)
        def sweep(objective, **options):
            train = fnn.make_train(
                objective, lambda h: fnn.optim.sgd(h["learning_rate"]), epochs=4, batch_size=16,
                early_stopping=fnn.EarlyStopping(1, monitor="loss"),
            )
            return train, fnn.sweep(train, jax.random.key(1), data, learning_rate=[0.1, 0.5, 9.0], **options)
        dense = lambda h: fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Relu(), fnn.Dense(2)), fnn.CrossEntropy())
        conv = lambda h: fnn.Objective(
            fnn.Serial(fnn.Reshape((2, 1)), fnn.Conv(4, 2), fnn.Flatten(), fnn.Dense(2)), fnn.CrossEntropy()
        )
        for objective, words in ((dense, "5 side by side"), (conv, "one after the other")):
            train, result = sweep(objective, seeds=3)
            assert str(result.layout) == f"9 runs over 2 devices, {words}", result.layout
            assert len(result.results.history["loss"]) == 9
            for run in range(9):
                alone = jax.jit(train)(result.keys[run], data, result.combination(run))
                for a, b in zip(jax.tree.leaves(result.result(run)), jax.tree.leaves(alone), strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
        _, chunks = sweep(dense, seeds=2, max_parallel=2)
        assert str(chunks.layout) == "6 runs over 2 devices, in 2 chunks of 2 side by side"
        _, one = sweep(dense, devices=jax.devices()[1:])
        assert one.results.history["loss"].devices() == {jax.devices()[1]}
        with jax.default_device(jax.devices()[0]):
            assert str(sweep(dense)[1].layout) == "3 runs side by side"
        print(result, result.best().score)
    """
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


# What cannot be meant.


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
        ({"rate": [0.1]}, KeyError, "reads the hyper-parameter 'learning_rate', which the sweep does not give"),
        ({}, TypeError, "is taken for a function of hyperparams"),
        ({"learning_rate": 0.1, "seeds": 0}, ValueError, "seeds is at least 1"),
        ({"learning_rate": 0.1, "seeds": []}, ValueError, "seeds is empty"),
        ({"learning_rate": 0.1, "seeds": [1, 1]}, ValueError, "seed 1 is given twice"),
        ({"learning_rate": 0.1, "seeds": [-1]}, ValueError, "a list of integers from 0"),
        ({"learning_rate": 0.1, "seeds": [0.5]}, ValueError, "a list of integers from 0"),
        ({"learning_rate": 0.1, "seeds": 1.5}, TypeError, "seeds is an integer"),
        ({"learning_rate": 0.1, "max_parallel": 0}, ValueError, "max_parallel is at least 1"),
        ({"learning_rate": 0.1, "max_parallel": 2.0}, TypeError, "max_parallel is an integer"),
        ({"learning_rate": 0.1, "method": "scan"}, ValueError, "method is 'auto', 'vmap' or 'map', got 'scan'"),
        ({"learning_rate": 0.1, "devices": []}, ValueError, "devices is empty"),
        ({"combinations": []}, ValueError, "combinations is empty"),
        ({"combinations": {"learning_rate": 0.1}}, TypeError, "a list of dicts"),
        ({"combinations": [0.1]}, TypeError, "a combination is a dict"),
        ({"combinations": [{"learning_rate": [0.1, 0.2]}]}, ValueError, "holds one number a name"),
        ({"combinations": [{"learning_rate": 0.1}, {"rate": 1}]}, ValueError, "number 1 names"),
        ({"combinations": [{"learning_rate": 0.1}] * 2}, ValueError, "is given twice"),
        ({"combinations": [{"learning_rate": 0.1}], "learning_rate": 1}, ValueError, "both in the combinations and"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, error, words):
    with pytest.raises(error, match=words):
        fnn.sweep(linear(), KEY, blobs(), **options)


def test_a_hyperparameter_that_a_jitted_run_does_not_use_is_found_too():
    with pytest.raises(ValueError, match="depends on the hyper-parameter 'clip'"):
        fnn.sweep(jax.jit(runner()), KEY, blobs(), learning_rate=[0.1], clip=[1, 2])


def test_a_run_without_hyperparameters_has_nothing_to_sweep():
    train = runner(fnn.Objective(model(), fnn.CrossEntropy()), fnn.optim.sgd(0.1))
    with pytest.raises(ValueError, match=r"nothing in a run depends .* as a function of hyperparams .*used are: none"):
        fnn.sweep(train, KEY, blobs(), learning_rate=[0.1, 0.2])


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
        fnn.sweep(runner(objective, fnn.optim.sgd(0.1)), KEY, blobs(), width=[3, 4])
    assert any("no sizes and no conditions" in note for note in getattr(caught.value, "__notes__", [])), caught.value


def test_a_run_under_jit_can_be_swept():
    train, rates = linear(), [0.1, 0.2]
    jitted = fnn.sweep(jax.jit(train), KEY, blobs(), learning_rate=rates)
    close(fnn.sweep(train, KEY, blobs(), learning_rate=rates).results, jitted.results)


def test_bad_data_are_refused_though_the_program_could_not():
    inputs, labels = blobs()
    with pytest.raises(ValueError, match="label"):
        fnn.sweep(runner(), KEY, (inputs, labels + 2), learning_rate=[0.1])
    with pytest.raises(ValueError, match="not finite in sample 0"):
        fnn.sweep(runner(), KEY, blobs(), validation=(inputs * jnp.nan, labels), learning_rate=[0.1])


def test_epochs_without_validation_are_no_divergence():
    train = linear(epochs=3, validate_every=2, metrics=[fnn.Accuracy(), fnn.Perplexity()])
    result = fnn.sweep(train, KEY, blobs(), validation=blobs(), learning_rate=[0.01, 0.1])
    assert not any(row["diverged"] for row in result.table("validation_loss").rows)
    assert result.best("validation_loss").hyperparams == {"learning_rate": 0.1}


def test_a_metric_says_itself_what_is_better():
    train = linear(metrics=[fnn.Accuracy(), fnn.Perplexity()])
    result = fnn.sweep(train, KEY, blobs(), learning_rate=[0.001, 0.1])
    assert result.table("accuracy").higher_is_better
    assert not result.table("perplexity").higher_is_better


def test_a_hyperparameter_named_like_a_score_is_refused():
    train = linear(lambda h: fnn.optim.sgd(h["loss"]))
    with pytest.raises(ValueError, match="'loss' is a column of scores in the table of this sweep; rename"):
        fnn.sweep(train, KEY, blobs(), loss=[0.1])
