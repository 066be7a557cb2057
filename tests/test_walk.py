"""Walking and rewriting models, through every combinator."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn import Dense, Frozen, Remat, Repeat, Residual, Serial, Tanh, rewrite, walk
from fnn.backprop import asks_rule, leading_axes
from fnn.gradients.deltas import Probed, automatic, instrumented
from fnn.layer import Layer
from fnn.paths import join, named_leaves
from fnn.stand_in import StandIn
from fnn.walk import nodes
from tests import compiled
from tests.comparing import close
from tests.compiled import shape_of

KEY = jax.random.key(0)
TWO = Serial(Dense(3), Tanh())

# One a class: the model, the shape of its input, and the paths of its layers in order (None: as in its composition).
MODELS: dict[str, tuple[Layer, tuple[int, ...], list[str] | None]] = {
    "Bidirectional": (fnn.Bidirectional(fnn.SimpleRNN(2)), (2, 3, 2), ["", "forward", "backward"]),
    "Cast": (fnn.Cast(TWO, "float64"), (2, 3), ["", "", "dense_0", "tanh_0"]),
    "DropConnect": (fnn.DropConnect(TWO, 0.5), (2, 3), ["", "", "dense_0", "tanh_0"]),
    "FeedForward": (fnn.FeedForward(4, activation=Tanh()), (2, 3), ["", "activation"]),
    "First": (fnn.First(Dense(2)), (2, 3), ["", ""]),
    "Frozen": (Frozen(TWO), (2, 3), ["", "", "dense_0", "tanh_0"]),
    "Graph": (
        fnn.Graph({"out": (Dense(1), "wide"), "wide": (TWO, "x")}, outputs="out"),
        (2, 3),
        ["", "wide", "wide/dense_0", "wide/tanh_0", "out"],
    ),
    "ManualVjp": (fnn.with_manual_vjp(TWO), (2, 3), ["", "", "dense_0", "tanh_0"]),
    "Pack": (fnn.Pack(TWO), (2, 3), ["", "", "dense_0", "tanh_0"]),
    "Parallel": (
        fnn.Parallel(Dense(3), wide=TWO, merge="multiply"),
        (2, 3),
        ["", "dense_0", "wide", "wide/dense_0", "wide/tanh_0"],
    ),
    "Remat": (Remat(TWO), (2, 3), ["", "", "dense_0", "tanh_0"]),
    "Repeat": (Repeat(Residual(TWO), 2), (2, 3), ["", "", "", "dense_0", "tanh_0"]),
    "Residual": (Residual(TWO, Dense(3)), (2, 3), ["", "inner", "inner/dense_0", "inner/tanh_0", "shortcut"]),
    "Reversible": (
        fnn.Reversible(Serial(Dense(2), Tanh()), Dense(2)),
        (2, 4),
        ["", "f", "f/dense_0", "f/tanh_0", "g"],
    ),
    "SeparableConv": (fnn.SeparableConv(2, 2), (2, 3, 3, 1), ["", "depthwise", "pointwise"]),
    "Serial": (Serial(Dense(2), Tanh(), Dense(3), head=Dense(1)), (2, 3), ["", "dense_0", "tanh_0", "dense_1", "head"]),
    "SpectralNorm": (fnn.SpectralNorm(TWO), (2, 3), ["", "inner", "inner/dense_0", "inner/tanh_0"]),
    "Tied": (
        fnn.Tied(Serial(one=Dense(3), two=Dense(3)), {"two/kernel": "one/kernel"}),
        (2, 3),
        ["", "", "one", "two"],
    ),
    "TimeDistributed": (fnn.TimeDistributed(Dense(2)), (2, 3, 4), ["", ""]),
    "TransformerBlock": (fnn.TransformerBlock(1, 3, activation=Tanh()), (2, 3, 2), None),
    "WeightNorm": (fnn.WeightNorm(TWO), (2, 3), ["", "", "dense_0", "tanh_0"]),
}

through_every_combinator = pytest.mark.parametrize(("model", "shape", "paths"), MODELS.values(), ids=MODELS)


def leaves(model: Layer) -> dict[str, Layer]:
    return {path: layer for path, layer in walk(model) if not layer.children()}


def of_leaves(function: Callable[[Layer], Layer]) -> Callable[[Layer], Layer]:
    return lambda layer: layer if layer.children() else function(layer)


@dataclasses.dataclass(frozen=True)
class Marked(StandIn):
    """A layer with a parameter ``here`` beside its own."""

    def init(self, key: jax.Array, x: Any) -> Any:
        params, state = self.inner.init(key, x)
        return {**params, "here": jnp.zeros(1)}, state

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        own = {name: leaf for name, leaf in params.items() if name != "here"}
        return self.inner.apply(own, state, x, train=train, key=key)


# ---- through every combinator


def test_every_combinator_is_in_the_table():
    classes = {each for each in vars(fnn.combinators).values() if isinstance(each, type) and issubclass(each, Layer)}
    assert classes <= {type(model) for model, _, _ in MODELS.values()}


@through_every_combinator
def test_the_paths_of_layers_are_those_of_their_parameters(model: Layer, shape: tuple, paths: list[str] | None):
    assert next(walk(model)) == ("", model)
    if paths is None:
        assert [*walk(model)][1:] == [*walk(model.composition)][1:]  # pyright: ignore[reportAttributeAccessIssue]
    else:
        assert [path for path, _ in walk(model)] == paths
    marked = rewrite(model, {"*": of_leaves(Marked)})
    params, _ = jax.eval_shape(marked.init, KEY, shape_of(*shape))
    here = {path for path in named_leaves(params) if path.rpartition("/")[2] == "here"}
    assert here == {join(path, "here") for path in leaves(model)}


@through_every_combinator
def test_a_model_rewritten_as_it_was_is_equal(model: Layer, shape: tuple, paths: list[str] | None):
    assert rewrite(model, {"*": lambda layer: layer}) is model
    assert rewrite(model, {"*": copy.copy}) == model


@through_every_combinator
def test_one_layer_is_replaced_and_no_other(model: Layer, shape: tuple, paths: list[str] | None):
    before = leaves(model)
    for path in before:
        assert leaves(rewrite(model, {path: of_leaves(Marked)})) == {**before, path: Marked(before[path])}


@pytest.mark.full
@through_every_combinator
def test_wrapped_layers_compute_the_same_and_their_gradients_are_right(
    model: Layer, shape: tuple, paths: list[str] | None, random: Any
):
    remat, frozen = (rewrite(model, {"*": of_leaves(wrapper)}) for wrapper in (Remat, Frozen))
    assert all(isinstance(node.ancestors[-1], Frozen) for node in nodes(frozen) if not node.layer.children())
    x = random(*shape)
    params = compiled.drawn_params(random, model, shape_of(*shape))
    _, state = jax.eval_shape(model.init, KEY, shape_of(*shape))
    state = jax.tree.map(lambda leaf: random(*leaf.shape), state)
    y = jax.eval_shape(model.apply, params, state, x)[0]
    dy = random(*y.shape)

    @jax.jit
    def all_ways(params: Any, x: Any, dy: Any) -> Any:
        found = []
        for each in (model, remat, frozen):
            y, _, cache = each.forward(params, state, x)
            found.append((y, *each.backward(cache, dy)))
        _, vjp = jax.vjp(lambda params, x: frozen.apply(params, state, x)[0], params, x)
        return found, vjp(dy)

    (plain, again, still), automatic_gradient = all_ways(params, x, dy)
    close(again, plain)
    close(still[0], plain[0])
    close(still[1:], automatic_gradient)


# ---- where a layer stands


def test_a_node_knows_what_is_around_it():
    model = Serial(body=Frozen(Repeat(Residual(Repeat(Dense(3), 2)), 4)))
    *outer, dense = nodes(model)
    assert (dense.path, dense.layer, dense.ancestors) == ("body", Dense(3), tuple(node.layer for node in outer))
    assert [dense.is_in(kind) for kind in (Frozen, Repeat, Remat, Dense)] == [True, True, False, False]
    assert [leading_axes(node) for node in nodes(model)] == [(), (), (), (4,), (4,), (4, 2)]


def test_layers_in_a_layer_that_is_no_combinator_are_walked_and_not_asked_for_a_rule():
    model = Serial(fnn.FeedForward(4, activation=fnn.with_manual_vjp(Tanh())))
    paths = ["", "feed_forward_0", "feed_forward_0/activation", "feed_forward_0/activation"]
    assert [path for path, _ in walk(model)] == paths
    assert [node.path for node in nodes(model) if asks_rule(node)] == ["feed_forward_0"]
    plain = fnn.FeedForward(4, activation=Tanh())
    assert automatic(model) == Serial(plain)
    assert instrumented(model) == Serial(feed_forward_0=Probed(plain))
