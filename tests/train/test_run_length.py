"""Runs of so many steps, validation after so many epochs, early stopping that looks only there."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.metrics import Metric
from tests.comparing import close, same
from tests.drawing import drawn

KEY = jax.random.key(0)
X = drawn("inputs of runs of so many steps", 50, 2).astype(np.float32)  # four steps an epoch: 16, 16, 16, 2
DATA = (X, (X[:, 0] > 0).astype(np.int32))
MODEL = fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.1), fnn.Dense(2))
OBJECTIVE = fnn.Objective(MODEL, fnn.CrossEntropy())
ADAM = fnn.optim.adam(1e-2)
STILL = fnn.optim.sgd(0.0)


def run(objective: Any = OBJECTIVE, optimizer: Any = ADAM, **options: Any) -> Any:
    options = {"batch_size": 16} | options
    return fnn.make_train(objective, optimizer, **options)


@functools.cache
def trained(**options: Any) -> Any:
    """The compiled run; of the same options, the same."""
    return jax.jit(run(**options))


@dataclasses.dataclass(frozen=True)
class Count(Metric):
    """How many samples there were: an integer."""

    name = "count"

    def update(self, outputs, targets, weights=None):
        return jnp.array(targets.shape[0], jnp.int32)

    def value(self, sums):
        return sums


# ---- by steps


@pytest.mark.full
def test_steps_that_fill_epochs_are_those_epochs():
    same(trained(steps=12)(KEY, DATA), trained(epochs=3)(KEY, DATA))


SEEN = {1: [16], 3: [48], 6: [50, 32], 11: [50, 50, 48], 7: [50, 48]}


@pytest.mark.full
@pytest.mark.parametrize("chunk", [None, 2])
@pytest.mark.parametrize("steps", SEEN)
def test_the_last_epoch_is_cut_short(steps, chunk):
    seen = SEEN[steps]
    result = trained(steps=steps, metrics=(Count(),), checkpoint_steps=chunk)(KEY, DATA)
    assert result.history["count"].tolist() == seen
    assert int(result.epochs_run) == len(seen)
    assert result.opt_state[0].count == steps
    assert int(result.state["batch_norm_0"]["count"]) == steps


@pytest.mark.full
def test_a_last_epoch_without_its_remainder():
    # 33 samples: a step of 16, and one of 17, as a remainder of one sample joins the batch before it.
    data = jax.tree.map(lambda leaf: leaf[:33], DATA)
    result = trained(steps=3, metrics=(Count(),))(KEY, data)
    assert result.history["count"].tolist() == [33, 16]
    result = trained(steps=3, metrics=(Count(),), batch_size=64)(KEY, data)  # an epoch is a remainder alone
    assert result.history["count"].tolist() == [33, 33, 33]


def test_the_loss_of_the_epoch_cut_short_is_over_what_it_saw():
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    y = X[:, :1] * np.arange(50)[:, None].astype(np.float32)
    still = {"objective": objective, "optimizer": STILL, "shuffle": False}
    result = trained(steps=6, **still)(KEY, (X, y))
    for entry, seen in zip(result.history["loss"], (50, 32), strict=True):
        off = X[:seen] @ result.params["kernel"] + result.params["bias"] - y[:seen]
        np.testing.assert_allclose(entry, np.mean(off**2), rtol=1e-5)


@pytest.mark.full
def test_early_stopping_ends_a_run_of_steps_too():
    stopping = fnn.EarlyStopping(2, monitor="loss")
    result = trained(steps=39, optimizer=STILL, early_stopping=stopping, shuffle=False)(KEY, DATA)
    assert result.history["loss"].shape == (10,)
    assert int(result.epochs_run) < 10


@pytest.mark.full
def test_runs_of_steps_map_over_seeds():
    keys = jax.random.split(KEY, 2)
    stacked = jax.jit(jax.vmap(lambda key: run(steps=6)(key, DATA)))(keys)
    for index, key in enumerate(keys):
        alone = trained(steps=6)(key, DATA)
        np.testing.assert_allclose(stacked.history["loss"][index], alone.history["loss"], rtol=2e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the two; got epochs=None, steps=None"),
        ({"epochs": 1, "steps": 4}, "one of the two; got epochs=1, steps=4"),
        ({"steps": 0}, "steps is at least 1, got 0"),
        ({"epochs": 1, "validate_every": 0}, "validate_every is at least 1, got 0"),
        ({"epochs": 1, "checkpoint_steps": 0}, "checkpoint_steps is at least 1, got 0"),
        (
            {"epochs": 9, "checkpoint_steps": 2, "early_stopping": fnn.EarlyStopping(2, monitor="loss")},
            "a run that stops early cannot be differentiated",
        ),
        ({"epochs": 9, "checkpoint_steps": 2, "on_epoch": print}, "on_epoch would be called again"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValueError, match=message):
        run(**options)


# ---- validation now and then


@pytest.mark.full
@pytest.mark.parametrize("chunk", [None, 3])
def test_validation_now_and_then_is_that_of_every_epoch(chunk):
    options = {"metrics": (fnn.Accuracy(), Count()), "checkpoint_steps": chunk}
    always = trained(epochs=8, **options)(KEY, DATA, validation=DATA)
    seldom = trained(epochs=8, validate_every=3, **options)(KEY, DATA, validation=DATA)
    close(seldom.params, always.params, rtol=1e-6)  # two programs: XLA may round the same steps differently
    due = np.isin(np.arange(8), [2, 5, 7])
    for name, values in always.history.items():
        there = due if name.startswith("validation_") else np.full(8, True)
        np.testing.assert_allclose(seldom.history[name][there], values[there], rtol=1e-6)
        rest = seldom.history[name][~there]
        assert (rest == -1 if name == "validation_count" else np.isnan(rest)).all()


@pytest.mark.full
def test_validation_is_computed_only_where_it_is_due():
    counted = []

    @dataclasses.dataclass(frozen=True)
    class Told(Metric):
        name = "told"

        def update(self, outputs, targets, weights=None):
            jax.debug.callback(lambda: counted.append(1))
            return jnp.zeros(())

        def value(self, sums):
            return sums

    held_out = jax.tree.map(lambda leaf: leaf[:16], DATA)  # one batch, as is an epoch
    trained(epochs=8, validate_every=3, metrics=(Told(),))(KEY, held_out, validation=held_out)
    jax.effects_barrier()
    assert len(counted) == 8 + 3


@pytest.mark.full
def test_early_stopping_judges_the_epochs_that_have_what_it_watches():
    stopping = fnn.EarlyStopping(2)
    diverging = fnn.optim.sgd(lambda step: jnp.where(step < 20, 0.05, 5.0))  # from the sixth epoch on
    options = {"optimizer": diverging, "epochs": 30, "validate_every": 2, "early_stopping": stopping}
    result = trained(**options)(KEY, DATA, validation=DATA)
    values = np.asarray(result.history["validation_loss"])
    ran = int(result.epochs_run)
    judged = np.arange(1, ran, 2)
    assert ran % 2 == 0
    assert ran < 30
    np.testing.assert_array_equal(np.flatnonzero(np.isfinite(values)), judged)
    best = judged[np.argmin(values[judged])]
    assert ran == best + 1 + 2 * stopping.patience
    # Another program, which validates nothing: float32 rounds it in its own way.
    close(result.params, trained(optimizer=diverging, epochs=int(best) + 1)(KEY, DATA).params, rtol=1e-6, atol=1e-7)


@pytest.mark.full
def test_early_stopping_on_the_training_loss_judges_every_epoch():
    stopping = fnn.EarlyStopping(2, monitor="loss")
    options = {"optimizer": fnn.optim.sgd(lambda step: jnp.where(step < 12, 0.05, 5.0)), "epochs": 30}
    one, other = (
        trained(validate_every=every, early_stopping=stopping, **options)(KEY, DATA, validation=DATA)
        for every in (1, 7)
    )
    assert int(one.epochs_run) == int(other.epochs_run) < 30
    same(one.params, other.params)


@pytest.mark.full
def test_validation_now_and_then_maps_over_seeds():
    keys, train = jax.random.split(KEY, 2), trained(epochs=4, validate_every=2)
    stacked = jax.jit(jax.vmap(lambda key: train(key, DATA, validation=DATA)))(keys)
    for index, key in enumerate(keys):
        alone = train(key, DATA, validation=DATA)
        np.testing.assert_allclose(
            stacked.history["validation_loss"][index], alone.history["validation_loss"], rtol=2e-5
        )
