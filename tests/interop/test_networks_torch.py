"""Whole networks of PyTorch: outputs agree, and what was loaded and stored again is the same bit for bit."""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.interop import load_torch, store_torch
from tests.drawing import generator
from tests.interop.networks import NETWORKS

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
pytestmark = pytest.mark.usefixtures("strict_numerics")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_outputs_agree_and_a_round_trip_is_the_identity(name: str, dtype: Any, tolerance: float):
    network, draw = NETWORKS[name], generator(name)
    torch.manual_seed(0)
    module = network.make().to(getattr(torch, dtype))
    symbols = network.vocabulary > 0
    x = draw.integers(0, network.vocabulary, network.shape) if symbols else draw.standard_normal(network.shape)
    x = x if symbols else x.astype(dtype)
    with torch.no_grad():
        for each in module.parameters():
            each += 0.1 * torch.randn_like(each)  # no scale is 1, no bias 0
        for _ in range(2):  # statistics of batches, and power iterations
            network.run(module.train(), torch.tensor(x))
        expected = network.run(module.eval(), torch.tensor(x)).numpy()
    with jax.enable_x64(dtype == "float64"):
        params, state = load_torch(network.model, module, x)
        y, _ = jax.jit(network.model.apply)(params, state, jnp.asarray(x))
    y = np.asarray(y[0] if isinstance(y, tuple) else y)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance)

    before = copy.deepcopy(module.state_dict())
    store_torch(network.model, params, state, module)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for each in other.state_dict().values():
            each.zero_()
    store_torch(network.model, params, state, other)
    again, state_again = load_torch(network.model, other, x)
    jax.tree.map(np.testing.assert_array_equal, (again, state_again), (params, state))
    for key, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[key]), key
        if "bias_hh" not in key and "bias_ih" not in key and not key.endswith("_v"):
            assert torch.equal(tensor, other.state_dict()[key]), key
    with torch.no_grad():
        np.testing.assert_allclose(network.run(other, torch.tensor(x)), expected, rtol=tolerance, atol=tolerance)
