"""Maxout: the largest of consecutive channels, ties, NaN, and the winner that it keeps."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests import compiled

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("pieces", [1, 2, 3, 6])
def test_maxout_is_the_largest_of_consecutive_channels(pieces: int, random: Any):
    x, features = random(2, 4, 6), 6 // pieces
    y = np.asarray(fnn.Maxout(pieces)(jnp.asarray(x)))
    assert y.shape == (2, 4, features)
    for n, t, f in np.ndindex(2, 4, features):
        assert y[n, t, f] == max(x[n, t, f * pieces + k] for k in range(pieces))


def test_maxout_sends_each_gradient_to_its_winner():
    x = jnp.array([[1.0, 3.0, -2.0, -5.0], [4.0, 0.0, -7.0, -6.0]])
    dy = jnp.array([[10.0, 20.0], [30.0, 40.0]])
    for dparams, dx in compiled.gradients(fnn.Maxout(2), {}, {}, x, dy)[1:]:
        assert dparams == {}
        assert dx.tolist() == [[0, 10, 20, 0], [30, 0, 0, 40]]


def test_a_maxout_of_two_pieces_can_be_the_absolute_value():
    params = {"dense_0": {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)}}
    x = jnp.array([[-2.0], [0.0], [3.0]])
    assert compiled.apply(fnn.Serial(fnn.Dense(2), fnn.Maxout(2)), params, {}, x)[0].tolist() == [[2], [0], [3]]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_wins_in_maxout_wherever_it_stands(place: int):
    x = jnp.array([1.0, 5.0, 2.0, 1.0, 2.0, 3.0]).at[place].set(NAN)
    assert jnp.isnan(fnn.Maxout(3)(x)).tolist() == [True, False]
    for _, dx in compiled.gradients(fnn.Maxout(3), {}, {}, x, jnp.ones(2))[1:]:
        assert dx.tolist() == [float(k == place) for k in range(3)] + [0, 0, 1]


def test_infinities_and_the_first_nan_in_maxout():
    x = jnp.array([[-INF, -INF], [INF, INF], [NAN, NAN], [INF, NAN]])
    y = fnn.Maxout(2)(x)
    assert y[:2, 0].tolist() == [-INF, INF]
    assert jnp.isnan(y[2:]).all()
    for _, dx in compiled.gradients(fnn.Maxout(2), {}, {}, x, jnp.ones((4, 1)))[1:]:
        assert dx.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]


def test_maxout_caches_a_byte_an_output():
    _, _, cache = compiled.forward(fnn.Maxout(2), {}, {}, jnp.ones((3, 4)))
    assert {name: (leaf.dtype, leaf.shape) for name, leaf in cache.items()} == {"winner": (jnp.uint8, (3, 2))}
    for pieces in (256, 300):  # the last winner of 256 is 255, of 300 it is 299
        for _, dx in compiled.gradients(fnn.Maxout(pieces), {}, {}, np.arange(2.0 * pieces), np.array([1.0, 2.0]))[1:]:
            assert dx[pieces - 1 :: pieces].tolist() == [1, 2]
            assert dx.sum() == 3


def test_faults_of_maxout():
    with pytest.raises(ValueError, match="pieces is at least 1, got 0"):
        fnn.Maxout(0)
    with pytest.raises(TypeError, match=r"pieces is an integer, got 2\.0"):
        fnn.Maxout(2.0)  # pyright: ignore[reportArgumentType]
    message = r"pieces=2 does not divide the 5 channels of the input; expected an input \(…, F·pieces\)"
    with pytest.raises(ValueError, match=message):
        fnn.Maxout(2)(jnp.ones((3, 5)))
    with pytest.raises(ValueError, match="pieces=2 does not divide a scalar"):
        fnn.Maxout(2)(jnp.ones(()))
    with pytest.raises(TypeError, match="expected an array of floating dtype, got int64"):
        fnn.Maxout(2)(jnp.ones((3, 4), int))
    with pytest.raises(ValueError, match="pieces=2 does not divide the 5 channels") as raised:
        fnn.Serial(fnn.Dense(5), fnn.Maxout(2)).init(KEY, jnp.ones((3, 4)))
    assert "in maxout_0: Maxout(pieces=2), applied to float64[3,5]" in getattr(raised.value, "__notes__", [])


def test_the_kink_detector_counts_the_ties_of_maxout_and_the_corner_of_prelu():
    x = np.array([[1.0, 1.0, 2.0, 0.0], [0.0, 3.0, 4.0, 4.0]])
    assert fnn.Maxout(2).kinks_at(x) == (2, 4, "groups of channels have a tie for the maximum")
    assert fnn.PRelu().kinks_at(x) == (2, 8, "inputs are exactly 0")
