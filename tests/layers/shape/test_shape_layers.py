"""Layers that move, repeat, interpolate or surround entries, global pools, functions as layers."""

# Arguments are wrong on purpose, and a row of what is refused is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import functools
import itertools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layers.shape._fixed_map import FixedMap
from tests import compiled
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def run(layer: fnn.Layer, x: Any, params: Any = None) -> np.ndarray:
    return np.asarray(compiled.apply(layer, params or {}, {}, x)[0])


def returned(layer: fnn.Layer, x: Any, dy: Any) -> Any:
    """dx."""
    _, _, cache = compiled.forward(layer, {}, {}, x)
    return compiled.backward(layer, cache, dy)[1]


# ---- enlarging


@pytest.mark.parametrize("scale", [2, (3, 1), (2, 3)])
def test_nearest_repeats_every_place(scale: Any, random: Any):
    x = random(2, 3, 2, 4)
    s = (scale, scale) if isinstance(scale, int) else scale
    expected = np.zeros((2, 3 * s[0], 2 * s[1], 4))
    for h, w in np.ndindex(*expected.shape[1:3]):
        expected[:, h, w] = x[:, h // s[0], w // s[1]]
    assert (run(fnn.UpSample(scale), x) == expected).all()


def test_the_gradient_of_nearest_is_the_sum_of_each_block():
    dy = jnp.arange(12.0).reshape(1, 4, 3, 1)
    dx = returned(fnn.UpSample((2, 3)), np.zeros((1, 2, 1, 1)), dy)
    assert dx.ravel().tolist() == [0 + 1 + 2 + 3 + 4 + 5, 6 + 7 + 8 + 9 + 10 + 11]


def test_linear_worked_by_hand():
    # Outputs at −1/3, 0, 1/3, 2/3, 1, 4/3 of the scale on which the inputs are at 0 and 1.
    layer = fnn.UpSample(3, method="linear")
    close(run(layer, np.array([[[0.0], [3.0]]])).ravel(), np.array([0, 0, 1, 2, 3, 3]))
    dx = returned(layer, np.zeros((1, 2, 1)), jnp.array([1.0, 2, 3, 6, 5, 4]).reshape(1, 6, 1))
    close(dx.ravel(), np.array([1 + 2 + 3 * 2 / 3 + 6 / 3, 3 / 3 + 6 * 2 / 3 + 5 + 4]))


@pytest.mark.parametrize(("sizes", "scale"), [((3,), (2,)), ((4, 3), (2, 3)), ((1, 2), (4, 1)), ((2, 3, 2), (2, 1, 5))])
def test_linear_is_that_of_jax(sizes: tuple, scale: tuple, random: Any):
    x = random(2, *sizes, 3)
    shape = (2, *(size * s for size, s in zip(sizes, scale, strict=True)), 3)
    close(run(fnn.UpSample(scale, method="linear"), x), jax.image.resize(x, shape, "linear"))


def test_linear_keeps_16_bits_but_sums_in_32():
    x = jnp.array([256, 257, 1], jnp.bfloat16).reshape(1, 3, 1)  # 257 is 256 in bfloat16
    y = compiled.apply(fnn.UpSample(2, method="linear"), {}, {}, x)[0]
    assert y.dtype == jnp.bfloat16
    exact = jax.image.resize(x.astype(jnp.float32), (1, 6, 1), "linear").astype(jnp.bfloat16)
    assert (y == exact).all()


@pytest.mark.parametrize("factor", [2, 3, (2, 3)])
def test_pixel_shuffle_moves_channels_as_its_docstring_says(factor: Any, random: Any):
    r = (factor, factor) if isinstance(factor, int) else factor
    x = random(2, 3, 2, 2 * r[0] * r[1])
    expected = np.zeros((2, 3 * r[0], 2 * r[1], 2))
    for h, w, i, j, c in itertools.product(range(3), range(2), range(r[0]), range(r[1]), range(2)):
        expected[:, h * r[0] + i, w * r[1] + j, c] = x[:, h, w, c * r[0] * r[1] + i * r[1] + j]
    layer = fnn.PixelShuffle(factor)
    assert (run(layer, x) == expected).all()
    assert (returned(layer, x, expected) == x).all()


def test_pixel_shuffle_of_a_volume_takes_the_place_in_row_order():
    layer, x = fnn.PixelShuffle(2), np.arange(16.0).reshape(1, 1, 1, 1, 16)
    y = run(layer, x)
    assert (y[0, ..., 0] == np.arange(8).reshape(2, 2, 2)).all()
    assert (y[0, ..., 1] == 8 + np.arange(8).reshape(2, 2, 2)).all()


# ---- surrounding


@pytest.mark.parametrize("width", [((1, 2), (0, 0), (3, 0)), ((0, 1), (2, 2), (1, 1))])
def test_pad_is_that_of_numpy_on_every_sample(width: Any, random: Any):
    x = random(2, 3, 2, 4)
    layer = fnn.Pad(width, value=-1.5)
    expected = np.pad(x, ((0, 0), *width), constant_values=-1.5)
    assert (run(layer, x) == expected).all()
    assert (returned(layer, x, expected) == x).all()


def test_an_integer_pads_all_axes_but_the_channels(random: Any):
    x = random(2, 3, 2, 4)
    assert (run(fnn.Pad(2), x) == np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))).all()
    assert (run(fnn.Pad((1, 0, (0, 2))), x) == np.pad(x, ((0, 0), (1, 1), (0, 0), (0, 2)))).all()


def test_infinity_can_be_padded_with():
    assert run(fnn.Pad(1, value=-np.inf), np.zeros((1, 1, 1))).ravel().tolist() == [-np.inf, 0, -np.inf]


def test_a_list_of_lists_is_a_width():
    layer = fnn.Pad([[1, 2], 3])
    assert layer == fnn.Pad(((1, 2), (3, 3)))
    assert hash(layer) == hash(fnn.Pad(((1, 2), (3, 3))))


# ---- reordering, and nothing


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
def test_transpose_reorders_the_axes_of_a_sample(axes: tuple, random: Any):
    x = random(5, 2, 3, 4)
    layer = fnn.Transpose(axes)
    expected = np.stack([sample.transpose(axes) for sample in x])
    assert (run(layer, x) == expected).all()
    assert (returned(layer, x, expected) == x).all()


def test_transpose_of_height_and_width(random: Any):
    x = random(2, 3, 4, 5)
    assert (run(fnn.Transpose((1, 0, 2)), x) == x.swapaxes(1, 2)).all()


def test_identity_passes_everything_on():
    x, dy = (jnp.ones(2), {"mask": jnp.ones(2, bool)}), (jnp.ones(2), {"mask": None})
    y, _, cache = fnn.Identity().forward({}, {}, x)
    assert y is x
    assert cache == {}
    assert fnn.Identity().backward(cache, dy) == ({}, dy)


MOVERS = [
    fnn.Flatten(),
    fnn.Reshape((-1,)),
    fnn.Transpose((1, 2, 0)),
    fnn.Pad(1),
    fnn.UpSample(2),
    fnn.PixelShuffle(2),
]


@pytest.mark.parametrize("layer", MOVERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.int8, np.uint32, np.bool_, np.float16])
def test_any_dtype_is_kept_and_without_a_gradient_where_it_has_none(layer: fnn.Layer, dtype: Any, draw: Any):
    x = draw.integers(0, 2, (2, 3, 2, 4)).astype(dtype)
    y, _, cache = compiled.forward(layer, {}, {}, x)
    assert y.dtype == dtype
    if dtype != np.float16:
        assert layer.backward(cache, None) == ({}, None)


@pytest.mark.parametrize("layer", [*MOVERS, fnn.UpSample(2, method="linear")], ids=repr)
def test_the_gradient_is_the_transpose(layer: FixedMap, random: Any):
    x = random(2, 3, 2, 4)
    y = run(layer, x)
    dy = random(*y.shape)
    close((returned(layer, x, dy) * x).sum(), (dy * y).sum())


# ---- the maximum of an image


def test_global_max_pool(random: Any):
    x = random(2, 3, 4, 5)
    assert (run(fnn.GlobalMaxPool(), x) == x.reshape(2, 12, 5).max(1)).all()


def test_global_max_pool_keeps_one_number_an_output(random: Any):
    _, _, cache = compiled.forward(fnn.GlobalMaxPool(), {}, {}, random(2, 3, 4, 5))
    assert (cache["winner"].shape, cache["winner"].dtype) == ((2, 5), jnp.int32)
    assert len(jax.tree.leaves(cache)) == 1


# ---- a function


def doubled(x: jax.Array) -> jax.Array:
    return 2 * x


def test_lambda_is_its_function_and_its_rule_is_automatic(random: Any):
    layer, x = fnn.Lambda(doubled), random(2, 3)
    assert (run(layer, x) == 2 * x).all()
    assert (returned(layer, x, x) == 2 * x).all()
    assert layer.rule == "auto"
    assert repr(layer) == "Lambda(fn=doubled)"
    assert layer == fnn.Lambda(doubled)
    assert hash(layer) == hash(fnn.Lambda(doubled))


def test_the_name_of_a_function_with_arguments_is_its_own():
    assert repr(fnn.Lambda(functools.partial(doubled))).startswith("Lambda(fn=functools.partial(")


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fnn.UpSample(0), ValueError, "scale is at least 1, got 0"),
        (lambda: fnn.UpSample(1.5), TypeError, "scale is an integer or a tuple with one per axis, got 1.5"),
        (lambda: fnn.UpSample(2, method="cubic"), ValueError, "method is 'nearest' or 'linear', got 'cubic'"),
        (lambda: fnn.PixelShuffle(0), ValueError, "factor is at least 1, got 0"),
        (lambda: fnn.PixelShuffle("2"), TypeError, "factor is an integer or a tuple with one per axis, got '2'"),
        (lambda: fnn.Pad(-1), ValueError, "width is an integer of at least 0, or a tuple of pairs"),
        (lambda: fnn.Pad(1.0), ValueError, "width is an integer of at least 0, or a tuple of pairs"),
        (lambda: fnn.Pad(((1, 2, 3),)), ValueError, "of a sample, got ((1, 2, 3),)"),
        (lambda: fnn.Pad((1, True)), ValueError, "got ((1, 1), (True, True))"),
        (lambda: fnn.Transpose(0), TypeError, "axes is a tuple with every axis of a sample once, got 0"),
        (lambda: fnn.Transpose((1, 2)), ValueError, "(for 2 axes a permutation of (0, 1)), got (1, 2)"),
        (lambda: fnn.Transpose((0, -1)), ValueError, "axes lists every axis of a sample once, counted from 0 without"),
        (lambda: fnn.Transpose((0, 0)), ValueError, "got (0, 0)"),
        (lambda: fnn.Lambda(3), TypeError, "fn is a function of x, got 3"),
        (lambda: fnn.Lambda(fnn.Relu), TypeError, "; did you mean Relu(…)?"),
        (lambda: fnn.Lambda(fnn.Relu()), TypeError, "got Relu(); layers are composed by Serial"),
        (lambda: fnn.Lambda(Unhashable()), TypeError, "fn is hashable, so that layers can be compared"),
        (lambda: fnn.Bilinear(0), ValueError, "features is at least 1, got 0"),
    ],
)
def test_options(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


class Unhashable:
    __hash__ = None  # type: ignore

    def __call__(self, x: Any) -> Any:
        return x


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (fnn.UpSample(2), np.zeros((2, 3)), ValueError, "expected an input (N, spatial, …, C), got the shape (2, 3)"),
        (fnn.UpSample((2, 2)), np.zeros((2, 3, 1)), ValueError, "scale has 2 entries for 1 spatial axes: (2, 2)"),
        (fnn.UpSample(2, method="linear"), np.zeros((2, 3, 1), int), TypeError, "expected an array of floating dtype"),
        (fnn.PixelShuffle(2), np.zeros((2, 3)), ValueError, "expected an input (N, spatial, …, C), got the shape (2, 3)"),
        (fnn.PixelShuffle((2, 1)), np.zeros((2, 3, 2)), ValueError, "factor has 2 entries for 1 spatial axes: (2, 1)"),
        (
            fnn.PixelShuffle(2),
            np.zeros((2, 3, 3, 6)),
            ValueError,
            "expected channels in a multiple of 4, the size of a block, got float64[2,3,3,6]",
        ),
        (fnn.Pad((1, 1)), np.zeros((2, 3)), ValueError, "width has 2 entries for the 1 axes of a sample of float64[2,3]"),
        (fnn.Pad(1), np.zeros((2, 3)), ValueError, "has only one; write width=((1, 1),)"),
        (fnn.Pad(1, value=0.5), np.zeros((2, 3, 1), int), TypeError, "the input's dtype cannot hold value=0.5: int64["),
        (fnn.Pad(1, value=np.inf), np.zeros((2, 3, 1), int), TypeError, "the input's dtype cannot hold value=inf"),
        (fnn.Transpose((1, 0)), np.zeros((2, 3)), ValueError, "expected axes for the 1 axes of a sample of float64[2,3], got (1, 0)"),
        (fnn.Transpose((0,)), np.zeros(()), ValueError, "expected an input (N, …), got a scalar"),
        (fnn.GlobalMaxPool(), np.zeros((2, 3)), ValueError, "expected an input (N, spatial, …, C), got the shape (2, 3)"),
        (fnn.GlobalMaxPool(), np.zeros((2, 3, 1), int), TypeError, "expected an array of floating dtype, got int64[2,3,1]"),
    ],
)  # fmt: skip
def test_inputs(layer: fnn.Layer, x: np.ndarray, error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        layer.apply({}, {}, jnp.asarray(x))
