"""Connectionist temporal classification against PyTorch."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fnn

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")


@pytest.mark.parametrize("blank", [0, 3])
def test_the_value_and_gradient(blank: int, draw: np.random.Generator):
    logits, lengths = draw.standard_normal((4, 12, 6)), np.array([12, 9, 7, 3])
    labels = np.array([[1, 1, 2, 4, 5], [5, 2, -1, -1, -1], [2, 2, 2, 1, -1], [-1] * 5])
    z = torch.tensor(logits, requires_grad=True)
    each = torch.nn.functional.ctc_loss(
        z.log_softmax(-1).transpose(0, 1),
        torch.tensor(labels),
        torch.tensor(lengths),
        torch.tensor((labels >= 0).sum(1)),
        blank=blank,
        reduction="none",
    )
    each.mean().backward()
    value, cache = fnn.CTC(blank=blank).forward((jnp.asarray(logits), jnp.asarray(lengths)), jnp.asarray(labels))
    np.testing.assert_allclose(value, each.mean().item(), rtol=1e-12)
    np.testing.assert_allclose(fnn.CTC(blank=blank).backward(cache)[0], z.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_labels_that_no_path_spells_cost_infinity():
    each = torch.nn.functional.ctc_loss(
        torch.zeros(2, 1, 3).log_softmax(-1), torch.tensor([[1, 1]]), [2], [2], reduction="none"
    )
    terms, _ = fnn.CTC().terms(jnp.zeros((1, 3, 3)), jnp.array([[1, 1]]))
    assert torch.isinf(each).all()
    assert jnp.isfinite(terms).all()
