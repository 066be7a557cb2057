"""What a run holds in memory, and what it leaves alone."""

import gc
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.comparing import same

WIDTH = 64
X = np.ones((8, WIDTH), np.float32)
OBJECTIVE = fnn.Objective(fnn.Dense(WIDTH), fnn.MeanSquaredError())
ADAM = fnn.optim.adam(1e-3)


def fit(*callbacks: Any, data: Any = (X, X), optimizer: Any = ADAM, **options: Any) -> Any:
    options = {"epochs": 3, "batch_size": 4, "key": jax.random.key(0), "progress": False} | options
    return fnn.fit(OBJECTIVE, optimizer, data, callbacks=callbacks, **options)


class Count(fnn.Callback):
    """Counts the arrays of the shape of the kernel that are alive."""

    def __init__(self):
        self.most = 0

    def on_steps(self, run):
        gc.collect()
        self.most = max(self.most, sum(array.shape == (WIDTH, WIDTH) for array in jax.live_arrays()))


@pytest.mark.full
@pytest.mark.parametrize(
    ("options", "copies"),
    [({}, 1), pytest.param({"early_stopping": fnn.EarlyStopping(3, monitor="loss")}, 2, marks=pytest.mark.full)],
    ids=["plain", "best"],
)
def test_what_is_learned_is_held_once_and_the_best_once_more(options, copies):
    gc.collect()
    before = sum(array.shape == (WIDTH, WIDTH) for array in jax.live_arrays())
    count = Count()
    fit(count, **options)
    assert count.most - before == 3 * copies  # the kernel, and its two moments


def test_what_the_caller_gave_stays():
    params, state = OBJECTIVE.init(jax.random.key(1), X)
    before = jax.tree.map(np.array, params)
    first = fit(params=params, state=state)
    same(params, before)
    same(fit(params=params, state=state), first)
    numpy = jax.tree.map(np.array, params)
    fit(params=numpy, state=state)
    same(numpy, before)


def test_what_a_callback_keeps_stays():
    class Keep(fnn.Callback):
        def __init__(self):
            self.kept = []

        def on_steps(self, run):
            self.kept.append((run.params, jax.tree.map(np.array, run.params)))

    keep = Keep()
    same(fit(keep), fit())
    for kept, then in keep.kept:
        same(kept, then)


def test_the_weights_to_use_that_a_callback_keeps_stay():
    class Keep(fnn.Callback):
        def __init__(self):
            self.kept = []

        def on_start(self, run):
            self.kept.append(run.usable)

        def on_steps(self, run):
            self.kept.append(run.usable)

    keep = Keep()
    fit(keep, optimizer=fnn.optim.chain(ADAM, fnn.optim.ema(0.9)))
    for kept in keep.kept:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept))  # none was overwritten


def test_what_a_callback_gives_stays():
    given = {"kernel": jnp.ones((WIDTH, WIDTH)), "bias": jnp.zeros(WIDTH)}

    class Give(fnn.Callback):
        def on_epoch(self, run):
            run.params = given

    fit(Give())
    assert float(given["kernel"].sum()) == WIDTH**2


def test_an_optimiser_may_hand_out_the_parameters_twice():
    class Twice:
        def init(self, params):
            return {"slow": params, "again": params}

        def update(self, grads, opt_state, params=None):
            return jax.tree.map(lambda g: -0.1 * g, grads), opt_state

    assert fit(optimizer=Twice()).history["loss"][-1] < 1


def test_arrays_on_the_device_stay_there():
    x = jax.device_put(X) * 2
    reference = weakref.ref(x)
    fit(data=(x, x))
    assert reference()._npy_value is None  # pyright: ignore  # what comes to the host is remembered there


@pytest.mark.parametrize("validated", [False, True])
def test_weights_of_zero_are_named(validated):
    zero = (X, X, np.zeros(8, np.float32))
    options, match = {"data": zero}, "the loss of epoch 1 is not finite: all of its weights are 0"
    if validated:
        options, match = {"validation": zero}, "all weights of the validation data are 0: their loss is NaN"
    with pytest.warns(RuntimeWarning, match=match):
        fit(epochs=1, **options)
    with pytest.warns(RuntimeWarning, match="all weights of the data are 0"):
        fnn.evaluate(OBJECTIVE, *OBJECTIVE.init(jax.random.key(1), X), zero)


def test_what_an_optimiser_keeps_stays():
    """A run overwrote the array from which an optimiser begins, and the next run with it found it deleted."""
    zeros = jnp.zeros(3)

    class Constant:
        def init(self, params):
            return zeros

        def update(self, grads, opt_state, params=None):
            return jax.tree.map(lambda g: -0.01 * g, grads), opt_state + 1

    optimizer = Constant()
    first = fit(optimizer=optimizer)
    same(zeros, np.zeros(3, np.float32))
    same(fit(optimizer=optimizer), first)
