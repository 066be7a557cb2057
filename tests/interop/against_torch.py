"""A layer and a module with the same weights: their outputs and all gradients, turned by the table of ``fnn.interop``.

Gradients have the layouts of what they are gradients of, so ``load_torch`` reads them too.
"""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.interop import load_torch, store_torch

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")


def channels_last(module: Any, x: Any) -> Any:
    """Runs a module that has the channels in front."""
    return module(x.movedim(-1, 1)).movedim(1, -1)


def gradients(layer: fnn.Layer, module: Any, x: Any) -> Any:
    """The gradients that a module holds, as those of the layer's parameters.

    Where only the sum of two biases counts, each has the gradient of the sum: one of them is read.
    """
    found = {name: each.grad for name, each in module.named_parameters()}
    if not isinstance(layer, fnn.GRU) and not isinstance(getattr(layer, "inner", None), fnn.GRU):
        found = {name: torch.zeros_like(each) if "bias_hh" in name else each for name, each in found.items()}
    buffers = {name: each for name, each in module.state_dict().items() if name not in found}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_torch(layer, found | buffers, x)[0]


def agree(
    layer: fnn.Layer,
    module: Any,
    params: Any,
    dy: np.ndarray,
    x: np.ndarray,
    state: Any = None,
    *,
    run: Callable[[Any, Any], Any] = lambda module, x: module(x),
    train: bool = True,
) -> Any:
    """Stores the parameters in the module and compares outputs and gradients; returns the new state."""
    params, state = jax.tree.map(jnp.asarray, (params, state or {}))
    store_torch(layer, params, state, module)
    y, new_state, cache = layer.forward(params, state, jnp.asarray(x), train=train)
    dparams, dx = layer.backward(cache, jnp.asarray(dy))
    tensor = torch.tensor(x, requires_grad=True)
    expected = run(module.train(train), tensor)
    module.zero_grad()
    expected.backward(torch.tensor(dy))
    got = [y, dx, *jax.tree.leaves(dparams)]
    theirs = [expected.detach(), tensor.grad, *jax.tree.leaves(gradients(layer, module, x))]  # type: ignore[list-item]
    for one, other in zip(got, theirs, strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-10, atol=1e-11)
    return new_state
