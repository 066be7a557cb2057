"""Forward and gradients against PyTorch, where it is installed; elsewhere the other references stand alone.

Weights are turned by the table of ``fnn.interop``; images go from channels last to channels first.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer
from tests import comparing
from tests.drawing import drawn, generator
from tests.interop.against_torch import agree, channels_last

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
close = partial(comparing.close, rtol=1e-10, atol=1e-11)


def first(x: Any) -> Any:
    """Channels to the front, for torch tensors."""
    return x.movedim(-1, 1)


def torch_gradients(function: Callable[..., Any], dy: np.ndarray, *arrays: np.ndarray) -> tuple:
    """The output, and the gradient of every array."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = function(*tensors)
    y.backward(torch.tensor(dy))
    return y.detach().numpy(), *(each.grad.numpy() for each in tensors)


def ours(layer: Layer, params: dict, dy: np.ndarray, x: np.ndarray) -> tuple:
    """The output, and the gradients of the input and of the parameters in their order."""
    names = list(params)  # before tree.map, which sorts them
    params = jax.tree.map(jnp.asarray, params)
    y, _, cache = layer.forward(params, {}, jnp.asarray(x), train=True)
    dparams, dx = layer.backward(cache, jnp.asarray(dy))
    return y, dx, *(dparams[name] for name in names)


CONVOLUTIONS = {
    "1-D": ((9,), 2, 4, (3,), {}),
    "2-D": ((6, 5), 4, 6, (3, 3), {}),
    "2-D, strides with a rest": ((7, 6), 2, 3, (3, 2), {"strides": (2, 3)}),
    "2-D, padding, dilation": ((6, 7), 2, 3, (3, 3), {"padding": (1, 2), "dilation": (2, 1)}),
    "2-D, groups": ((5, 5), 4, 6, (2, 3), {"groups": 2, "padding": 1}),
    "3-D": ((3, 4, 3), 2, 2, (2, 2, 2), {"strides": 2, "padding": 1}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str, random: Any):
    sizes, channels, features, window, options = CONVOLUTIONS[name]
    layer = fnn.Conv(features, window, **{"padding": "VALID"} | options)
    params = {"kernel": random(*window, channels // layer.groups, features), "bias": random(features)}
    x = random(2, *sizes, channels)
    dy = random(*jax.eval_shape(lambda x: layer.apply(params, {}, x)[0], jnp.asarray(x)).shape)
    kind = getattr(torch.nn, f"Conv{len(sizes)}d")
    module = kind(
        channels,
        features,
        window,
        stride=layer.strides,
        padding=options.get("padding", 0),
        dilation=layer.dilation,
        groups=layer.groups,
        dtype=torch.float64,
    )
    agree(layer, module, params, dy, x, run=channels_last)


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm(train: bool, random: Any, draw: Any):
    layer, x, dy = fnn.BatchNorm(decay=0.9), random(4, 3, 2, 5), random(4, 3, 2, 5)
    params = {"scale": random(5), "bias": random(5)}
    mean, var = random(5), draw.uniform(0.5, 2, 5)
    state = {"mean": jnp.asarray(mean), "var": jnp.asarray(var), "count": jnp.array(3, jnp.int32)}
    module = torch.nn.BatchNorm2d(5, dtype=torch.float64)
    new = agree(layer, module, params, dy, x, state, run=channels_last, train=train)
    np.testing.assert_allclose(new["mean"], module.running_mean, rtol=1e-12)
    # PyTorch's running variance is unbiased, fnn's is not: n = 24 values a channel.
    theirs = module.running_var.numpy()
    biased = 0.9 * var + (theirs - 0.9 * var) * 23 / 24 if train else theirs
    np.testing.assert_allclose(new["var"], biased, rtol=1e-12)


def test_layer_norm(random: Any):
    x, dy, params = random(4, 3, 5), random(4, 3, 5), {"scale": random(5), "bias": random(5)}

    def reference(x: Any, scale: Any, bias: Any) -> Any:
        return torch.nn.functional.layer_norm(x, (5,), scale, bias, eps=1e-5)

    close(ours(fnn.LayerNorm(), params, dy, x), torch_gradients(reference, dy, x, params["scale"], params["bias"]))


FUNCTIONS = {
    "gelu": (fnn.Gelu(), lambda x: torch.nn.functional.gelu(x)),
    "gelu, approximate": (fnn.Gelu(approximate=True), lambda x: torch.nn.functional.gelu(x, approximate="tanh")),
    "silu": (fnn.Silu(), lambda x: torch.nn.functional.silu(x)),
    "sigmoid": (fnn.Sigmoid(), lambda x: torch.sigmoid(x)),
    "tanh": (fnn.Tanh(), lambda x: torch.tanh(x)),
    "relu": (fnn.Relu(), lambda x: torch.relu(x)),
    "leaky relu": (fnn.LeakyRelu(0.2), lambda x: torch.nn.functional.leaky_relu(x, 0.2)),
    "softmax": (fnn.Softmax(), lambda x: torch.softmax(x, -1)),
    "max pool": (fnn.MaxPool(2, strides=1), lambda x: torch.nn.functional.max_pool1d(first(x), 2, 1).movedim(1, -1)),
    "avg pool": (fnn.AvgPool(3, strides=2), lambda x: torch.nn.functional.avg_pool1d(first(x), 3, 2).movedim(1, -1)),
    "avg pool, padded": (
        fnn.AvgPool(3, strides=2, padding=1),
        lambda x: torch.nn.functional.avg_pool1d(first(x), 3, 2, padding=1, count_include_pad=False).movedim(1, -1),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str, random: Any):
    layer, reference = FUNCTIONS[name]
    x = 3 * random(3, 7, 2)
    dy = random(*layer.apply({}, {}, jnp.asarray(x))[0].shape)
    close(ours(layer, {}, dy, x), torch_gradients(reference, dy, x))


LOSSES = {
    "cross-entropy": (
        fnn.CrossEntropy(label_smoothing=0.1),
        drawn("cross-entropy, prediction", 6, 4),
        generator("cross-entropy, target").integers(0, 4, 6),
        lambda z, y: torch.nn.functional.cross_entropy(z, y, label_smoothing=0.1),
    ),
    "cross-entropy, soft": (
        fnn.CrossEntropy(),
        drawn("cross-entropy, soft, prediction", 6, 4),
        generator("cross-entropy, soft, target").dirichlet(np.ones(4), 6),
        lambda z, y: torch.nn.functional.cross_entropy(z, y),
    ),
    "cross-entropy of sequences, some ignored": (
        fnn.CrossEntropy(ignore_index=0),
        drawn("cross-entropy of sequences, some ignored, prediction", 4, 3, 5),
        generator("cross-entropy of sequences, some ignored, target").integers(0, 5, (4, 3)),
        lambda z, y: torch.nn.functional.cross_entropy(first(z), y, ignore_index=0),
    ),
    "binary cross-entropy": (
        fnn.BinaryCrossEntropy(),
        drawn("binary cross-entropy, prediction", 6, 2),
        generator("binary cross-entropy, target").uniform(0, 1, (6, 2)),
        lambda z, y: torch.nn.functional.binary_cross_entropy_with_logits(z, y),
    ),
    "mean squared error": (
        fnn.MeanSquaredError(),
        drawn("mean squared error, prediction", 6, 2),
        drawn("mean squared error, target", 6, 2),
        lambda p, y: torch.nn.functional.mse_loss(p, y),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str):
    loss, prediction, target, reference = LOSSES[name]
    value, cache = loss.forward(jnp.asarray(prediction), jnp.asarray(target))
    expected = torch_gradients(lambda p: reference(p, torch.tensor(target)), np.ones(()), prediction)
    close((value, loss.backward(cache)), expected)
