"""The feed-forward network: its equation, what it draws, what a rule sees of it, and what its activation may be."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.combinators.transformer_block import NormedFeedForward
from fnn.layer import named_key
from fnn.paths import named_leaves
from fnn.testing import check_layer
from tests import compiled
from tests.comparing import close, same
from tests.drawing import drawn

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
X = drawn("sequences of a block", 2, 5, 4)


def test_the_feed_forward_network_is_its_equation_and_returns_to_the_width_of_its_input(random: Any):
    layer = fnn.FeedForward(7, activation=fnn.Relu())
    params = compiled.drawn_params(random, layer, X, scale=0.5)
    hidden, out = (jax.tree.map(np.asarray, params[name]) for name in ("hidden", "out"))
    expected = np.maximum(X @ hidden["kernel"] + hidden["bias"], 0) @ out["kernel"] + out["bias"]
    np.testing.assert_allclose(compiled.apply(layer, params, {}, X)[0], expected, rtol=1e-12)
    assert {path: leaf.shape for path, leaf in named_leaves(params).items()} == {
        "hidden/bias": (7,),
        "hidden/kernel": (4, 7),
        "out/bias": (4,),
        "out/kernel": (7, 4),
    }


def test_a_layer_with_parameters_can_be_the_activation():
    params, _ = fnn.FeedForward(7, activation=fnn.Serial(fnn.LayerNorm())).init(KEY, X)
    assert params["activation"]["layer_norm_0"]["scale"].shape == (7,)


def test_each_part_of_the_network_is_drawn_from_the_key_of_its_name():
    params, _ = fnn.FeedForward(7, activation=fnn.PRelu()).init(KEY, X)
    hidden, out = (named_key(KEY, name) for name in ("hidden", "out"))
    same(params["hidden"], fnn.Dense(7).init(hidden, X)[0])
    same(params["out"], fnn.Dense(4).init(out, np.zeros((2, 5, 7)))[0])
    params, _ = fnn.TransformerBlock(2, 7).init(KEY, X)
    same(params["mlp"]["hidden"], fnn.Dense(7).init(named_key(named_key(KEY, "mlp"), "hidden"), X)[0])


@pytest.mark.parametrize(
    "layer",
    [
        fnn.FeedForward(6, activation=fnn.Serial(fnn.PRelu(), fnn.Dropout(0.3), fnn.Maxout(2))),
        NormedFeedForward(6, norm=fnn.RMSNorm(), dropout=fnn.Dropout(0.2)),
    ],
    ids=repr,
)
@pytest.mark.full
def test_the_activation_may_have_parameters_be_random_or_narrow(layer: fnn.Layer):
    check_layer(layer, X)


@pytest.mark.full
def test_the_activation_may_have_state():
    check_layer(fnn.FeedForward(6, activation=fnn.BatchNorm()), X, per_example=False)


def test_the_network_is_one_layer_to_a_rule_which_reads_its_cache():
    layer = fnn.FeedForward(6)
    model = fnn.Serial(layer, fnn.Dense(2))
    seen = {}

    def rule(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> tuple:
        seen[path] = cache
        return layer.backward(cache, dy)

    def run(params: Any, x: Any) -> Any:
        y, _, cache = model.forward(params, {}, x)
        return fnn.backprop(model, cache, y, rule)[0]

    params = model.init(KEY, X)[0]
    gradient = jax.eval_shape(run, params, X)
    assert list(seen) == ["dense_0", "feed_forward_0"]
    assert {name: sorted(part) for name, part in seen["feed_forward_0"].items() if name != "width"} == {
        "hidden": ["kernel", "x"],
        "activation": ["x"],
        "out": ["kernel", "x"],
    }
    assert seen["feed_forward_0"]["width"] == fnn.Static(4)
    assert jax.tree.structure(gradient) == jax.tree.structure(params)


def test_its_activation_can_be_rewritten_and_says_whose_rule_it_is():
    layer = fnn.FeedForward(6)
    assert layer.children() == {"activation": fnn.Gelu()}
    assert layer.with_children({"activation": fnn.Tanh()}) == fnn.FeedForward(6, activation=fnn.Tanh())
    assert layer.rule == "hand"
    assert layer.with_children({"activation": fnn.Lambda(jnp.sin)}).rule == "auto"
    with pytest.raises(ValueError, match="with_children replaces layers, not names"):
        layer.with_children({"act": fnn.Tanh()})


LENGTHS = np.array([5, 3], np.int32)


@pytest.mark.parametrize("activation", [fnn.Gelu(), fnn.BatchNorm()], ids=repr)
def test_over_time_the_network_does_what_its_activation_does(activation: fnn.Layer, random: Any):
    """With batch norm inside, lengths beside x were refused: the width stood in their place."""
    layer = fnn.Serial(fnn.FeedForward(6, activation=activation))
    params, state = layer.init(KEY, (X, LENGTHS))
    other = np.where(np.arange(5)[None, :, None] < LENGTHS[:, None, None], X, 1e3)

    def run(x: Any) -> Any:
        (y, _), after, cache = layer.forward(params, state, (x, LENGTHS), train=True)
        return y, after, layer.backward(cache, (jnp.ones_like(y), None))

    (y, after, gradient), (z, other_after, other_gradient) = map(jax.jit(run), (X, other))
    close(y[0], z[0])
    close(y[1, :3], z[1, :3])
    close((after, gradient), (other_after, other_gradient))


def test_wrong_options_of_the_network():
    with pytest.raises(ValueError, match=r"expected an input \(…, D\), got a scalar"):
        fnn.FeedForward(3).init(KEY, np.ones(()))
    with pytest.raises(TypeError, match="expected one array"):
        fnn.FeedForward(3).init(KEY, {"x": X})
    with pytest.raises(ValueError, match="hidden is at least 1, got 0"):
        fnn.FeedForward(0)
    with pytest.raises(TypeError, match="FeedForward is made of layers"):
        fnn.FeedForward(3, activation=jnp.tanh)  # type: ignore[arg-type]
