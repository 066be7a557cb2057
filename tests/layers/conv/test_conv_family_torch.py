"""Transposed and depthwise convolutions, resampling and the bilinear form against PyTorch, where it is installed.

Weights are turned by the table of ``fnn.interop``; images go from channels last to channels first.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.interop import against_torch
from tests.interop.against_torch import channels_last

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")


def first(x: Any) -> Any:
    """Channels to the front, for torch tensors."""
    return x.movedim(-1, 1)


def agree(random: Any, layer: fnn.Layer, reference: Callable[..., Any], params: Any, *inputs: np.ndarray) -> None:
    """The output and every gradient, of the layer and of the function of tensors ``(*inputs, *params)``."""
    arrays = [jnp.asarray(each) for each in inputs]
    ours = {name: jnp.asarray(each) for name, each in params.items()}
    y, _, cache = layer.forward(ours, {}, arrays[0] if len(arrays) == 1 else tuple(arrays))
    dy = random(*y.shape)
    dparams, dx = layer.backward(cache, jnp.asarray(dy))
    got = [y, *jax.tree.leaves(dx), *(dparams[name] for name in params)]
    tensors = [torch.tensor(each, requires_grad=True) for each in (*inputs, *params.values())]
    expected = reference(*tensors)
    expected.backward(torch.tensor(dy))
    for one, other in zip(got, [expected.detach(), *(each.grad for each in tensors)], strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-10, atol=1e-11)


TRANSPOSED = {
    # sizes, channels, features, window, options, PyTorch's padding, PyTorch's output_padding
    "1-D": ((5,), 2, 3, (3,), {}, 0, 0),
    "1-D, strides beyond the kernel": ((4,), 2, 3, (2,), {"strides": 3}, 0, 0),
    "1-D, same, even kernel, strides 2": ((4,), 2, 3, (4,), {"strides": 2, "padding": "SAME"}, 1, 0),
    "1-D, same, odd kernel, strides 1": ((4,), 2, 3, (3,), {"padding": "SAME"}, 1, 0),
    "1-D, groups": ((5,), 4, 6, (3,), {"groups": 2, "strides": 2}, 0, 0),
    "2-D": ((4, 3), 2, 3, (3, 2), {"strides": (2, 1)}, 0, 0),
    "2-D, padding, dilation": ((4, 5), 2, 3, (3, 2), {"padding": 1, "dilation": (1, 3)}, 1, 0),
    "2-D, groups, padding, strides": ((4, 3), 6, 4, (3, 3), {"groups": 2, "padding": 1, "strides": 2}, 1, 0),
    "2-D, a group a channel": ((4, 3), 3, 6, (3, 3), {"groups": 3, "strides": 2}, 0, 0),
    "2-D, padding in front alone": ((4, 3), 2, 3, (3, 3), {"padding": ((1, 0), (1, 0)), "strides": 2}, 1, 1),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_conv_transpose(name: str, random: Any):
    sizes, channels, features, window, options, padding, output_padding = TRANSPOSED[name]
    layer = fnn.ConvTranspose(features, window, **{"padding": "VALID"} | options)
    module = getattr(torch.nn, f"ConvTranspose{len(sizes)}d")(
        channels,
        features,
        window,
        stride=layer.strides,
        padding=padding,
        output_padding=output_padding,
        groups=layer.groups,
        dilation=layer.dilation,
        dtype=torch.float64,
    )
    params = {"kernel": random(*window, channels // layer.groups, features), "bias": random(features)}
    x = random(2, *sizes, channels)
    dy = random(*jax.eval_shape(lambda x: layer.apply(params, {}, x)[0], jnp.asarray(x)).shape)
    against_torch.agree(layer, module, params, dy, x, run=channels_last)


@pytest.mark.parametrize(("multiplier", "strides", "dilation"), [(1, 1, 1), (2, 2, 1), (3, (1, 2), (2, 1))])
def test_depthwise_conv(multiplier: int, strides: Any, dilation: Any, random: Any):
    layer = fnn.DepthwiseConv((3, 2), multiplier=multiplier, strides=strides, dilation=dilation, padding=(1, 2))
    options = {"stride": strides, "padding": (1, 2), "dilation": dilation, "groups": 3, "dtype": torch.float64}
    module = torch.nn.Conv2d(3, 3 * multiplier, (3, 2), **options)
    params = {"kernel": random(3, 2, 1, 3 * multiplier), "bias": random(3 * multiplier)}
    x = random(2, 6, 5, 3)
    dy = random(*jax.eval_shape(lambda x: layer.apply(params, {}, x)[0], jnp.asarray(x)).shape)
    against_torch.agree(layer, module, params, dy, x, run=channels_last)


@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize("scale", [(2,), (3, 2), (1, 3, 2)])
def test_up_sample(method: Any, scale: tuple, random: Any):
    modes = {"nearest": ["nearest"] * 3, "linear": ["linear", "bilinear", "trilinear"]}
    options = {} if method == "nearest" else {"align_corners": False}

    def reference(x: Any) -> Any:
        mode = modes[method][len(scale) - 1]
        return torch.nn.functional.interpolate(first(x), scale_factor=scale, mode=mode, **options).movedim(1, -1)

    agree(random, fnn.UpSample(scale, method=method), reference, {}, random(2, *(3, 2, 4)[: len(scale)], 2))


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle(factor: int, random: Any):
    def reference(x: Any) -> Any:
        return torch.pixel_shuffle(first(x), factor).movedim(1, -1)

    agree(random, fnn.PixelShuffle(factor), reference, {}, random(2, 3, 4, 2 * factor * factor))


def test_pad(random: Any):
    def reference(x: Any) -> Any:
        return torch.nn.functional.pad(x, (0, 3, 1, 2, 2, 0), value=0.5)

    agree(random, fnn.Pad(((2, 0), (1, 2), (0, 3)), value=0.5), reference, {}, random(2, 3, 2, 2))


def test_global_max_pool(random: Any):
    agree(
        random,
        fnn.GlobalMaxPool(),
        lambda x: torch.nn.functional.adaptive_max_pool2d(first(x), 1)[..., 0, 0],
        {},
        random(2, 3, 4, 5),
    )


def test_bilinear(random: Any):
    def reference(one: Any, other: Any, kernel: Any, bias: Any) -> Any:
        return torch.nn.functional.bilinear(one, other, kernel.movedim(-1, 0), bias)

    params = {"kernel": random(4, 5, 3), "bias": random(3)}
    agree(random, fnn.Bilinear(3), reference, params, random(6, 2, 4), random(6, 2, 5))
