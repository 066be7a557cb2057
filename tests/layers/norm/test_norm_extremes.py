"""Every normaliser of sets without a spread, of one that no number holds, and of a single value."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer
from tests import compiled
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
INF, NAN = float("inf"), float("nan")

# Sets of three numbers of float32, and whether their mean and the mean of their squares are numbers too. Three times
# 33333.3 or 1e25 is rounded: a mean taken from that sum would stand beside every entry, and look like a spread.
SETS = {
    "ordinary": ([1.0, 2.0, 4.0], True, True),
    "near another": ([4096.0, 4096.5, 4097.0], True, True),
    "all zero": ([0.0, 0.0, 0.0], True, True),
    "all equal": ([33333.3, 33333.3, 33333.3], True, True),
    "tiny": ([-1e-25, 0.0, 1e-25], True, True),
    "large": ([-1e15, 0.0, 1e15], True, True),
    "all equal and huge": ([1e25, 1e25, 1e25], True, False),
    "squares that overflow": ([-1e25, 0.0, 1e25], False, False),
    "a sum that overflows": ([3e38, 3e38, 1e38], False, False),
    "an infinity": ([1.0, INF, 2.0], False, False),
    "no number": ([1.0, NAN, 2.0], False, False),
}
NORMS = {
    "batch norm": (fnn.BatchNorm(), lambda x: x.T),
    "layer norm": (fnn.LayerNorm(), lambda x: x),
    "RMS norm": (fnn.RMSNorm(epsilon=1e-5), lambda x: x),
    "group norm": (fnn.GroupNorm(2), lambda x: np.repeat(x, 2, 0).reshape(len(x), 6)),
    "instance norm": (fnn.InstanceNorm(), lambda x: x[:, :, None]),
}
"""A layer, and how it sees sets as those that it normalises."""


def standardized(x: np.ndarray, dy: np.ndarray, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """x̂ and dx of every set (R, 3), in float64."""
    mean = x.mean(1, keepdims=True) if centred else 0.0
    inverse = 1 / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + 1e-5)
    normal = (x - mean) * inverse
    along_one = dy.mean(1, keepdims=True) if centred else 0.0
    return normal, inverse * (dy - along_one - normal * (dy * normal).mean(1, keepdims=True))


@pytest.mark.parametrize("name", NORMS)
def test_a_set_is_normalised_right_or_is_not_a_number_and_leaves_the_others_alone(name: str, random: Any):
    layer, seen = NORMS[name]
    centred = name != "RMS norm"
    sets = np.array([each for each, _, _ in SETS.values()], np.float32)
    known = np.array([spread if centred else square for _, spread, square in SETS.values()])
    dy = random(*sets.shape).astype(np.float32)
    with np.errstate(all="ignore"):
        y, dx = standardized(sets.astype(np.float64), dy.astype(np.float64), centred)
    y[~known], dx[~known] = NAN, NAN

    params, state = compiled.init(layer, KEY, seen(sets))
    got, (_, got_dx), _ = compiled.gradients(layer, params, state, seen(sets), seen(dy), train=True)
    np.testing.assert_allclose(got, seen(y), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got_dx, seen(dx), rtol=1e-4, atol=1e-4 * np.nanmax(np.abs(seen(dx))))


def test_batch_norm_in_inference_does_not_divide_by_a_variance_that_has_overflowed():
    state = {"mean": jnp.zeros(2), "var": jnp.array([INF, 4.0]), "count": jnp.ones((), jnp.int32)}
    layer = fnn.BatchNorm(use_scale=False, use_bias=False, epsilon=0.0)
    y = compiled.apply(layer, {}, state, jnp.array([[2.0, 2.0]]))[0]
    np.testing.assert_array_equal(y, [[NAN, 1.0]])


def test_the_layer_norm_of_a_recurrent_layer_does_not_divide_by_one_either():
    layer, x = fnn.SimpleRNN(3, layer_norm=True), np.ones((2, 4, 2), np.float32)
    x[0, 2] = 1e25
    params, state = compiled.init(layer, KEY, x)
    y, _ = compiled.apply(layer, params, state, x)
    assert jnp.isnan(y).tolist() == [[[False] * 3] * 2 + [[True] * 3] * 2, [[False] * 3] * 4]


# ---- a single value

ALONE = [
    (fnn.LayerNorm(), (4, 1), "a position needs at least two channels for a variance, got one: (4, 1)"),
    (fnn.GroupNorm(4), (2, 4), "a group needs at least two values for a variance, got one"),
    (fnn.InstanceNorm(), (2, 1, 1, 4), "a channel needs at least two positions for a variance, got one"),
    (fnn.BatchNorm(), (1, 4), "training needs at least two values per channel for a variance, got one"),
    (fnn.SimpleRNN(1, layer_norm=True), (2, 3, 4), "layer_norm needs at least two features to take a variance of"),
]


@pytest.mark.parametrize(("layer", "shape", "message"), ALONE, ids=lambda each: str(each))
def test_the_variance_of_one_value_is_refused_by_the_path_of_the_layer(layer: Layer, shape: tuple, message: str):
    """It is 0 whatever the value, so every output would be the bias, and nothing in front of it would learn."""
    model = fnn.Serial(body=fnn.Serial(norm=layer))
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        jax.eval_shape(lambda key, x: model.apply(*model.init(key, x), x, train=True), KEY, shape_of(*shape))
    assert [note for note in raised.value.__notes__ if note.startswith("in body/norm: ")]


def test_a_gated_layer_of_one_feature_normalises_its_gates():
    for layer, gates in ((fnn.LSTM(1, layer_norm=True), 4), (fnn.GRU(1, layer_norm=True), 3)):
        params, _ = jax.eval_shape(layer.init, KEY, shape_of(2, 3, 4))
        assert params["input_scale"].shape == (gates,)


def test_the_root_mean_square_of_one_value_is_its_size():
    y = fnn.RMSNorm(epsilon=0.0, use_scale=False).apply({}, {}, jnp.array([[3.0], [-0.5]]))[0]
    assert y.tolist() == [[1.0], [-1.0]]
