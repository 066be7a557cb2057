"""Values and gradients of the losses against PyTorch, where it is installed."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.drawing import drawn, generator

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")


def halves(reference: Any) -> Any:
    return lambda p, y: reference(p[:, :3], y, torch.exp(p[:, 3:]))


def triplets(p: Any, _: Any) -> Any:
    return torch.nn.functional.triplet_margin_loss(p[:, 0], p[:, 1], p[:, 2], margin=0.7, eps=0)


functional = torch.nn.functional
OUTPUTS, VALUES = drawn("outputs", 6, 2), drawn("values", 6, 2)
SCORES, DIRECTIONS = drawn("scores of four classes", 6, 4), drawn("directions", 6, 4)
MEANS_AND_VARIANCES, TARGETS = drawn("means and variances", 6, 6), drawn("targets", 6, 3)
SIGNS = np.sign(drawn("signs", 6, 2))
CLASSES = generator("classes").integers(0, 2, 6)
COUNTS = generator("counts").integers(0, 5, (6, 2)).astype(float)
DISTRIBUTIONS = generator("distributions").dirichlet(np.ones(4), 6)

LOSSES = {
    "absolute": (fnn.MeanAbsoluteError(), OUTPUTS, VALUES, functional.l1_loss),
    "root": (fnn.RootMeanSquaredError(), OUTPUTS, VALUES, lambda p, y: torch.sqrt(functional.mse_loss(p, y))),
    "Huber": (fnn.Huber(0.6), OUTPUTS, VALUES, lambda p, y: functional.huber_loss(p, y, delta=0.6)),
    "hinge": (fnn.Hinge(), OUTPUTS, SIGNS, lambda p, y: torch.relu(1 - y * p).mean()),
    "perceptron": (fnn.PerceptronLoss(), OUTPUTS, SIGNS, lambda p, y: torch.relu(-y * p).mean()),
    # PyTorch's is Weston and Watkins's over V, which for two classes is half of ours.
    "two classes": (fnn.MultiClassHinge(), OUTPUTS, CLASSES, lambda p, y: 2 * functional.multi_margin_loss(p, y)),
    "divergence": (
        fnn.KLDivergence(),
        SCORES,
        DISTRIBUTIONS,
        lambda p, y: functional.kl_div(torch.log_softmax(p, -1), y, reduction="batchmean"),
    ),
    "cosine": (
        fnn.CosineSimilarity(),
        SCORES,
        DIRECTIONS,
        lambda p, y: functional.cosine_embedding_loss(p, y, torch.ones(6)),
    ),
    "Poisson": (
        fnn.Poisson(),
        OUTPUTS,
        COUNTS,
        lambda p, y: functional.poisson_nll_loss(p, y, log_input=True),
    ),
    "normal": (fnn.GaussianNLL(), MEANS_AND_VARIANCES, TARGETS, halves(functional.gaussian_nll_loss)),
    "normal, full": (
        fnn.GaussianNLL(full=True),
        MEANS_AND_VARIANCES,
        TARGETS,
        halves(lambda *batch: functional.gaussian_nll_loss(*batch, full=True)),
    ),
    "triplets": (fnn.Triplet(0.7), drawn("triplets", 6, 3, 4), None, triplets),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str):
    loss, prediction, target, reference = LOSSES[name]
    value, cache = loss.forward(jnp.asarray(prediction), None if target is None else jnp.asarray(target))
    p = torch.tensor(prediction, requires_grad=True)
    expected = reference(p, None if target is None else torch.tensor(target))
    expected.backward()
    # PyTorch guards the lengths of the cosine by 1e-12.
    np.testing.assert_allclose(value, expected.item(), rtol=1e-10)
    np.testing.assert_allclose(loss.backward(cache), p.grad.numpy(), rtol=1e-9, atol=1e-11)
