"""Initialisers draw the very numbers of ``jax.nn.initializers``, in one row, which compiles sooner."""

import itertools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import initializers

KEY = jax.random.key(7)
SHAPES = ((64, 10), (2, 8), (3, 3, 4, 8), (5, 1), (1, 5), (7, 2, 3))
DISTRIBUTIONS = ("normal", "truncated_normal", "uniform")


@pytest.mark.full
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
def test_variance_scaling_has_the_bits_of_jax(mode, distribution):
    ours = initializers.VarianceScaling(1.7, mode, distribution)
    theirs = jax.nn.initializers.variance_scaling(1.7, mode, distribution)
    for shape, dtype in itertools.product(SHAPES, ("float32", "bfloat16", "float64")):
        np.testing.assert_array_equal(ours(KEY, shape, dtype), theirs(KEY, shape, dtype))


def test_other_axes_have_the_bits_of_jax():
    ours = initializers.VarianceScaling(2.0, "fan_avg", "uniform", in_axis=0, out_axis=1)
    theirs = jax.nn.initializers.variance_scaling(2.0, "fan_avg", "uniform", in_axis=0, out_axis=1)
    np.testing.assert_array_equal(ours(KEY, (4, 6, 3), "float32"), theirs(KEY, (4, 6, 3), "float32"))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_others_have_the_bits_of_jax(shape):
    pairs = (
        (initializers.Normal(0.3), jax.nn.initializers.normal(0.3)),
        (initializers.TruncatedNormal(0.3), jax.nn.initializers.truncated_normal(0.3)),
        (initializers.Uniform(0.3), lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -0.3, 0.3)),
    )
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours(KEY, shape, "float32"), theirs(KEY, shape, "float32"))


@pytest.mark.parametrize("made", [initializers.LecunNormal(), initializers.Normal(), initializers.Uniform()])
def test_bits_are_drawn_in_one_row(made):
    text = str(jax.make_jaxpr(lambda key: made(key, (3, 3, 4, 8), "float32"))(KEY))
    shapes = re.findall(r"random_bits\[[^]]*shape=\(([\d, ]+)\)", text)
    assert shapes in (["1, 288"], ["288,"])


def test_a_kernel_without_entries_is_empty():
    for distribution in DISTRIBUTIONS:
        for shape in ((0, 3), (3, 0), (3, 3, 0, 4)):
            assert initializers.VarianceScaling(distribution=distribution)(KEY, shape, jnp.float32).shape == shape
    assert fnn.Dense(3).init(KEY, jnp.zeros((2, 0)))[0]["kernel"].shape == (0, 3)


def test_what_has_no_fan_is_refused():
    with pytest.raises(ValueError, match=r"at least two axes, got the shape \(3,\)"):
        initializers.HeNormal()(KEY, (3,), "float32")
    with pytest.raises(ValueError, match="the mode is fan_in, fan_out or fan_avg, got 'fan_both'"):
        initializers.VarianceScaling(mode="fan_both")(KEY, (3, 2), "float32")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="invalid distribution"):
        initializers.VarianceScaling(distribution="cauchy")(KEY, (3, 2), "float32")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="init takes a key"):
        initializers.Normal()(None, (3, 2), "float32")  # pyright: ignore[reportArgumentType]
