"""A whole run can be differentiated: by its hyper-parameters, by its data, in bounded memory."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X, X_HELD_OUT = RNG.normal(size=(20, 3)), RNG.normal(size=(9, 3))
Y, Y_HELD_OUT = (np.sin(x.sum(1, keepdims=True)) + 0.1 * RNG.normal(size=(len(x), 1)) for x in (X, X_HELD_OUT))
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


def last_validation_loss(train, hyperparams, data=(X, Y)):
    result = train(KEY, data, hyperparams, validation=(X_HELD_OUT, Y_HELD_OUT))
    return result.history["validation_loss"][-1]


def five_point(function, step):
    weights = {-2: 1, -1: -8, 1: 8, 2: -1}
    return sum(weight * function(place * step) for place, weight in weights.items()) / (12 * step)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_gradient_of_a_run_is_that_of_differences(optimizer):
    # 20 samples in eights: two full steps and a remainder; the fourth epoch is cut short after its first step.
    hyperparams = {"rate": 0.03, "strength": 0.02}
    with jax.enable_x64(True):
        manual, auto = (run(optimizer, steps=10, method=method) for method in ("manual", "auto"))
        loss = jax.jit(lambda h: last_validation_loss(manual, h))
        by_hand = jax.jit(jax.grad(lambda h: last_validation_loss(manual, h)))(hyperparams)
        automatic = jax.jit(jax.grad(lambda h: last_validation_loss(auto, h)))(hyperparams)
        for name, value in hyperparams.items():

            def along(change, name=name, value=value):
                return loss(hyperparams | {name: value + change})

            np.testing.assert_allclose(by_hand[name], five_point(along, 1e-3 * value), rtol=1e-7)
            np.testing.assert_allclose(by_hand[name], automatic[name], rtol=1e-10)


def test_the_gradient_by_the_data():
    hyperparams = {"rate": 0.03, "strength": 0.02}
    direction = np.random.default_rng(1).normal(size=X.shape)
    with jax.enable_x64(True):
        train = run(epochs=3)
        loss = jax.jit(lambda x: last_validation_loss(train, hyperparams, (x, Y)))
        found = jax.jit(jax.grad(lambda x: last_validation_loss(train, hyperparams, (x, Y))))(X)
        expected = five_point(lambda change: loss(X + change * direction), 3e-4)
        np.testing.assert_allclose(jnp.vdot(found, direction), expected, rtol=1e-7)


@pytest.mark.parametrize("options", [{"epochs": 5}, {"steps": 13}])
@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_chunks_of_any_size_are_the_same_run(options, chunk):
    hyperparams = {"rate": 0.03, "strength": 0.02}
    with jax.enable_x64(True):
        plain = jax.jit(run(checkpoint_steps=None, **options))(KEY, (X, Y), hyperparams)
        chunked = jax.jit(run(checkpoint_steps=chunk, **options))(KEY, (X, Y), hyperparams)
        for a, b in zip(jax.tree.leaves(chunked), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_gradients_do_not_depend_on_the_chunks_and_map_over_hyperparams():
    rates = jnp.array([0.01, 0.03])
    with jax.enable_x64(True):
        found = []
        for chunk in (1, 7):
            train = run(steps=13, checkpoint_steps=chunk, validate_every=2)

            def loss(rate, train=train):
                return last_validation_loss(train, {"rate": rate, "strength": 0.02})

            found.append(jax.jit(jax.vmap(jax.grad(loss)))(rates))
        np.testing.assert_allclose(found[1], found[0], rtol=1e-10)


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
