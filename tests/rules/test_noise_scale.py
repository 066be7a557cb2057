"""The noise scale: against the examples' gradients in full."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.paths import named_leaves
from tests import compiled
from tests.comparing import close
from tests.rules import alone

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((6, 3))
LABELS = np.random.default_rng(1).integers(0, 3, 6)


def test_signal_and_noise_are_the_unbiased_estimates_whole_and_by_leaf():
    model = fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Repeat(fnn.Dense(4), 2), fnn.Dense(3))
    objective = fnn.Objective(model, fnn.CrossEntropy(), (fnn.L2(0.1),))
    params, state = compiled.start(objective, KEY, X)

    @jax.jit
    def both(params: Any) -> tuple:
        each = alone.gradients(objective, params, state, (X, LABELS), None, True)
        return each, fnn.gradient_noise_scale(objective, params, state, (X, LABELS))

    each, found = both(params)
    signal = noise = 0.0
    for path, g in named_leaves(each).items():
        g = np.asarray(g).reshape(6, -1)
        variance = g.var(0, ddof=1).sum()
        squared = (g.mean(0) ** 2).sum() - variance / 6
        close(found.leaves[path], (squared, variance), rtol=1e-9, atol=1e-13)
        signal, noise = signal + squared, noise + variance
    close(found[:3], (noise / signal, signal, noise), rtol=1e-9)


def test_equal_examples_have_no_noise():
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    params = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    found = fnn.gradient_noise_scale(objective, params, {}, (np.ones((4, 1)), np.zeros((4, 1))))
    close((found.noise, found.signal), (0.0, 8.0), atol=1e-12)


def test_one_example_has_no_variance():
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    params = {"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}
    with pytest.raises(ValueError, match="at least two"):
        fnn.gradient_noise_scale(objective, params, {}, (np.ones((1, 1)), np.zeros((1, 1))))


# ---- as a metric


def measured(**options: Any) -> tuple[Any, Any]:
    """The history of a run that does not move its parameters, by ``fit`` and by ``make_train``."""
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(3)), fnn.CrossEntropy())
    params, state = compiled.start(objective, KEY, X)
    given = {"epochs": 2, "batch_size": 3, "shuffle": False, "metrics": (fnn.GradientNoise(), fnn.Accuracy())} | options
    data, start = (X, LABELS), {"params": params, "state": state, "validation": (X, LABELS)}
    fitted = fnn.fit(objective, fnn.optim.sgd(0.0), data, key=KEY, progress=False, **start, **given)
    train = fnn.make_train(objective, fnn.optim.sgd(0.0), **given)
    return fitted, jax.jit(lambda: train(KEY, data, **start))()


def test_an_epoch_divides_the_noise_of_its_batches_by_their_signal():
    fitted, made = measured()
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(3)), fnn.CrossEntropy())
    scale = jax.jit(lambda batch: fnn.gradient_noise_scale(objective, fitted.params, fitted.state, batch))
    parts = [scale((X[i : i + 3], LABELS[i : i + 3])) for i in (0, 3)]
    expected = sum(part.noise for part in parts) / sum(part.signal for part in parts)
    for history in (fitted.history, made.history):
        close(history["noise_scale"], np.full(2, expected, np.float32), rtol=1e-5)
        assert "validation_noise_scale" not in history
        assert "validation_accuracy" in history
        assert not history.higher_is_better("noise_scale")


def test_it_is_measured_only_while_training():
    objective = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy())
    params, state = compiled.start(objective, KEY, X)
    with pytest.raises(TypeError, match="measures gradients while fit and make_train run"):
        fnn.evaluate(objective, params, state, (X, LABELS), batch_size=3, metrics=[fnn.GradientNoise()])
    with pytest.raises(ValueError, match=r"history entries need different names .* 'noise_scale', 'noise_scale'"):
        measured(metrics=[fnn.GradientNoise()] * 2)


def test_a_batch_norm_is_refused_where_it_is_measured():
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Dense(3)), fnn.CrossEntropy())
    train = fnn.make_train(objective, fnn.optim.sgd(0.1), epochs=1, batch_size=3, metrics=[fnn.GradientNoise()])
    with pytest.raises(ValueError, match=r"in batch_norm_0: .* takes statistics over the batch"):
        train(KEY, (X, LABELS))
