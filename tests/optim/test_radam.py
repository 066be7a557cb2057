"""Rectified Adam in float32: the length of the running mean without the digits that its formula cancels."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim.adam_variants import _length

DECAYS = (0.0, 0.5, 1 - 2**-10)
"""They have no rounding in float32, so what is off is the computation's."""

TIMES = np.array([1, 2, 5, 6, 30, 1000, 1024, 5000], np.int32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-7), ("float64", 1e-15)])
def test_the_length_of_a_running_mean_is_its_formula_in_exact_fractions(dtype, tolerance):
    with jax.enable_x64(True):
        decays, times = np.meshgrid(np.array(DECAYS, dtype), TIMES)
        found = jax.jit(_length)(decays, times)
    for b, t, got in zip(map(Fraction, decays.ravel().tolist()), times.ravel().tolist(), found.ravel(), strict=True):
        exact = 2 / (1 - b) - 1 - 2 * t * b**t / (1 - b**t)
        np.testing.assert_allclose(got, float(exact), rtol=tolerance)


def test_thirty_steps_in_float32_are_those_of_float64():
    # The plain formula was off by 8e-5 at the first rectified step, optax's is by 1e-2 (findings).
    rate, b1, b2, eps, grads = 0.5, 0.875, DECAYS[-1], 2.0**-20, np.random.default_rng(0).standard_normal(30)
    optimizer, w = optim.radam(rate, b1, b2, eps), jnp.zeros(())
    grads = grads.astype(np.float32).astype(float)

    def step(opt_state, g):
        updates, opt_state = optimizer.update(g, opt_state, w)
        return opt_state, updates

    found = jax.jit(lambda grads: jax.lax.scan(step, optimizer.init(w), grads)[1])(grads.astype(np.float32))
    m = v = 0.0
    for t, (g, got) in enumerate(zip(grads, found, strict=True), 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        limit = 2 / (1 - b2) - 1
        length = limit - 2 * t * b2**t / (1 - b2**t)
        expected = -rate * m / (1 - b1**t)
        if length >= 5:
            r = np.sqrt((length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length))
            expected *= r / (np.sqrt(v / (1 - b2**t)) + eps)
        np.testing.assert_allclose(got, expected, rtol=3e-6)
