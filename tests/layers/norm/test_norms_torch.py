"""Normalisation and reparameterised kernels against PyTorch, where it is installed.

Channels go from last to first; the table of ``fnn.interop`` turns the reparameterised kernels.
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
from tests.interop.against_torch import agree, channels_last

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
close = partial(comparing.close, rtol=1e-10, atol=1e-11)


def theirs(function: Callable[..., Any], dy: np.ndarray, *arrays: np.ndarray) -> list:
    """The output, and the gradient of every array; the first array and the output have their channels moved."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    y = function(tensors[0].movedim(-1, 1), *tensors[1:]).movedim(1, -1)
    y.backward(torch.tensor(dy))
    return [y.detach().numpy(), *(each.grad.numpy() for each in tensors)]


def ours(layer: Layer, dy: np.ndarray, x: np.ndarray, **params: np.ndarray) -> list:
    """The output, and the gradients of the input and of the parameters in their order."""
    y, _, cache = layer.forward({name: jnp.asarray(each) for name, each in params.items()}, {}, jnp.asarray(x))
    dparams, dx = layer.backward(cache, jnp.asarray(dy))
    return [y, dx, *(dparams[name] for name in params)]


@pytest.mark.parametrize("spatial", [(), (5,), (3, 4)], ids=["no position", "a sequence", "an image"])
def test_group_norm(spatial: tuple, random: Any):
    x, dy, scale, bias = random(2, *spatial, 6), random(2, *spatial, 6), random(6), random(6)
    expected = theirs(lambda x, s, b: torch.nn.functional.group_norm(x, 2, s, b, eps=1e-3), dy, x, scale, bias)
    close(ours(fnn.GroupNorm(2, epsilon=1e-3), dy, x, scale=scale, bias=bias), expected)


@pytest.mark.parametrize("spatial", [(5,), (3, 4), (2, 3, 2)], ids=["1-D", "2-D", "3-D"])
def test_instance_norm(spatial: tuple, random: Any):
    x, dy, scale, bias = random(2, *spatial, 3), random(2, *spatial, 3), random(3), random(3)

    def norm(x: Any, scale: Any, bias: Any) -> Any:
        return torch.nn.functional.instance_norm(x, weight=scale, bias=bias, eps=1e-3)

    close(ours(fnn.InstanceNorm(epsilon=1e-3), dy, x, scale=scale, bias=bias), theirs(norm, dy, x, scale, bias))


def test_rms_norm(random: Any):
    x, dy, scale = random(3, 4, 5), random(3, 4, 5), random(5)

    def norm(x: Any, scale: Any) -> Any:
        return torch.nn.functional.rms_norm(x.movedim(1, -1), (5,), scale, eps=1e-3).movedim(-1, 1)

    close(ours(fnn.RMSNorm(epsilon=1e-3), dy, x, scale=scale), theirs(norm, dy, x, scale))


INNER = {
    "dense": (fnn.Dense(4), lambda: torch.nn.Linear(3, 4, dtype=torch.float64), (5, 3)),
    "a convolution": (fnn.Conv(4, 3), lambda: torch.nn.Conv1d(3, 4, 3, padding=1, dtype=torch.float64), (2, 6, 3)),
}


def run(module: Any, x: Any) -> Any:
    return channels_last(module, x) if x.ndim > 2 else module(x)


@pytest.mark.parametrize("name", INNER)
def test_weight_norm(name: str, random: Any):
    inner, make, shape = INNER[name]
    x, dy, g = random(*shape), random(*shape[:-1], 4), random(4)
    params, _ = fnn.WeightNorm(inner).init(KEY, x)
    params = {**params, "kernel_scale": jnp.asarray(g), "bias": jnp.asarray(random(4))}
    module = torch.nn.utils.parametrizations.weight_norm(make(), dim=0)
    agree(fnn.WeightNorm(inner), module, params, dy, x, run=run)


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("iterations", [1, 3])
def test_spectral_norm(name: str, iterations: int, random: Any):
    """PyTorch keeps v as well as u; with v = W u/‖W u‖, as its own steps leave it, both do the same."""
    inner, make, shape = INNER[name]
    x, dy = random(*shape), random(*shape[:-1], 4)
    layer = fnn.SpectralNorm(inner, iterations=iterations)
    params, _ = layer.init(KEY, x)
    u = random(4)
    u /= np.linalg.norm(u)
    state = {"u": {"kernel": jnp.asarray(u)}}
    module = torch.nn.utils.parametrizations.spectral_norm(make(), n_power_iterations=iterations)
    state = agree(layer, module, params, dy, x, state, run=run)
    close([state["u"]["kernel"]], [module.parametrizations.weight[0]._u])
    agree(layer, module, params, dy, x, state, run=run, train=False)
