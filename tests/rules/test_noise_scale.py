"""The noise scale: against the examples' gradients in full."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.paths import named_leaves
from tests.comparing import close
from tests.rules import alone

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((6, 3))
LABELS = np.random.default_rng(1).integers(0, 3, 6)


def test_signal_and_noise_are_the_unbiased_estimates_whole_and_by_leaf():
    model = fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Repeat(fnn.Dense(4), 2), fnn.Dense(3))
    objective = fnn.Objective(model, fnn.CrossEntropy(), (fnn.L2(0.1),))
    params, state = objective.init(KEY, X)
    each = alone.gradients(objective, params, state, (X, LABELS), None, True)
    found = jax.jit(lambda params: fnn.gradient_noise_scale(objective, params, state, (X, LABELS)))(params)
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
