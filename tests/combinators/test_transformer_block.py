"""The transformer block and what it is made of: first members, compositions."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.paths import named_leaves
from tests import compiled
from tests.cases.users import Gated
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
