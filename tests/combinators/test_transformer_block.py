"""The transformer block and what it is made of: first members, the feed-forward network, compositions."""

from typing import Any, NamedTuple

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
from tests.cases.users import Gated
from tests.comparing import close, same
from tests.drawing import drawn

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


Norm: Any = fnn.LayerNorm
X, MASK = drawn("sequences of a block", 2, 5, 4), np.array([[True] * 5, [True] * 3 + [False] * 2])


def made(random: Any, layer: fnn.Layer, x: Any) -> Any:
    return compiled.drawn_params(random, layer, x, scale=0.5)


# ---- First


def test_first_applies_its_layer_to_the_first_member_and_passes_the_others_on():
    (y, other, mask), _ = compiled.apply(fnn.First(fnn.Tanh()), {}, {}, (X, X, MASK))
    np.testing.assert_allclose(y, np.tanh(X))
    np.testing.assert_array_equal(other, X)
    np.testing.assert_array_equal(mask, MASK)
    np.testing.assert_allclose(compiled.apply(fnn.First(fnn.Tanh()), {}, {}, X)[0], np.tanh(X))


def test_first_keeps_the_type_of_a_named_tuple():
    class Batch(NamedTuple):
        x: Any
        mask: Any

    y, _, cache = compiled.forward(fnn.First(fnn.Tanh()), {}, {}, Batch(X, MASK))
    assert isinstance(y, Batch)
    _, dx = fnn.First(fnn.Tanh()).backward(cache, Batch(jnp.asarray(X), None))
    assert isinstance(dx, Batch)
    assert dx.mask is None


def test_first_of_the_whole_adds_the_gradients_of_what_passes_and_what_is_read(random: Any):
    class Product(fnn.Layer, name="product"):
        def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
            return x[0] * x[1], state, {"x": x}

        def backward(self, cache: Any, dy: Any) -> tuple:
            return {}, (dy * cache["x"][1], dy * cache["x"][0])

    a, b, da, db = map(jnp.asarray, (random(3), random(3), random(3), random(3)))
    layer = fnn.First(Product(), whole=True)
    (y, passed), _, cache = compiled.forward(layer, {}, {}, (a, b))
    np.testing.assert_allclose(y, a * b)
    np.testing.assert_allclose(passed, b)
    _, dx = layer.backward(cache, (da, db))
    np.testing.assert_allclose(dx, (da * b, db + da * a))


def test_first_is_made_of_a_layer():
    with pytest.raises(TypeError, match=r"First is made of layers, got <class .*Relu'>; did you mean Relu\(…\)\?"):
        fnn.First(fnn.Relu)  # type: ignore[arg-type]


# ---- FeedForward


def test_the_feed_forward_network_is_its_equation_and_returns_to_the_width_of_its_input(random: Any):
    layer = fnn.FeedForward(7, activation=fnn.Relu())
    params = made(random, layer, X)
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
        pytest.param(fnn.FeedForward(6, activation=fnn.PRelu()), marks=pytest.mark.full),
        pytest.param(fnn.FeedForward(6, activation=fnn.Maxout(2)), marks=pytest.mark.full),
        pytest.param(fnn.FeedForward(6, activation=fnn.Serial(fnn.Silu(), fnn.Dropout(0.3))), marks=pytest.mark.full),
        pytest.param(NormedFeedForward(6, norm=fnn.RMSNorm(), dropout=fnn.Dropout(0.2)), marks=pytest.mark.full),
    ],
    ids=repr,
)
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


# ---- TransformerBlock


def test_the_block_is_its_equations(random: Any):
    block = fnn.TransformerBlock(2, 7, kv_heads=1, causal=True, rotary=True)
    params = made(random, block, (X, MASK))
    (y, mask), _ = compiled.apply(block, params, {}, (X, MASK))

    def at(layer: fnn.Layer, path: tuple, x: Any) -> Any:
        own = params[path[0]] if len(path) == 1 else params[path[0]][path[1]]
        return compiled.apply(layer, own, {}, x)[0]

    heads = fnn.MultiHeadAttention(2, kv_heads=1, causal=True, rotary=True)
    u = X + at(heads, ("attention", "heads"), (at(fnn.LayerNorm(), ("attention", "norm"), X), MASK))
    mlp = {name: params["mlp"][name] for name in ("hidden", "out")}
    expected = u + compiled.apply(fnn.FeedForward(7), mlp, {}, at(fnn.LayerNorm(), ("mlp", "norm"), u))[0]
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    np.testing.assert_array_equal(mask, MASK)
    everything = np.ones_like(MASK)
    np.testing.assert_allclose(
        compiled.apply(block, params, {}, X)[0], compiled.apply(block, params, {}, (X, everything))[0][0], rtol=1e-12
    )


def test_what_stands_behind_the_mask_changes_nothing_before_it(random: Any):
    model = fnn.Repeat(fnn.TransformerBlock(2, 6), 3)
    params = made(random, model, (X, MASK))
    other = np.where(MASK[..., None], X, random(*X.shape))
    (y, _), (z, _) = (compiled.apply(model, params, {}, (each, MASK))[0] for each in (X, other))
    np.testing.assert_allclose(y[MASK], z[MASK], rtol=1e-12)


def test_the_paths_of_the_parameters():
    params, state = jax.eval_shape(fnn.TransformerBlock(2, 6, dropout=0.1).init, KEY, (X, MASK))
    assert state == {}
    norms = [f"{part}/norm/{name}" for part in ("attention", "mlp") for name in ("scale", "bias")]
    heads = [
        f"attention/heads/{name}/{leaf}" for name in ("query", "key", "value", "out") for leaf in ("kernel", "bias")
    ]
    mlp = [f"mlp/{name}/{leaf}" for name in ("hidden", "out") for leaf in ("kernel", "bias")]
    assert named_leaves(params).keys() == {*norms, *heads, *mlp}


def test_rules_reach_the_layers_inside_and_reports_of_repeated_blocks_are_stacked():
    model = fnn.Repeat(fnn.TransformerBlock(2, 6), 3)
    seen = []

    def tap(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> tuple:
        seen.append(path)
        return {"dy": dy}, layer.backward(cache, dy)[1]

    def run(params: Any, x: Any) -> Any:
        (y, _), _, cache = model.forward(params, {}, (x, MASK))
        return fnn.backprop(model, cache, (y, None), tap)

    reports, (dx, dmask) = jax.eval_shape(run, jax.eval_shape(model.init, KEY, (X, MASK))[0], X)
    assert sorted(seen) == sorted(["attention/norm", "attention/heads", "mlp"])
    assert reports["attention"]["heads"]["dy"].shape == (3, 2, 5, 4)
    assert reports["mlp"]["dy"].shape == (3, 2, 5, 4)
    assert dx.shape == X.shape
    assert dmask is None


def test_the_layers_inside_can_be_rewritten(random: Any):
    block = fnn.TransformerBlock(2, 6)
    assert block.with_children(block.children()) == block
    params = made(random, block, X)

    other = fnn.rewrite(block, {"*": lambda layer: fnn.Tanh() if isinstance(layer, fnn.Gelu) else layer})
    assert isinstance(other, fnn.Serial)
    assert repr(other).startswith("Serial(attention=Residual(inner=Serial(norm=First(inner=LayerNorm())")
    expected = compiled.apply(fnn.TransformerBlock(2, 6, activation=fnn.Tanh()), params, {}, X)[0]
    np.testing.assert_array_equal(compiled.apply(other, params, {}, X)[0], expected)
    with pytest.raises(ValueError, match="with_children replaces layers, not names"):
        block.with_children({"attention": Gated()})


def test_it_prints_as_it_was_made():
    block = fnn.TransformerBlock(2, 6, causal=True, activation=fnn.Silu())
    assert repr(block) == "TransformerBlock(num_heads=2, hidden=6, causal=True, activation=Silu())"
    assert block == fnn.TransformerBlock(2, 6, causal=True, activation=fnn.Silu())
    assert hash(block) == hash(fnn.TransformerBlock(2, 6, causal=True, activation=fnn.Silu()))


@pytest.mark.full
def test_dropout_is_random_in_training_alone_and_needs_a_key(random: Any):
    block = fnn.TransformerBlock(2, 6, dropout=0.5)
    params = made(random, block, X)
    np.testing.assert_array_equal(
        compiled.apply(block, params, {}, X)[0], compiled.apply(fnn.TransformerBlock(2, 6), params, {}, X)[0]
    )
    with pytest.raises(ValueError, match="needs a key"):
        block.apply(params, {}, X, train=True)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: fnn.TransformerBlock(0, 6), ValueError, "num_heads is at least 1, got 0"),
        (lambda: fnn.TransformerBlock(2, 0), ValueError, "hidden is at least 1, got 0"),
        (lambda: fnn.TransformerBlock(2, 6, dropout=1.0), ValueError, r"lies in \[0, 1\), got 1.0"),
        (lambda: fnn.TransformerBlock(2, 6, kv_heads=3), ValueError, "kv_heads=3 does not divide num_heads=2"),
        (lambda: fnn.TransformerBlock(2, 6, norm=Norm), TypeError, r"did you mean LayerNorm\(…\)\?"),
    ],
)
def test_wrong_options(make: Any, error: type, message: str):
    with pytest.raises(error, match=message):
        make()


def test_an_error_inside_says_where():
    with pytest.raises(ValueError, match="num_heads=3 does not divide the 4 features") as caught:
        fnn.Repeat(fnn.TransformerBlock(3, 6), 2).init(KEY, (X, MASK))
    places = [note for note in caught.value.__notes__ if note.startswith("in ")]
    expected = "in attention/heads: MultiHeadAttention(num_heads=3), applied to (float64[2,5,4], bool[2,5])"
    assert places == [expected]


def test_the_tools_see_its_layers():
    model = fnn.Serial(fnn.Repeat(fnn.TransformerBlock(2, 6, activation=fnn.Tanh()), 2), head=fnn.Dense(3))
    rows = {row.path: row for row in fnn.summary(model, X).rows}
    assert rows["repeat_0/mlp"].parameters == 2 * (2 * 4 + 4 * 6 + 6 + 6 * 4 + 4)
    assert rows["repeat_0/attention/heads"].rule == "hand"


@pytest.mark.full
def test_its_gradient_is_that_of_jax(random: Any):
    model = fnn.Serial(fnn.Repeat(fnn.TransformerBlock(2, 6, activation=fnn.Tanh()), 2), head=fnn.Dense(3))
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = objective.init(KEY, X)
    report = fnn.compare_gradients(objective, params, state, (X, random(2, 5, 3)), methods=("manual", "reverse"))
    assert report.ok
    assert report.max_error < 1e-12
