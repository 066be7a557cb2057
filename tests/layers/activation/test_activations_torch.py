"""Activations, gated units and those with parameters against PyTorch: outputs, gradients, and the slopes on kinks."""

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
from tests.cases.activation import ACTIVATIONS

pytestmark = pytest.mark.usefixtures("strict_numerics")

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional
close = partial(comparing.close, rtol=1e-10, atol=1e-12)


def theirs(function: Callable[..., Any], dy: np.ndarray, *arrays: np.ndarray) -> list[np.ndarray]:
    """The output, and the gradient of every array."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = function(*tensors)
    y.backward(torch.tensor(dy))
    return [y.detach().numpy(), *(each.grad.numpy() for each in tensors)]


def ours(layer: Layer, params: Any, dy: np.ndarray, x: np.ndarray) -> list[Any]:
    """The output, and the gradients of the input and of the parameters."""
    y, _, cache = layer.forward(jax.tree.map(jnp.asarray, params), {}, jnp.asarray(x))
    dparams, dx = layer.backward(cache, jnp.asarray(dy))
    return [y, dx, dparams]


def corners(layer: Layer) -> np.ndarray:
    """The places from −8 to 8 that the layer declares."""
    places = np.arange(-8.0, 8.5, 0.5)
    return np.array([place for place in places if (found := layer.kinks_at(np.array([place]))) and found.count])


FUNCTIONS: dict[str, tuple[Layer, Callable[[Any], Any]]] = {
    **{row.name: (row.layer, partial(row.torch, F)) for row in ACTIVATIONS if row.torch},
    "log softmax": (fnn.LogSoftmax(), lambda x: F.log_softmax(x, -1)),
    "log softmax along the middle": (fnn.LogSoftmax(1), lambda x: F.log_softmax(x, 1)),
    "maxout": (fnn.Maxout(2), lambda x: x.unflatten(-1, (-1, 2)).amax(-1)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str, random: Any):
    layer, reference = FUNCTIONS[name]
    x = 4 * random(3, 7, 4)
    dy = random(*layer.apply({}, {}, jnp.asarray(x))[0].shape)
    y, dx, dparams = ours(layer, {}, dy, x)
    assert dparams == {}
    for got, expected in zip((y, dx), theirs(reference, dy, x), strict=True):
        close(got, expected)


CORNERS = {
    row.name: (row.layer, partial(row.torch, F), corners(row.layer))
    for row in ACTIVATIONS
    if row.torch and row.torch_on_corners and len(corners(row.layer))
}
CORNERS["hard sigmoid, of its own name"] = (fnn.HardSigmoid(), F.hardsigmoid, np.array([-3.0, 3.0]))


@pytest.mark.parametrize("name", CORNERS)
def test_the_slope_on_a_corner(name: str):
    layer, reference, x = CORNERS[name]
    for got, expected in zip(ours(layer, {}, np.ones_like(x), x), theirs(reference, np.ones_like(x), x), strict=False):
        close(got, expected)


def test_prelu(random: Any):
    x, dy, slope = random(5, 3), random(5, 3), random(3)
    y, dx, dparams = ours(fnn.PRelu(), {"slope": slope}, dy, x)
    expected = theirs(lambda x, slope: F.prelu(x, slope), dy, x, slope)
    for got, reference in zip((y, dx, dparams["slope"]), expected, strict=True):
        close(got, reference)


def test_trainable_swish(random: Any):
    x, dy, beta = random(2, 5, 3), random(2, 5, 3), random(3)
    y, dx, dparams = ours(fnn.TrainableSwish(), {"beta": beta}, dy, x)
    expected = theirs(lambda x, beta: x * torch.sigmoid(beta * x), dy, x, beta)
    for got, reference in zip((y, dx, dparams["beta"]), expected, strict=True):
        close(got, reference)


UNITS: list[tuple[Layer, Callable[[Any], Any]]] = [
    (fnn.GLU(2), lambda g: torch.sigmoid(g)),
    (fnn.ReGLU(2), lambda g: F.relu(g)),
    (fnn.GEGLU(2), lambda g: F.gelu(g)),
    (fnn.SwiGLU(2), lambda g: F.silu(g)),
]


@pytest.mark.parametrize(("layer", "act"), UNITS, ids=[repr(row[0]) for row in UNITS])
def test_gated_unit(layer: Layer, act: Callable[[Any], Any], random: Any):
    x, dy = random(2, 4, 3), random(2, 4, 2)
    w, b, v, c = random(3, 2), random(2), random(3, 2), random(2)
    y, dx, dparams = ours(layer, {"gate": {"kernel": w, "bias": b}, "value": {"kernel": v, "bias": c}}, dy, x)
    gradients = [dparams[name][part] for name in ("gate", "value") for part in ("kernel", "bias")]
    expected = theirs(lambda x, w, b, v, c: act(x @ w + b) * (x @ v + c), dy, x, w, b, v, c)
    for got, reference in zip((y, dx, *gradients), expected, strict=True):
        close(got, reference)
