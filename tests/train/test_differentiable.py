"""A whole run can be differentiated: by its hyper-parameters, by its data, in bounded memory."""

import functools
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from tests.comparing import close
from tests.drawing import drawn

pytestmark = pytest.mark.full

KEY = jax.random.key(0)
X, X_HELD_OUT = drawn("inputs of a regression", 20, 3), drawn("inputs held out of a regression", 9, 3)
Y, Y_HELD_OUT = (np.sin(x.sum(1, keepdims=True)) for x in (X, X_HELD_OUT))
HYPERPARAMS = {"rate": 0.03, "strength": 0.02}
MODEL = fnn.Serial(fnn.Dense(6), fnn.Tanh(), fnn.Dropout(0.1), fnn.Dense(1))
# eps_root: the root in Adam has no slope at a second moment of 0.
OPTIMIZERS = {
    "sgd": lambda h: fnn.optim.sgd(h["rate"], momentum=0.5),
    "adam": lambda h: fnn.optim.adam(h["rate"], eps_root=1e-8),
}


def run(optimizer: str = "adam", model: fnn.Layer = MODEL, **options: Any) -> Any:
    options = {"batch_size": 8, "checkpoint_steps": 2} | options
    return fnn.make_train(
        lambda h: fnn.Objective(model, fnn.MeanSquaredError(), (fnn.L2(h["strength"]),)),
        OPTIMIZERS[optimizer],
        **options,
    )


def last_validation_loss(train, hyperparams, x):
    result = train(KEY, (x, Y), hyperparams, validation=(X_HELD_OUT, Y_HELD_OUT))
    return result.history["validation_loss"][-1]


@functools.cache
def compiled(optimizer, method="manual"):
    """The last validation loss and its gradient by the hyper-parameters and by the data.

    20 samples in eights: two full steps and a remainder; the fourth epoch is cut short after its first step.
    """
    # Chunks of one step lie inside an epoch, those of two are whole epochs; validated at every other epoch, and at all.
    options: dict[str, Any] = {"sgd": {"checkpoint_steps": 1, "validate_every": 2}, "adam": {"checkpoint_steps": 2}}
    train = run(optimizer, steps=10, method=method, **options[optimizer])
    return jax.jit(jax.value_and_grad(functools.partial(last_validation_loss, train), argnums=(0, 1)))


def five_point(function, step):
    weights = {-2: 1, -1: -8, 1: 8, 2: -1}
    return sum(weight * function(place * step) for place, weight in weights.items()) / (12 * step)


@pytest.mark.full
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_gradient_of_a_run_is_that_of_differences(optimizer):
    with jax.enable_x64(True):
        loss = compiled(optimizer)
        _, (by_hand, _) = loss(HYPERPARAMS, X)
        for name, value in HYPERPARAMS.items():

            def along(change, name=name, value=value):
                return loss(HYPERPARAMS | {name: value + change}, X)[0]

            np.testing.assert_allclose(by_hand[name], five_point(along, 1e-3 * value), rtol=1e-7)


@pytest.mark.full
def test_the_gradient_of_a_run_is_the_same_through_the_rules_and_through_jax_grad():
    with jax.enable_x64(True):
        (_, by_hand), (_, automatic) = (compiled("sgd", method)(HYPERPARAMS, X) for method in ("manual", "auto"))
        for name in HYPERPARAMS:
            np.testing.assert_allclose(by_hand[0][name], automatic[0][name], rtol=1e-10)
        np.testing.assert_allclose(by_hand[1], automatic[1], rtol=1e-8, atol=1e-12)


@pytest.mark.full
def test_the_gradient_by_the_data(random):
    direction = random(*X.shape)
    with jax.enable_x64(True):
        loss = compiled("adam")
        _, (_, found) = loss(HYPERPARAMS, X)
        expected = five_point(lambda change: loss(HYPERPARAMS, X + change * direction)[0], 3e-4)
        np.testing.assert_allclose(np.vdot(found, direction), expected, rtol=1e-7)


@functools.cache
def learned(chunk, **options):
    with jax.enable_x64(True):
        return jax.jit(run("sgd", checkpoint_steps=chunk, **options))(KEY, (X, Y), HYPERPARAMS)


# The quick proof: chunks of two steps, in an epoch of three, of a run that is cut short.
@pytest.mark.parametrize("options", [pytest.param({"epochs": 5}, marks=pytest.mark.full), {"steps": 13}])
@pytest.mark.parametrize("chunk", [pytest.param(1, marks=pytest.mark.full), 2, pytest.param(7, marks=pytest.mark.full)])
def test_chunks_of_any_size_are_the_same_run(options, chunk):
    close(learned(chunk, **options), learned(None, **options))


@pytest.mark.full
def test_gradients_do_not_depend_on_the_chunks_and_map_over_hyperparams():
    """Chunks of seven steps, two epochs of three, side by side; chunks of one, each rate alone."""
    rates = np.array([0.01, 0.03])
    with jax.enable_x64(True):
        train = run("sgd", steps=10, checkpoint_steps=7, validate_every=2)

        def loss(rate):
            return last_validation_loss(train, HYPERPARAMS | {"rate": rate}, X)

        mapped = jax.jit(jax.vmap(jax.grad(loss)))(rates)
        alone = [compiled("sgd")(HYPERPARAMS | {"rate": float(rate)}, X)[1][0]["rate"] for rate in rates]
        np.testing.assert_allclose(mapped, alone, rtol=1e-10)


@pytest.mark.full
@pytest.mark.parametrize(("epochs", "batches"), [(1, 64), (64, 1)])
def test_chunks_take_less_memory(epochs, batches):
    """The memory is that of the buffers which XLA assigns, so it is the same every time."""

    def temporary_bytes(chunk):
        model = fnn.Serial(fnn.Dense(64), fnn.Tanh(), fnn.Dense(1))
        train = run("sgd", model, epochs=epochs, batch_size=64, checkpoint_steps=chunk)
        data = tuple(jax.ShapeDtypeStruct((64 * batches, width), "float32") for width in (3, 1))
        gradient = jax.jit(jax.grad(lambda h, data: train(KEY, data, h).history["loss"][-1]))
        memory: Any = gradient.lower({"rate": 0.1, "strength": 0.1}, data).compile().memory_analysis()
        return memory.temp_size_in_bytes

    whole, chunked = temporary_bytes(64), temporary_bytes(8)
    assert chunked < whole / 3, (chunked, whole)


@pytest.mark.full
def test_a_run_of_steps_may_end_before_the_remainder_of_an_epoch():
    """Chunks of no steps were joined, a TypeError."""
    close(learned(2, steps=5, batch_size=6), learned(None, steps=5, batch_size=6))
