"""How the runs of a sweep are laid out: compiled once, mapped or side by side, in chunks, over devices."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.sweep.placement import layout_of
from tests.sweep.swept import DATA, KEY, check_alone, linear, runner


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.full),
        {"max_parallel": 4},
        pytest.param({"method": "map"}, marks=pytest.mark.full),
    ],
)
def test_a_sweep_compiles_once_however_many_runs(options):
    traces = []

    def augment(key, inputs):
        traces.append(1)
        return inputs

    train = linear(augment=augment)
    jax.make_jaxpr(train)(KEY, DATA, {"learning_rate": 0.1})
    once = len(traces)
    fnn.sweep(train, KEY, DATA, seeds=3, learning_rate=[0.01, 0.1, 0.2], **options)
    assert len(traces) == 3 * once  # one look at a run, and the program
    fnn.sweep(train, KEY, DATA, seeds=3, learning_rate=[0.02, 0.3, 0.4], **options)
    assert len(traces) == 4 * once  # the look alone


def convolutional(h):
    return fnn.Objective(fnn.Serial(fnn.Conv(2, 3), fnn.Flatten(), fnn.Dense(3)), fnn.CrossEntropy())


@pytest.mark.full
def test_convolutional_models_are_mapped_and_others_run_side_by_side():
    assert jax.default_backend() == "cpu"
    images = np.ones((20, 4, 4, 1), np.float32), np.arange(20) % 3
    train = runner(convolutional, epochs=1, batch_size=10)
    result = fnn.sweep(train, KEY, images, seeds=2, learning_rate=0.1)
    assert result.layout[2:] == (2, 1)
    check_alone(result, train, images)
    chosen = fnn.sweep(train, KEY, images, seeds=2, learning_rate=0.1, method="vmap")
    assert chosen.layout[2:] == (1, 2)
    assert fnn.sweep(linear(), KEY, DATA, seeds=2, learning_rate=0.1).layout[2:] == (1, 2)


@pytest.mark.full
def test_a_convolution_with_the_same_kernel_in_all_runs_is_no_reason_to_map():
    def blurred(key, images):
        kernel = jnp.full((3, 3, 1, 1), 1 / 9)
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    train = runner(
        lambda h: fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(3)), fnn.CrossEntropy()),
        augment=blurred,
        epochs=1,
        batch_size=10,
    )
    images = np.ones((20, 4, 4, 1), np.float32), np.arange(20) % 3
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


@pytest.mark.full  # a process of its own: the number of devices is set before JAX starts
def test_two_devices_give_what_one_gives():
    program = """
        from tests.compilation import compile_cheaply
        compile_cheaply()
        import jax, numpy as np, fnn
        assert len(jax.devices()) == 2
        x = np.random.default_rng(0).standard_normal((32, 2)).astype(np.float32)
        data = x, (x[:, 0] > 0).astype(np.int32)
        stopping = fnn.EarlyStopping(1, monitor="loss")
        def sweep(objective, early_stopping=stopping, **options):
            train = fnn.make_train(
                objective, lambda h: fnn.optim.sgd(h["learning_rate"]), epochs=4, batch_size=16,
                early_stopping=early_stopping,
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
        single = lambda h: fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
        _, chunks = sweep(single, None, seeds=2, max_parallel=2)
        assert str(chunks.layout) == "6 runs over 2 devices, in 2 chunks of 2 side by side"
        _, one = sweep(single, None, devices=jax.devices()[1:])
        assert one.results.history["loss"].devices() == {jax.devices()[1]}
        with jax.default_device(jax.devices()[0]):
            assert str(sweep(single, None)[1].layout) == "3 runs side by side"
        print(result, result.best().score)
    """
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
