"""Attributions against captum, on a PyTorch network with the same weights, where both are installed."""

from typing import Any

import jax
import numpy as np
import pytest

import fnn
from tests import comparing

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
captum: Any = pytest.importorskip("captum.attr", reason="captum is not installed")
rules: Any = pytest.importorskip("captum.attr._utils.lrp_rules", reason="captum is not installed")

pytestmark = [
    pytest.mark.usefixtures("strict_numerics"),
    pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks on ReLU:UserWarning"),
    pytest.mark.filterwarnings("ignore:Input Tensor .* did not already require gradients:UserWarning"),
]

RANDOM = np.random.default_rng(0)
X, CLASSES = np.abs(RANDOM.standard_normal((3, 6, 6, 2))), np.array([0, 2, 1])
LINEAR = ("conv_0", "conv_1", "dense_0", "head")


def model(use_bias: bool) -> fnn.Layer:
    return fnn.Serial(
        *(fnn.Conv(4, (3, 3), use_bias=use_bias), fnn.Relu(), fnn.MaxPool(2)),
        *(fnn.Conv(5, (2, 2), padding="VALID", use_bias=use_bias), fnn.Relu(), fnn.GlobalAvgPool()),
        *(fnn.Dense(7, use_bias=use_bias), fnn.Relu()),
        head=fnn.Dense(3, use_bias=use_bias),
    )


def networks(use_bias: bool) -> tuple[fnn.Layer, Any, Any]:
    """The same network in both libraries; captum changes the modules, so that each has its own."""
    ours = model(use_bias)
    params = ours.init(jax.random.key(0), X)[0]
    drawn = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: 0.4 * drawn.standard_normal(leaf.shape), params)
    nn = torch.nn
    theirs = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, padding=1, bias=use_bias), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 5, 2, bias=use_bias), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(5, 7, bias=use_bias), nn.ReLU(), nn.Linear(7, 3, bias=use_bias)),
    ).double()
    layers = [each for each in theirs if hasattr(each, "weight")]
    for name, layer in zip(LINEAR, layers, strict=True):
        kernel = params[name]["kernel"]
        layer.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T)
        if use_bias:
            layer.bias.data = torch.tensor(params[name]["bias"])
    x = torch.tensor(X.transpose(0, 3, 1, 2))
    comparing.close(ours.apply(params, {}, X)[0], theirs(x).detach().numpy(), rtol=1e-10)
    return ours, params, theirs


def agree(rule: Any, params: Any, ours: fnn.Layer, found: Any) -> None:
    expected = found.detach().numpy().transpose(0, 2, 3, 1)
    got = jax.jit(lambda x: fnn.attribute(ours, params, {}, x, CLASSES, rule=rule))(X)
    assert np.abs(expected).max() > 1e-3
    comparing.close(got, expected, rtol=1e-7, atol=1e-10)


PLAIN = {
    "gradient": (fnn.Attribution(), lambda net, x, y: captum.Saliency(net).attribute(x, target=y, abs=False)),
    "gradient × input": (
        fnn.GradientTimesInput(),
        lambda net, x, y: captum.InputXGradient(net).attribute(x, target=y),
    ),
    "guided": (fnn.GuidedBackprop(), lambda net, x, y: captum.GuidedBackprop(net).attribute(x, target=y)),
    "deconvnet": (fnn.Deconvnet(), lambda net, x, y: captum.Deconvolution(net).attribute(x, target=y)),
    "integrated": (
        fnn.IntegratedGradients(16),
        lambda net, x, y: captum.IntegratedGradients(net).attribute(x, target=y, n_steps=16, method="riemann_middle"),
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_gradients_of_every_kind_are_those_of_captum(name: str):
    ours, params, theirs = networks(use_bias=True)
    rule, attribute = PLAIN[name]
    agree(rule, params, ours, attribute(theirs, torch.tensor(X.transpose(0, 3, 1, 2)), torch.tensor(CLASSES)))


RELEVANCES = {
    "epsilon": (fnn.Epsilon(0.01), True, lambda: rules.EpsilonRule(0.01)),
    "gamma": (fnn.Gamma(1e-9, 0.25), False, lambda: rules.GammaRule(0.25)),
    "z plus": (fnn.ZPlus(1e-9), True, lambda: rules.Alpha1_Beta0_Rule(set_bias_to_zero=True)),
}


@pytest.mark.parametrize("name", RELEVANCES)
def test_relevances_are_those_of_captum(name: str):
    """Its γ rule leaves biases as they are, where the source raises them too: compared without any."""
    rule, use_bias, made = RELEVANCES[name]
    ours, params, theirs = networks(use_bias)
    for layer in theirs:
        if hasattr(layer, "weight"):
            layer.rule = made()
        elif isinstance(layer, torch.nn.MaxPool2d | torch.nn.AvgPool2d | torch.nn.Flatten):
            layer.rule = rules.EpsilonRule(1e-12)
    x = torch.tensor(X.transpose(0, 3, 1, 2))
    agree(rule, params, ours, captum.LRP(theirs).attribute(x, target=torch.tensor(CLASSES)))
