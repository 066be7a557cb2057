"""Relevance through attention, gated units and normalisations, whose weights count as constants, and rules by path."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import stop_gradient

import fnn
from tests.comparing import close, same

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
EXACT = fnn.Epsilon(0.0)
X = np.random.default_rng(0).standard_normal((3, 5, 8))
RELEVANCES = (fnn.Epsilon(0.0), fnn.Gamma(0.0, 0.5), fnn.ZPlus(0.0))


def drawn(layer: fnn.Layer, x: Any) -> Any:
    """Parameters without biases: all at random, or 0 where they are added."""
    params, _ = layer.init(KEY, x)
    generator = np.random.default_rng(3)

    def one(path: Any, leaf: Any) -> Any:
        return jnp.zeros_like(leaf) if "bias" in str(path[-1]) else jnp.asarray(generator.standard_normal(leaf.shape))

    return jax.tree_util.tree_map_with_path(one, params)


def relevance(layer: fnn.Layer, params: Any, x: Any, target: Any, rule: Any = EXACT) -> Any:
    return jax.jit(lambda x: fnn.attribute(layer, params, {}, x, target, rule=rule))(x)


# ---- with constant weights: the gradient of what is left, times x


def constant_attention(params: Any, x: Any, mask: Any = None) -> Any:
    q, k, v = (jnp.einsum("ntd,dhf->nthf", x, params[name]["kernel"]) for name in ("query", "key", "value"))
    logits = jnp.einsum("nthf,nshf->nhts", q, k) / np.sqrt(q.shape[-1])
    allowed: Any = logits if mask is None else jnp.where(mask, logits, -jnp.inf)
    weights = jax.nn.softmax(allowed)
    return jnp.einsum("nhts,nshf,hfd->ntd", stop_gradient(weights), v, params["out"]["kernel"])


def constant_gate(params: Any, x: Any) -> Any:
    return stop_gradient(jax.nn.silu(x @ params["gate"]["kernel"])) * (x @ params["value"]["kernel"])


def constant_deviation(params: Any, x: Any, axes: Any = -1, groups: int = 1) -> Any:
    split = x.reshape(*x.shape[:-1], groups, -1)
    mean = split.mean(axes, keepdims=True)
    deviation = stop_gradient(jnp.sqrt(((split - mean) ** 2).mean(axes, keepdims=True) + 1e-5))
    return ((split - mean) / deviation).reshape(x.shape) * params["scale"][None, None]


def constant_root(params: Any, x: Any) -> Any:
    root = stop_gradient(jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-6))
    return x / root * params["scale"][None, None]


CONSTANT: dict[str, tuple[fnn.Layer, Any]] = {
    "attention": (fnn.MultiHeadAttention(2), constant_attention),
    "causal attention": (
        fnn.MultiHeadAttention(2, causal=True),
        lambda p, x: constant_attention(p, x, np.tri(5, dtype=bool)[None, None]),
    ),
    "gated unit": (fnn.SwiGLU(6), constant_gate),
    "layer norm": (fnn.LayerNorm(), constant_deviation),
    "RMS norm": (fnn.RMSNorm(), constant_root),
    "group norm": (fnn.GroupNorm(2), lambda p, x: constant_deviation(p, x, axes=(1, 3), groups=2)),
    "instance norm": (fnn.InstanceNorm(), lambda p, x: constant_deviation(p, x, axes=(1, 3), groups=8)),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_what_multiplies_a_signal_is_a_constant(name: str):
    layer, function = CONSTANT[name]
    params = drawn(layer, X)
    y, vjp = jax.vjp(lambda x: function(params, x), X)
    close(layer.apply(params, {}, X)[0], y, rtol=1e-11, atol=1e-12)
    target = np.random.default_rng(5).standard_normal(y.shape)
    close(relevance(layer, params, X, target), X * vjp(target)[0], rtol=1e-10, atol=1e-12)


def test_only_the_memory_has_relevance_where_attention_reads_it():
    layer = fnn.MultiHeadAttention(2)
    memory = np.random.default_rng(1).standard_normal((3, 4, 8))
    params = drawn(layer, (X, memory))
    target = np.ones((3, 5, 8))
    of_x, of_memory = fnn.attribute(layer, params, {}, (X, memory), target, rule=fnn.Epsilon(0.0))
    same(of_x, np.zeros_like(X))
    outputs = layer.apply(params, {}, (X, memory))[0]
    close(of_memory.sum(), (outputs * target).sum(), rtol=1e-10)


# ---- what must be conserved

MODELS: dict[str, fnn.Layer] = {
    "transformer": fnn.Serial(
        fnn.TransformerBlock(2, 12), fnn.TransformerBlock(2, 12), fnn.GlobalAvgPool(), fnn.Dense(3, use_bias=False)
    ),
    "repeated, remat": fnn.Serial(
        fnn.Repeat(fnn.Remat(fnn.TransformerBlock(2, 12)), 2), fnn.GlobalAvgPool(), fnn.Dense(3, use_bias=False)
    ),
    "gated, RMS norm": fnn.Serial(
        fnn.Residual(fnn.Serial(fnn.RMSNorm(), fnn.GEGLU(8))), fnn.GlobalMaxPool(), fnn.Dense(3, use_bias=False)
    ),
    "groups": fnn.Serial(
        fnn.Conv(8, 3, use_bias=False),
        *(fnn.GroupNorm(2, use_bias=False), fnn.Relu(), fnn.GlobalAvgPool(), fnn.Dense(3, use_bias=False)),
    ),
    "positions of zeros": fnn.Serial(fnn.PositionalEmbedding(5), fnn.GlobalAvgPool(), fnn.Dense(3, use_bias=False)),
}


@pytest.mark.parametrize("rule", RELEVANCES, ids=repr)
@pytest.mark.parametrize("name", MODELS)
def test_without_biases_relevances_sum_to_the_output(name: str, rule: Any):
    model, classes = MODELS[name], np.array([0, 2, 1])
    params = drawn(model, X)
    if name == "positions of zeros":
        params = {**params, "positional_embedding_0": jax.tree.map(jnp.zeros_like, params["positional_embedding_0"])}
    outputs = np.asarray(model.apply(params, {}, X)[0])
    found = np.asarray(relevance(model, params, X, classes, rule)).sum((1, 2))
    if isinstance(rule, fnn.ZPlus):  # outputs without a positive weight lose theirs, and inputs here are of both signs
        assert np.isfinite(found).all()
    else:
        close(found, np.take_along_axis(outputs, classes[:, None], 1)[:, 0], rtol=1e-8, atol=1e-9)


# ---- rules by path


def test_each_layer_follows_the_rule_of_its_path():
    model = fnn.Serial(low=fnn.Dense(6), bend=fnn.Relu(), high=fnn.Dense(3))
    x, classes = np.abs(X[:, 0]), np.array([0, 2, 1])
    params = drawn(model, x)
    mixed = fnn.Composite({"low": fnn.ZPlus(), "high": fnn.Epsilon(0.1)})
    found = relevance(model, params, x, classes, mixed)
    h = fnn.Relu()(fnn.Dense(6).apply(params["low"], {}, x)[0])
    of_hidden = fnn.attribute(fnn.Dense(3), params["high"], {}, h, classes, rule=fnn.Epsilon(0.1))
    weights = np.where(h > 0, np.asarray(of_hidden) / np.where(h > 0, h, 1), 0)
    close(found, fnn.attribute(fnn.Dense(6), params["low"], {}, x, weights, rule=fnn.ZPlus()), rtol=1e-10)


@pytest.mark.parametrize("rule", RELEVANCES, ids=repr)
def test_one_rule_for_all_is_that_rule(rule: Any):
    model = fnn.Serial(fnn.Dense(6), fnn.Relu(), fnn.Dense(3))
    params, classes = drawn(model, X[:, 0]), np.array([0, 2, 1])
    alone = relevance(model, params, X[:, 0], classes, rule)
    for composite in (fnn.Composite({}, rule), fnn.Composite({"*": rule})):
        close(relevance(model, params, X[:, 0], classes, composite), alone)


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"conv_*": fnn.ZPlus()}, ValueError, "the glob 'conv_.' matches none of the paths"),
        ({"*": fnn.ZPlus(), "dense_0": fnn.Epsilon()}, ValueError, "both match the layer 'dense_0'"),
        ({"dense_0": fnn.GuidedBackprop()}, TypeError, r"passes on x ⊙ g, as Epsilon\(\) does, got GuidedBackprop"),
        ([fnn.ZPlus()], TypeError, "the rules of a composite are a dict"),
    ],
)
def test_wrong_composites_are_refused(rules: Any, error: type[Exception], message: str):
    model = fnn.Serial(fnn.Dense(6), fnn.Relu(), fnn.Dense(3))
    with pytest.raises(error, match=message):
        fnn.attribute(model, drawn(model, X[:, 0]), {}, X[:, 0], np.array([0, 2, 1]), rule=fnn.Composite(rules))
