"""Reports of small models for the tests of this folder."""

import jax

import fnn
from fnn.gradients.compare import compare_gradients
from tests.drawing import drawn, generator


def report_of(model, inputs, targets, *weights, loss=None, penalties=(), change=lambda params: params, **options):
    objective = fnn.Objective(model, loss or fnn.CrossEntropy(), penalties)
    params, state = objective.init(jax.random.key(0), inputs)
    options = {"key": jax.random.key(1), "cost": False, **options}
    return compare_gradients(objective, change(params), state, (inputs, targets, *weights), **options)


def normal(*shape):
    return drawn("inputs", *shape).astype("float32")


def labels(shape, classes):
    return generator("labels").integers(0, classes, shape)


def good():
    objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    inputs = normal(3, 4)
    return (objective, *objective.init(jax.random.key(0), inputs), (inputs, labels(3, 2)))
