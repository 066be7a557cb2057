import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim

GRADS = {"bias": jnp.array([3.0]), "kernel": jnp.array([[4.0, 0.0]])}  # of norm 5


def clipped(max_norm, grads, params=None):
    transform = optim.clip_by_global_norm(max_norm)
    return transform.update(grads, transform.init(grads), params)[0]


@pytest.mark.parametrize("max_norm", [5.0, 5.5, 1e30, math.inf])
def test_a_gradient_at_or_below_the_norm_is_left_as_it_is(max_norm):
    jax.tree.map(np.testing.assert_array_equal, clipped(max_norm, GRADS), GRADS)


@pytest.mark.parametrize("max_norm", [4.99, 1.0, 1e-6, 1e-30])
def test_a_longer_gradient_is_clipped_to_the_norm_in_its_direction(max_norm):
    found = clipped(max_norm, GRADS)
    np.testing.assert_allclose(found["bias"], [0.6 * max_norm], rtol=1e-6)
    np.testing.assert_allclose(found["kernel"], [[0.8 * max_norm, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("max_norm", [0.5, 2.0])
def test_a_zero_gradient_stays_zero(max_norm):
    with jax.debug_nans(True):
        np.testing.assert_array_equal(clipped(max_norm, jnp.zeros(3)), 0)


@pytest.mark.parametrize("size", [1e30, 1e38, 3e38, 1e-30, 1e-38, 1e-45])
def test_no_finite_gradient_overflows_or_vanishes(size):
    # In float32 the sum of squares of 1e30 is infinite, that of 1e-30 zero.
    grads = jnp.full(4, size, jnp.float32)
    expected = jnp.full(4, min(size, 0.5), jnp.float32)
    np.testing.assert_allclose(clipped(1.0, grads), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(clipped, static_argnums=0)(1.0, grads), expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_a_gradient_that_is_not_finite_is_not_hidden(bad):
    assert np.isnan(clipped(1.0, jnp.array([1.0, bad, 2.0]))).all()


def test_low_precision_is_measured_in_float32():
    grads = jnp.full(1000, 0.125, jnp.bfloat16)  # a bfloat16 sum of squares stops growing at 4, its norm at 2
    found = clipped(1.0, grads)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), 1000**-0.5, rtol=4e-3)


def test_leaves_of_several_dtypes_and_of_no_entries_make_one_norm():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        grads = {"a": jnp.array([3.0], jnp.bfloat16), "b": jnp.array([4.0], jnp.float64), "c": jnp.zeros((0, 2))}
        found = clipped(2.5, grads)
        np.testing.assert_array_equal(found["a"], jnp.array([1.5], jnp.bfloat16))
        np.testing.assert_allclose(found["b"], [2.0], rtol=1e-15)
    assert clipped(1.0, {"nothing": None}) == {"nothing": None}


def test_the_derivative_of_clipping_is_that_of_the_formula():
    def formula(g):
        return g * (2.0 / jnp.sqrt(jnp.sum(g**2)))

    with jax.enable_x64(True):
        g = jnp.array([3.0, 4.0, -1.0])
        slope = jax.jit(jax.jacobian(lambda g, max_norm: clipped(max_norm, g)))
        np.testing.assert_allclose(slope(g, 2.0), jax.jit(jax.jacobian(formula))(g), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(slope(g, 9.0), np.eye(3))
        assert np.isfinite(slope(jnp.zeros(3), 2.0)).all()
