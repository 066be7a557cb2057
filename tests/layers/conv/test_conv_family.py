"""The adjoint of the convolution, depthwise and separable convolutions."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import itertools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.combinators.named import NamedChildren
from fnn.layers.conv._windows import adjoint_windows, windows
from tests import compiled
from tests.comparing import close, same
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def run(layer: fnn.Layer, params: Any, x: Any) -> Any:
    return compiled.apply(layer, params, {}, x)[0]


# ---- the transposed convolution


OPTIONS = {
    # name: (sizes in, window, strides, dilation, padding as given, padding in front, sizes out)
    "same": ((4,), (3,), (1,), (1,), "SAME", (1,), (4,)),
    "same, strides 2": ((4,), (3,), (2,), (1,), "SAME", (0,), (8,)),
    "same, even kernel, strides 2": ((3,), (4,), (2,), (1,), "SAME", (1,), (6,)),
    "same, even kernel, strides 1": ((3,), (2,), (1,), (1,), "SAME", (0,), (3,)),
    "same, strides beyond the kernel": ((3,), (2,), (5,), (1,), "SAME", (0,), (15,)),
    "same, odd kernel, strides 3, dilated": ((2, 3), (3, 2), (3, 2), (2, 3), "SAME", (1, 1), (6, 6)),
    "valid": ((4,), (3,), (1,), (1,), "VALID", (0,), (6,)),
    "valid, strides 2, dilation 3": ((3, 2), (2, 3), (2, 1), (3, 1), "VALID", (0, 0), (8, 4)),
    "valid, strides beyond the kernel": ((3,), (1,), (3,), (1,), "VALID", (0,), (7,)),
    "causal": ((4,), (3,), (1,), (1,), "CAUSAL", (2,), (4,)),
    "causal, strides 2": ((4,), (3,), (2,), (2,), "CAUSAL", (4,), (7,)),
    "an integer": ((4, 3), (3, 3), (2, 1), (1, 1), 1, (1, 1), (7, 3)),
    "pairs": ((4, 3), (3, 2), (1, 2), (1, 1), ((2, 0), (0, 1)), (2, 0), (4, 5)),
    "padding beyond the kernel": ((5,), (2,), (2,), (1,), ((4, 3),), (4,), (3,)),
    "3-D": ((2, 1, 2), (2, 2, 1), (1, 2, 2), (1, 1, 1), "SAME", (0, 0, 0), (2, 2, 4)),
}


def layer_of(options: tuple, features: int, **more: Any) -> fnn.ConvTranspose:
    _, window, strides, dilation, padding, _, _ = options
    return fnn.ConvTranspose(features, window, strides=strides, dilation=dilation, padding=padding, **more)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", OPTIONS)
def test_conv_transpose_puts_every_input_where_its_docstring_says(name: str, groups: int, random: Any):
    sizes, window, strides, dilation, _, low, out = OPTIONS[name]
    x, bias = random(2, *sizes, 4), random(2)
    kernel = random(*window, 4 // groups, 2)
    expected = np.zeros((2, *out, 2)) + bias
    for o, k in itertools.product(np.ndindex(*sizes), np.ndindex(*window)):
        i = tuple(o[a] * strides[a] + k[a] * dilation[a] - low[a] for a in range(len(o)))
        if not all(0 <= i[a] < out[a] for a in range(len(o))):
            continue
        for n, c, f in itertools.product(range(2), range(4), range(2)):
            if c // (4 // groups) == f // (2 // groups):
                expected[n, *i, f] += x[n, *o, c] * kernel[*k, c % (4 // groups), f]
    close(run(layer_of(OPTIONS[name], 2, groups=groups), {"kernel": kernel, "bias": bias}, x), expected)


@pytest.mark.full
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("name", OPTIONS)
def test_conv_transpose_is_the_adjoint_of_the_convolution_with_the_same_options(name: str, groups: int, random: Any):
    sizes, window, strides, dilation, padding, _, out = OPTIONS[name]
    transposed = layer_of(OPTIONS[name], 6, groups=groups, use_bias=False)
    conv = fnn.Conv(4, window, strides=strides, dilation=dilation, padding=padding, groups=groups, use_bias=False)
    x, u = random(2, *sizes, 4), random(2, *out, 6)
    kernel = random(*window, 4 // groups, 6)
    # The relation of the kernels as the documentation of ConvTranspose has it.
    exchanged = np.zeros((*window, 6 // groups, 4))
    for g, c, f in itertools.product(range(groups), range(4 // groups), range(6 // groups)):
        exchanged[..., f, g * 4 // groups + c] = kernel[..., c, g * 6 // groups + f]
    y = run(conv, {"kernel": exchanged}, u)
    assert y.shape == x.shape
    close((np.asarray(y) * x).sum(), (u * np.asarray(run(transposed, {"kernel": kernel}, x))).sum())


@pytest.mark.parametrize("name", OPTIONS)
def test_no_smaller_image_gives_the_sizes_of_the_input(name: str):
    sizes, window, strides, dilation, padding, _, out = OPTIONS[name]
    assert windows(out, window, strides, dilation, padding).out == sizes
    for axis in range(len(out)) if padding != "SAME" else ():
        smaller = tuple(size - (a == axis) for a, size in enumerate(out))
        if min(smaller) == 0:
            continue
        try:
            assert windows(smaller, window, strides, dilation, padding).out != sizes
        except ValueError as error:
            assert "does not fit" in str(error)  # noqa: PT017


def test_conv_transpose_worked_by_hand():
    layer = fnn.ConvTranspose(1, 3, strides=2, padding="VALID")
    params = {"kernel": np.array([1.0, 10.0, 100.0]).reshape(3, 1, 1), "bias": np.array([0.5])}
    y, _, cache = compiled.forward(layer, params, {}, np.array([[[1.0], [2.0]]]))
    assert y.ravel().tolist() == [1.5, 10.5, 102.5, 20.5, 200.5]
    dparams, dx = compiled.backward(layer, cache, np.arange(1.0, 6.0).reshape(1, 5, 1))
    assert dx.ravel().tolist() == [1 + 20 + 300, 3 + 40 + 500]
    assert dparams["kernel"].ravel().tolist() == [1 * 1 + 2 * 3, 1 * 2 + 2 * 4, 1 * 3 + 2 * 5]
    assert dparams["bias"].tolist() == [15]


def test_the_adjoint_of_a_causal_convolution_looks_ahead_only():
    layer = fnn.ConvTranspose(1, 3, padding="CAUSAL", use_bias=False)
    params = {"kernel": jnp.ones((3, 1, 1))}
    changed = run(layer, params, np.eye(1, 5, 3).reshape(1, 5, 1))
    assert changed.ravel().tolist() == [0, 1, 1, 1, 0]


def test_conv_transpose_has_the_kernel_of_conv_and_its_fan():
    layers = fnn.ConvTranspose(6, (3, 2), groups=2), fnn.Conv(6, (3, 2), groups=2)
    same(*(compiled.init(layer, KEY, np.zeros((1, 4, 4, 8)))[0] for layer in layers))


@pytest.mark.parametrize("name", OPTIONS)
def test_adjoint_windows_have_the_sizes_asked_for(name: str):
    sizes, window, strides, dilation, padding, low, out = OPTIONS[name]
    w = adjoint_windows(sizes, window, strides, dilation, padding)
    assert (w.sizes, w.out) == (out, sizes)
    assert tuple(pad[0] for pad in w.pads) == low


# ---- depthwise and separable convolutions


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_conv_convolves_every_channel_alone(multiplier: int, random: Any):
    options = {"strides": (2, 1), "padding": "SAME", "dilation": (1, 2)}
    layer = fnn.DepthwiseConv((3, 2), multiplier=multiplier, **options)
    x, kernel, bias = random(2, 5, 4, 3), random(3, 2, 1, 3 * multiplier), random(3 * multiplier)
    got = run(layer, {"kernel": kernel, "bias": bias}, x)
    for c, m in itertools.product(range(3), range(multiplier)):
        f = c * multiplier + m
        alone = fnn.Conv(1, (3, 2), **options)
        expected = run(alone, {"kernel": kernel[..., f : f + 1], "bias": bias[f : f + 1]}, x[..., c : c + 1])
        close(got[..., f], expected[..., 0])


def test_depthwise_conv_worked_by_hand():
    layer = fnn.DepthwiseConv(2, padding="VALID")
    params = {"kernel": np.array([[[1.0, 2.0]], [[10.0, 20.0]]]), "bias": np.array([0.5, -0.5])}
    y, _, cache = compiled.forward(layer, params, {}, np.array([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))
    assert y[0].tolist() == [[31.5, 83.5], [53.5, 127.5]]
    dparams, dx = compiled.backward(layer, cache, np.array([[[1.0, 1.0], [2.0, 0.0]]]))
    assert dx[0].tolist() == [[1, 2], [10 + 2, 20], [20, 0]]
    assert dparams["kernel"][:, 0].tolist() == [[1 + 6, 2], [3 + 10, 4]]
    assert dparams["bias"].tolist() == [3, 1]


def test_depthwise_conv_in_16_bits_sums_in_32():
    # 4096 + 1 is 4096 in bfloat16.
    layer = fnn.DepthwiseConv(3, padding="VALID", use_bias=False)
    x = jnp.array([4096, 1, -4096], jnp.bfloat16).reshape(1, 3, 1) * jnp.ones((1, 1, 2), jnp.bfloat16)
    assert compiled.apply(layer, {"kernel": jnp.ones((3, 1, 2), jnp.bfloat16)}, {}, x)[0].ravel().tolist() == [1, 1]


def test_separable_conv_is_its_two_parts(random: Any):
    layer = fnn.SeparableConv(5, (3, 2), multiplier=2, strides=2, dilation=(1, 2), padding="VALID")
    x = random(2, 6, 7, 3)
    params = compiled.drawn_params(random, layer, x)
    assert jax.tree.map(jnp.shape, params) == {
        "depthwise": {"kernel": (3, 2, 1, 6), "bias": (6,)},
        "pointwise": {"kernel": (1, 1, 6, 5), "bias": (5,)},
    }
    parts = fnn.DepthwiseConv((3, 2), multiplier=2, strides=2, dilation=(1, 2), padding="VALID"), fnn.Dense(5)
    dense = {"kernel": params["pointwise"]["kernel"][0, 0], "bias": params["pointwise"]["bias"]}
    close(run(layer, params, x), run(parts[1], dense, run(parts[0], params["depthwise"], x)))


def test_use_bias_is_about_both_parts_of_a_separable_conv():
    params, _ = jax.eval_shape(fnn.SeparableConv(5, 3, use_bias=False).init, KEY, shape_of(1, 4, 2))
    assert {name: list(part) for name, part in params.items()} == {"depthwise": ["kernel"], "pointwise": ["kernel"]}


def test_separable_conv_is_walked_and_rewritten_as_a_combinator():
    layer = fnn.SeparableConv(5, (3, 3), strides=2)
    children = layer.children()
    assert children == {"depthwise": fnn.DepthwiseConv((3, 3), strides=2), "pointwise": fnn.Conv(5, 1)}
    assert layer.with_children(children) == layer
    assert repr(layer) == "SeparableConv(features=5, kernel_size=(3, 3), strides=2)"
    rewritten = layer.with_children(children | {"pointwise": fnn.Dense(7)})
    assert rewritten.children() == children | {"pointwise": fnn.Dense(7)}
    assert repr(rewritten) == repr(layer)[:-1] + ", pointwise=Dense(features=7))"
    params, state = jax.eval_shape(rewritten.init, KEY, shape_of(2, 4, 4, 3))
    y, _ = jax.eval_shape(rewritten.apply, params, state, shape_of(2, 4, 4, 3))
    assert y.shape == (2, 2, 2, 7)
    with pytest.raises(ValueError, match="with_children replaces layers, not names"):
        layer.with_children({"depthwise": fnn.Dense(2)})


def test_separable_conv_names_its_parts_in_paths():
    model = fnn.Serial(fnn.SeparableConv(2, 3))
    paths = []

    def rule(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> Any:
        paths.append(path)
        return layer.backward(cache, dy)

    def run(x: Any, dy: Any) -> Any:
        _, _, cache = model.forward(*model.init(KEY, x), x)
        return fnn.backprop(model, cache, dy, rule)

    jax.eval_shape(run, shape_of(2, 4, 3), shape_of(2, 4, 2))
    assert paths == ["separable_conv_0/pointwise", "separable_conv_0/depthwise"]
    assert not isinstance(model.children()["separable_conv_0"], NamedChildren)


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fnn.ConvTranspose(0, 3), ValueError, "features is at least 1, got 0"),
        (lambda: fnn.ConvTranspose(2, 0), ValueError, "kernel_size is at least 1, got 0"),
        (lambda: fnn.ConvTranspose(2, 3, groups=3), ValueError, "groups=3 does not divide features=2"),
        (lambda: fnn.ConvTranspose(2, 3, padding="FULL"), ValueError, "unknown padding 'FULL'"),
        (lambda: fnn.ConvTranspose(2, 3, padding="same"), ValueError, "per axis; did you mean 'SAME'?"),
        (lambda: fnn.DepthwiseConv(3, multiplier=0), ValueError, "multiplier is at least 1, got 0"),
        (lambda: fnn.DepthwiseConv(3, multiplier=1.5), TypeError, "multiplier is an integer, got 1.5"),
        (lambda: fnn.DepthwiseConv(0), ValueError, "kernel_size is at least 1, got 0"),
        (lambda: fnn.DepthwiseConv(3, strides=0), ValueError, "strides is at least 1, got 0"),
        (lambda: fnn.DepthwiseConv(3, padding=-1), ValueError, "padding is a pair (before, after)"),
        (lambda: fnn.SeparableConv(0, 3), ValueError, "features is at least 1, got 0"),
        (lambda: fnn.SeparableConv(2, 3, dilation=0), ValueError, "dilation is at least 1, got 0"),
        (lambda: fnn.SeparableConv(2, 3, depthwise=3), TypeError, "SeparableConv is made of layers, got 3"),
    ],
)
def test_options(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (fnn.ConvTranspose(2, (3, 3)), (2, 5, 4), "expected an input (N, spatial, spatial, C) for kernel_size=(3, 3)"),
        (fnn.ConvTranspose(2, 3, groups=2), (2, 5, 3), "groups=2 does not divide the 3 channels of the input"),
        (
            fnn.ConvTranspose(2, 2, padding=((2, 2), (0, 0))),
            (2, 3, 3, 1),
            "padding ((2, 2), (0, 0)) is too large: an input of 3×3 would give an output of 0×4",
        ),
        (fnn.ConvTranspose(2, 2, padding=((2, 2),)), (2, 3, 3, 1), "padding ((2, 2),) has 1 entries for 2 spatial"),
        (fnn.ConvTranspose(2, 2, strides=(1, 2, 1)), (2, 3, 3, 1), "strides has 3 entries for 2 spatial axes"),
        (fnn.DepthwiseConv(3), (2, 4), "expected an input (N, …, C) for kernel_size=3, got the shape (2, 4)"),
        (fnn.DepthwiseConv(3, padding="VALID"), (2, 2, 4), "a window of 3 does not fit into an image of 2"),
        (fnn.SeparableConv(2, (3, 3)), (2, 5, 4), "expected an input (N, spatial, spatial, C)"),
    ],
)  # fmt: skip
def test_inputs(layer: fnn.Layer, shape: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.init(KEY, shape_of(*shape))


@pytest.mark.parametrize("layer", [fnn.ConvTranspose(2, 3), fnn.DepthwiseConv(3)], ids=repr)
def test_dtypes_and_kernels_of_other_inputs_are_refused(layer: fnn.Layer, random: Any):
    params = compiled.drawn_params(random, layer, shape_of(2, 5, 4))
    with pytest.raises(TypeError, match="'kernel' is float64 but the input is float32"):
        layer.apply(params, {}, np.zeros((2, 5, 4), np.float32))
    with pytest.raises(TypeError, match="expected an array of floating dtype"):
        layer.apply(params, {}, np.zeros((2, 5, 4), int))
    with pytest.raises(ValueError, match=r"'kernel' has shape .* where this input needs"):
        layer.apply(params, {}, np.zeros((2, 5, 3)))
