"""What early stopping makes of the values that it is told, epoch by epoch: above all of those that are not finite."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import named_key

NAN, INF = math.nan, math.inf
START = "start"


def watched(values, losses, *, sign, patience=9, min_delta=0.0):
    """The epoch whose parameters are the result of each of so many epochs, ``START`` before the first; and the waits.

    ``values`` holds ``None`` where nothing is judged.
    """
    stopping, results, waits = fnn.EarlyStopping(patience, min_delta), [], []
    update = jax.jit(lambda watch, value, learned, loss: stopping.update(watch, value, learned, sign, loss))
    watch = stopping.start({"epoch": jnp.array(-1)})
    for epoch, (value, loss) in enumerate(zip(values, losses, strict=True)):
        learned = {"epoch": jnp.array(epoch)}
        if value is not None:
            watch = update(watch, jnp.array(value), learned, jnp.array(loss))
        result = int(stopping.result(watch, learned)["epoch"])
        results.append(START if result < 0 else result)
        waits.append(int(watch.waited))
        assert bool(stopping.found(watch)) == (result >= 0 and any(each is not None for each in values[: epoch + 1]))
    return results, waits


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_an_epoch_that_is_not_finite_is_never_the_best(bad, sign):
    assert watched([bad, 1.0, bad, 1.0], [1.0] * 4, sign=sign) == ([START, 1, 1, 1], [1, 0, 1, 2])


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_nor_is_one_whose_loss_is_not_finite_whatever_is_watched(bad):
    assert watched([0.9, 0.5, 1.0], [bad, 1.0, bad], sign=1) == ([START, 1, 1], [1, 0, 1])


def test_where_none_is_finite_the_result_is_what_the_run_started_from():
    assert watched([NAN, -INF, INF], [1.0] * 3, sign=-1)[0] == [START] * 3


def test_where_none_was_judged_yet_the_result_is_the_last():
    assert watched([None, None, 1.0, None], [1.0, NAN, 1.0, NAN], sign=-1)[0] == [0, 1, 2, 2]
    assert watched([None, NAN, None], [1.0] * 3, sign=-1)[0] == [0, START, START]


def test_the_patience_counts_what_is_not_finite():
    stopping = fnn.EarlyStopping(2)
    watch = stopping.start(jnp.zeros(()))
    for stops in (False, True):
        watch = stopping.update(watch, jnp.array(NAN), jnp.ones(()), -1, jnp.array(1.0))
        assert bool(stopping.stops(watch)) == stops
    assert stopping.result(watch, jnp.ones(())) == 0


@pytest.mark.parametrize("patience", [2])
def test_a_whole_run_under_vmap_keeps_these_rules_run_by_run(patience):
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    stopping = fnn.EarlyStopping(patience, monitor="loss")
    x = jnp.linspace(-1, 1, 16)[:, None]
    train = fnn.make_train(objective, fnn.optim.sgd, epochs=6, batch_size=8, early_stopping=stopping)
    rates = jnp.array([0.1, 1e30])
    result = jax.jit(jax.vmap(lambda rate: train(jax.random.key(0), (x, 3 * x), rate)))(rates)
    assert result.epochs_run.tolist() == [6, patience]
    start, _ = objective.init(named_key(jax.random.key(0), "init"), x)
    np.testing.assert_allclose(result.params["kernel"][1], start["kernel"], rtol=1e-6)
    assert abs(result.params["kernel"][0] - 3) < abs(start["kernel"] - 3)
