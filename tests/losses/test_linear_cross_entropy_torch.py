"""The linear cross-entropy against PyTorch."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fnn

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": -100}, {"z_loss": 0.01}], ids=str)
def test_the_value_and_both_gradients(options: dict, draw: np.random.Generator):
    hidden, kernel, labels = draw.standard_normal((2, 5, 4)), draw.standard_normal((4, 9)), draw.integers(0, 9, (2, 5))
    if "ignore_index" in options:
        labels[0, 1:3] = options["ignore_index"]
    h, w = (torch.tensor(each, requires_grad=True) for each in (hidden, kernel))
    logits = (h @ w).reshape(-1, 9)
    torch_options = {name: value for name, value in options.items() if name != "z_loss"}
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor(labels).reshape(-1), **torch_options)
    expected = expected + options.get("z_loss", 0.0) * (logits.logsumexp(-1) ** 2).mean()
    expected.backward()
    loss = fnn.LinearCrossEntropy(9, chunk=4, **options)
    value, cache = loss.forward((jnp.asarray(hidden), jnp.asarray(kernel)), jnp.asarray(labels))
    for got, reference in zip((value, *loss.backward(cache)), (expected.detach(), h.grad, w.grad), strict=True):
        np.testing.assert_allclose(got, reference.numpy(), rtol=1e-12, atol=1e-13)
