"""Runs that tests sweep, and the data that they learn from."""

import functools
from typing import Any

import jax

import fnn
from tests.comparing import close
from tests.train.blobs import blobs, classifier

KEY = jax.random.key(7)
DATA = blobs()


def by_rate(h: Any) -> Any:
    return fnn.optim.sgd(h["learning_rate"], momentum=0.9)


def runner(objective: Any = None, optimizer: Any = by_rate, **options: Any) -> Any:
    objective = objective or (lambda h: fnn.Objective(classifier(), fnn.CrossEntropy()))
    options = {"epochs": 3, "batch_size": 16} | options
    return fnn.make_train(objective, optimizer, **options)


def linear(optimizer: Any = by_rate, **options: Any) -> Any:
    """Runs that compile quickly, without a remainder."""
    options = {"epochs": 1, "batch_size": 25} | options
    return runner(lambda h: fnn.Objective(fnn.Dense(3), fnn.CrossEntropy()), optimizer, **options)


compiled = functools.cache(jax.jit)
"""Of one run the same program, however many tests call it."""


def check_alone(result: Any, train: Any, data: Any, **options: Any) -> None:
    """Every run of the sweep against the run that the documentation says is the same."""
    for run in range(len(result)):
        alone = compiled(train)(result.keys[run], data, result.combination(run), **options)
        close(result.result(run), alone, rtol=1e-6, atol=1e-6)
