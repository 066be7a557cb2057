"""Φ from one exponential is as exact as by erfc, and has its derivatives."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import erfc
from scipy.special import ndtr

import fnn
from fnn.layers.activation._normal import distribution_and_bell

# Where the error grows is where x²/2 is rounded: it is compared piece by piece.
PIECES = [(-12, -8), (-8, -5), (-5, -3), (-3, -1), (-1, 0), (0, 1), (1, 3), (3, 9)]


def errors(distribution: Any, x: np.ndarray) -> np.ndarray:
    exact = ndtr(x.astype(np.float64))
    return np.abs(np.asarray(distribution, np.float64) / exact - 1)


@pytest.mark.parametrize("piece", PIECES, ids=str)
def test_it_is_as_exact_as_by_erfc_at_every_x(piece: tuple[int, int]):
    x = np.linspace(*piece, 100_001, dtype=np.float32)
    ours = errors(jax.jit(distribution_and_bell)(x)[0], x)
    by_erfc = errors(jax.jit(lambda x: 0.5 * erfc(x * np.float32(-np.sqrt(0.5))))(x), x)
    assert ours.max() <= 1.2 * by_erfc.max() + 2e-8
    assert ours.mean() <= 1.1 * by_erfc.mean()


def test_at_the_ends_and_at_zero():
    x = np.array([-np.inf, -40, 0, 40, np.inf, np.nan], np.float32)
    distribution, bell = map(np.asarray, distribution_and_bell(x))
    np.testing.assert_array_equal(distribution, np.array([0, 0, 0.5, 1, 1, np.nan], np.float32))
    np.testing.assert_array_equal(bell, np.array([0, 0, 1, 0, 0, np.nan], np.float32))


def test_its_derivatives_are_the_density_and_minus_x_times_it():
    x = np.array([-2.5, -1, -0.3, 0, 0.3, 1, 2.5], np.float32)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    first = jax.vmap(jax.grad(lambda x: distribution_and_bell(x)[0]))
    np.testing.assert_allclose(first(x), density, rtol=1e-6)
    second = jax.vmap(jax.grad(jax.grad(lambda x: distribution_and_bell(x)[0])))
    np.testing.assert_allclose(second(x), -x * density, rtol=1e-5, atol=1e-7)


def test_the_slope_of_gelu_has_its_own_at_zero_too():
    """|x| inside the polynomials has no slope at 0; the derivative of Φ does not come from them."""
    gelu = fnn.Gelu()

    def slope(x: jax.Array) -> jax.Array:
        return gelu.backward({"x": x}, jnp.ones_like(x))[1]

    _, curvature = jax.jvp(slope, (jnp.zeros(1),), (jnp.ones(1),))
    np.testing.assert_allclose(curvature, 2 / np.sqrt(2 * np.pi), rtol=1e-6)
