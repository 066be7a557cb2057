"""The range test of the learning rate: its rates, its losses, its means, what it suggests and what it refuses."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.train.range_test import LearningRates, _judged, means_of
from tests.comparing import close, same
from tests.drawing import drawn

X = drawn("inputs of a range test", 40, 3).astype(np.float32)
Y = X @ np.array([[1.0], [2.0], [-1.0]], np.float32)
OBJECTIVE = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
KEY = jax.random.key(0)


def find(optimizer: Any = fnn.optim.sgd, data: Any = (X, Y), **options: Any) -> LearningRates:
    return fnn.find_learning_rate(OBJECTIVE, optimizer, data, **{"batch_size": 16, "key": KEY, "steps": 60} | options)


@functools.cache
def usual() -> LearningRates:
    return find()


def test_the_suggestion_is_a_tenth_of_the_rate_at_the_least_mean():
    found = usual()
    close(found.rates, np.geomspace(1e-6, 10, 60), rtol=1e-6)
    assert found.suggestion == found.rates[20 + found.smoothed[20:].argmin()] / 10
    assert 0.01 < found.suggestion < 0.2
    # The quadratic of this regression diverges from a rate of about 1 on.
    assert len(found.smoothed) < 60
    close(found.smoothed, means_of(found.losses))
    assert repr(found).startswith(
        f"LearningRates(suggestion={found.suggestion:.3g}, 60 steps from 1e-06 to 10, diverged"
    )


def test_the_means_are_weighted_by_age_and_end_where_they_rise():
    expected = np.array([4, (0.95 * 4 + 2) / 1.95, (0.9025 * 4 + 0.95 * 2 + 3) / 2.8525])
    close(means_of(np.array([4.0, 2.0, 3.0])), expected)
    assert len(means_of(np.array([1.0, 0.5, np.nan, 0.1]))) == 2
    assert len(means_of(np.array([1.0, 0.9, 50.0, 0.1]))) == 2
    assert len(means_of(np.array([-1.0, -2.0, 20.0]))) == 2


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([np.nan] * 20, "the loss of the first batch is nan, so that no rate"),
        ([1.0, 50.0] * 10, "did not fall by more"),
    ],
)
def test_a_run_that_diverges_at_once_has_no_suggestion(losses: list[float], words: str):
    with pytest.warns(RuntimeWarning, match=words):
        found = _judged(np.geomspace(1e3, 1e6, 20), np.array(losses))
    assert np.isnan(found.suggestion)
    assert "diverged at 1" in repr(found)


def test_an_easy_first_batch_is_no_minimum():
    losses = np.concatenate([[0.4], np.full(60, 1.0), np.linspace(1, 0.2, 40), np.linspace(1, 9, 20)])
    rates = np.geomspace(1e-6, 10, len(losses))
    found = _judged(rates, losses + 0.01 * np.cos(np.arange(len(losses))))
    assert rates[90] / 10 < found.suggestion < rates[115] / 10


@pytest.mark.full
def test_the_losses_are_those_of_training_with_each_rate():
    params, state = OBJECTIVE.init(jax.random.key(7), X)
    kept = jax.tree.map(np.array, params)
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    with pytest.warns(RuntimeWarning, match="still falling"):
        found = find(data=batches, batch_size=None, steps=20, highest=0.1, params=params, state=state)
    w, b = (np.asarray(kept[name], np.float64) for name in ("kernel", "bias"))
    losses = []
    for step, rate in enumerate(found.rates):
        x, y = batches[step % 2]
        e = x @ w + b - y
        losses.append((e**2).mean())
        w, b = w - rate * 2 * x.T @ e / len(x), b - rate * 2 * e.mean(0)
    close(found.losses, np.array(losses), rtol=1e-4)
    same(params, kept)


@pytest.mark.full
def test_an_optimiser_with_any_rate_a_constructor_and_a_function_of_the_rate_agree():
    expected = usual().losses
    close(find(fnn.optim.sgd(123.0)).losses, expected, rtol=1e-5)
    clipped = find(lambda rate: fnn.optim.chain(fnn.optim.clip_by_value(1e9), fnn.optim.sgd(rate)))
    close(clipped.losses, expected, rtol=1e-5)
    assert find(lambda rate: fnn.optim.sgd(rate / 2)).suggestion > 1.3 * usual().suggestion


def test_rates_at_which_nothing_is_learned_give_no_number():
    with pytest.warns(RuntimeWarning, match="the loss did not fall by more than its noise at any rate from 1e-09"):
        assert np.isnan(find(lowest=1e-9, highest=1e-7).suggestion)
    with pytest.warns(RuntimeWarning, match=r"still falling at the highest rate, 0\.03: .* give a higher highest="):
        find(highest=0.03)


@pytest.mark.full
def test_the_picture_is_drawn(tmp_path: Path):
    usual().plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"lowest": 1.0, "highest": 0.1}, ValueError, "the rates rise from lowest to highest in 20 steps or more, got"),
        ({"steps": 5}, ValueError, "in 20 steps or more, got .*steps=5"),
        ({"lowest": 0.0}, ValueError, r"lowest is a number greater than 0, got 0\.0"),
        ({"batch_size": None}, ValueError, "arrays are cut into batches: give batch_size"),
        ({"optimizer": fnn.optim.clip_by_value(1.0)}, ValueError, "has no single hyper-parameter learning_rate, only"),
        ({"optimizer": fnn.optim.sgd(fnn.optim.cosine(0.1, 9))}, ValueError, "learning_rate is driven by a schedule"),
        (
            {"optimizer": lambda rate: fnn.optim.sgd(0.1)},
            ValueError,
            "the optimizer ignores the rate that it is",
        ),
        ({"optimizer": lambda: 0}, TypeError, r"optimizer is called with \(rate\), but"),
        ({"data": [(X, Y), (X[:7], Y[:7])], "batch_size": None}, ValueError, "the batches have one shape, 40 samples"),
    ],
)
def test_what_has_no_rate_or_no_batches_raises(options: Any, error: type, words: str):
    with pytest.raises(error, match=words):
        find(**options)
