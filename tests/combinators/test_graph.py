"""Graphs: what is wired how, what is refused, and what a gradient becomes where a value is read twice."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Add, Concatenate, Dense, Graph, Identity, Multiply, Tanh
from tests.comparing import close, same
from tests.drawing import drawn

KEY = jax.random.key(0)
NODES = {
    "risk": (Dense(1), "joined"),
    "joined": (Concatenate(), ("seen", "age")),
    "seen": (fnn.Serial(Dense(3), Tanh()), "image"),
    "kind": (Dense(2), "seen"),
}
MODEL = Graph(NODES, outputs=("risk", "kind"))
X = {"image": drawn("image", 4, 5), "age": drawn("age", 4, 2)}


# ---- what is wired how


def test_the_nodes_may_come_in_any_order():
    again = Graph({name: NODES[name] for name in sorted(NODES)}, outputs=["risk", "kind"])
    assert again == MODEL
    assert hash(again) == hash(MODEL)
    assert list(MODEL.children()) == ["seen", "joined", "risk", "kind"]  # as given, where that can run
    assert MODEL.inputs == ("image", "age")


def test_it_prints_as_its_call():
    assert eval(repr(MODEL), vars(fnn)) == MODEL
    assert repr(Graph({"y": (Tanh(), "x")}, outputs="y")) == "Graph(nodes={'y': (Tanh(), 'x')}, outputs='y')"


def test_it_is_stored_as_text_and_read_again():
    inner = Graph({"a": (MODEL, {"image": "x", "age": "z"}), "b": (Tanh(), "x")}, outputs={"p": "a", "q": "b"})
    for model in (MODEL, inner):
        assert fnn.from_json(fnn.to_json(model)) == model


def test_two_nodes_of_one_name_in_a_text_are_refused():
    text = fnn.to_json(Graph({"a": (Tanh(), "x"), "b": (Tanh(), "a")}, outputs="b"))
    with pytest.raises(ValueError, match=r"in nodes: two entries of a dict have one name, of \['a', 'a'\]"):
        fnn.from_json(text.replace('["b", {', '["a", {'))


def test_the_summary_says_what_every_node_reads():
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, "float32"), X)
    found = {row.path: (row.output, row.seen) for row in fnn.summary(MODEL, shapes).rows}
    assert found == {
        "seen/dense_0": ("float32[4,3]", "reads image"),
        "seen/tanh_0": ("float32[4,3]", ""),
        "joined": ("float32[4,5]", "reads seen, age"),
        "risk": ("float32[4,1]", "reads joined"),
        "kind": ("float32[4,2]", "reads seen"),
    }
    pictures = Graph({"y": (fnn.Conv(2, 3), "x")}, outputs="y")
    (row,) = fnn.summary(pictures, jax.ShapeDtypeStruct((1, 4, 4, 1), "float32")).rows
    assert row.seen == "2-D over 4×4, 1 channel; reads x"


def test_layers_have_the_paths_of_their_nodes():
    assert [path for path, _ in fnn.walk(MODEL)] == [
        *("", "seen", "seen/dense_0", "seen/tanh_0", "joined", "risk", "kind"),
    ]
    changed = fnn.rewrite(MODEL, {"kind": fnn.Frozen})
    assert changed == Graph({**NODES, "kind": (fnn.Frozen(Dense(2)), "seen")}, outputs=("risk", "kind"))


# ---- worked by hand


def test_a_value_that_is_read_twice_gets_the_sum_of_the_gradients():
    model = Graph({"a": (Add(), ("x", "z")), "y": (Multiply(), ("a", "x", "a"))}, outputs=("y", "a"))
    x, z = np.array([[2.0]]), np.array([[3.0]])
    y, _, cache = model.forward({}, {}, {"x": x, "z": z})  # a = x + z, y = x a²
    assert (y["y"].item(), y["a"].item()) == (50, 5)
    _, dx = model.backward(cache, {"y": jnp.array([[1.0]]), "a": jnp.array([[10.0]])})
    assert dx["z"].item() == 2 * 2 * 5 + 10  # 2 x a dy + da
    assert dx["x"].item() == 25 + 2 * 2 * 5 + 10


def test_an_output_without_a_gradient_counts_as_one_of_zeros():
    nodes = {"a": (Dense(2), "x"), "b": (Tanh(), "a"), "c": (Dense(3), "x"), "e": (fnn.Embedding(4, 2), "i")}
    model = Graph(nodes, outputs=("b", "c", "i", "e"))
    x = {"x": drawn("x", 3, 2).astype(np.float32), "i": np.array([0, 3, 1])}
    params, _ = model.init(KEY, x)
    y, _, cache = model.forward(params, {}, x)
    db = jnp.ones_like(y["b"])
    zeros = {"c": jnp.zeros_like(y["c"]), "e": jnp.zeros_like(y["e"]), "i": None}
    expected = model.backward(cache, {"b": db} | zeros)
    assert expected[1]["i"] is None
    same(model.backward(cache, {"b": db, "c": None}), expected)
    same(model.backward(cache, {"b": db}), expected)


def test_the_outputs_may_have_names_of_their_own():
    model = Graph({"y": (Tanh(), "x")}, outputs={"first": "y", "again": "y", "given": "x"})
    x = np.array([[0.5]])
    y, _, cache = model.forward({}, {}, x)
    close(y, {"first": np.tanh(x), "again": np.tanh(x), "given": x}, rtol=1e-6)
    _, dx = model.backward(cache, {"first": jnp.ones((1, 1)), "again": jnp.ones((1, 1)), "given": jnp.ones((1, 1))})
    close(dx, 2 * (1 - np.tanh(x) ** 2) + 1, rtol=1e-6)


def test_a_single_input_may_come_alone_or_by_its_name():
    model = Graph({"y": (Tanh(), "x")}, outputs="y")
    for x in (np.ones((2, 1)), {"x": np.ones((2, 1))}):
        y, _, cache = model.forward({}, {}, x)
        assert jax.tree.structure(model.backward(cache, jnp.ones_like(y))[1]) == jax.tree.structure(x)


# ---- what is refused

REFUSED = [
    ([], "y", TypeError, r"Graph takes its nodes by name, \{'name': \(layer, 'input'\)\}, got \[\]"),
    ({}, "y", ValueError, "Graph needs at least one node"),
    ({"y": Tanh()}, "y", TypeError, r"the node 'y' is a pair \(layer, .*got Tanh\(\); write \(Tanh\(\), 'input'\)"),
    ({"y": (Tanh(), "x", "z")}, "y", TypeError, r"the node 'y' is a pair \(layer, names of its inputs\), got"),
    ({"y": (Tanh, "x")}, "y", TypeError, r"Graph is made of layers, got .*did you mean Tanh\(…\)\?"),
    ({"y": (Tanh(), ())}, "y", TypeError, r"the inputs of the node 'y' are a name, a tuple of names or a dict of them"),
    ({"y": (Tanh(), 1)}, "y", TypeError, "the inputs of the node 'y' are a name, a tuple of names or a dict of"),
    ({"y": (Tanh(), ("x", 1))}, "y", TypeError, "the inputs of the node 'y' are a name, a tuple of names or a dict"),
    ({"y": (Tanh(), "")}, "y", ValueError, "a name is a non-empty string"),
    ({"a/b": (Tanh(), "x")}, "a/b", ValueError, "a name is a non-empty string without '/'"),
    ({"y": (Tanh(), "x")}, None, TypeError, "the outputs are a name, a tuple of names or a dict of them, got None"),
    ({"y": (Tanh(), "x")}, "out", ValueError, r"the output 'out' is neither a node nor .* are \['y'\], .* \['x'\]$"),
    ({"mean": (Tanh(), "x")}, "meann", ValueError, r"the output 'meann' is neither .*; did you mean 'mean'\?"),
    ({"y": (Tanh(), "x")}, ("y", "y"), ValueError, "the output 'y' is named twice; a dict gives each its own name"),
    (
        {"y": (Tanh(), "x"), "a": (Tanh(), "y"), "b": (Tanh(), "a")},
        "y",
        ValueError,
        r"no output depends on the nodes \['a', 'b'\]: name them in outputs, or leave them out",
    ),
    ({"y": (Tanh(), "y")}, "y", ValueError, "the nodes 'y' → 'y' form a cycle, and none of them can run first"),
    (
        {"z": (Tanh(), "b"), "a": (Add(), ("x", "c")), "b": (Tanh(), "a"), "c": (Tanh(), "b")},
        "z",
        ValueError,
        "the nodes 'b' → 'c' → 'a' → 'b' form a cycle",
    ),
]


@pytest.mark.parametrize(("nodes", "outputs", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_graph_that_cannot_be(nodes: Any, outputs: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        Graph(nodes, outputs=outputs)


INPUTS = [
    (np.ones((2, 3)), TypeError, r"the graph takes its inputs by name, a dict with \['image', 'age'\], got float32"),
    ({"image": X["image"]}, ValueError, r"the input 'age' is missing: the graph reads \['image', 'age'\], got"),
    ({"image": X["image"], "agee": X["age"]}, ValueError, r"the input 'age' is missing: .*; did you mean 'agee'\?"),
    ({**X, "id": X["age"]}, ValueError, r"no node reads the input 'id': the graph reads .*; leave it out"),
]


@pytest.mark.parametrize(("x", "kind", "message"), INPUTS, ids=range(len(INPUTS)))
def test_inputs_that_are_not_those_of_the_graph(x: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        MODEL.init(KEY, x)


def test_a_misspelt_node_is_an_input_that_is_missing():
    model = Graph({"hidden": (Tanh(), "x"), "y": (Add(), ("hiden", "hidden"))}, outputs="y")
    with pytest.raises(ValueError, match=r"the input 'hiden' is missing: .*; did you mean 'hidden'\?"):
        model.apply({}, {}, {"x": np.ones((1, 1))})


def test_gradients_that_are_not_those_of_the_outputs():
    model = Graph({"a": (Tanh(), "x"), "b": (Identity(), "x")}, outputs=("a", "b"))
    cache = model.forward({}, {}, np.ones((1, 1)))[2]
    with pytest.raises(TypeError, match=r"the gradients of the outputs, a dict of \['a', 'b'\], got float.*\[1,1\]"):
        model.backward(cache, jnp.ones((1, 1)))
    with pytest.raises(TypeError, match=r"the gradients of the outputs, a dict of \['a', 'b'\], got \['c'\]"):
        model.backward(cache, {"a": jnp.ones((1, 1)), "c": jnp.ones((1, 1))})


def test_an_error_in_a_node_says_where():
    params, state = MODEL.init(KEY, X)
    with pytest.raises(ValueError, match="differ on axis -1 alone") as raised:
        MODEL.apply(params, state, {**X, "age": X["age"][:3]})
    assert any("in joined: Concatenate(), applied to" in note for note in raised.value.__notes__)


def test_other_layers_have_the_same_names():
    with pytest.raises(ValueError, match="with_children replaces layers, not names"):
        MODEL.with_children({"seen": Tanh()})


# ---- what works on any model


@pytest.mark.full
@pytest.mark.usefixtures("strict_numerics")
def test_relevance_of_an_output_is_what_all_its_ways_bring():
    model = Graph(
        {
            "a": (Dense(3, use_bias=False), "x"),
            "b": (Add(), ("a", "x")),
            "c": (Concatenate(), ("b", "a", "z")),
            "y": (Dense(2, use_bias=False), "c"),
            "other": (Dense(2), "a"),
        },
        outputs=("y", "other"),
    )
    x = {"x": drawn("x", 4, 3), "z": drawn("z", 4, 2)}
    params, _ = model.init(KEY, x)
    target = {"y": np.array([0, 1, 1, 0])}

    @jax.jit
    def run(x: Any) -> Any:
        y = model.apply(params, {}, x)[0]["y"]
        return y, [fnn.attribute(model, params, {}, x, target, rule=rule) for rule in (None, fnn.Epsilon(0.0))]

    y, found = run(x)
    for each in found:  # it is linear in x without biases: both share the output out
        close(each["x"].sum(1) + each["z"].sum(1), np.asarray(y)[np.arange(4), target["y"]])


def test_several_outputs_are_explained_by_name():
    params, state = MODEL.init(KEY, X)
    for target in (np.zeros(4, int), {}, {"kinds": np.zeros(4, int)}):
        with pytest.raises(ValueError, match=r"of several outputs, \['kind', 'risk'\], those are explained for which"):
            fnn.attribute(MODEL, params, state, X, target)


@pytest.mark.full
@pytest.mark.usefixtures("strict_numerics")
def test_weights_are_tied_and_gradients_go_through_a_vjp_by_hand():
    twins = fnn.Tied(
        Graph({"a": (Dense(3), "x"), "b": (Dense(3), "z"), "y": (Add(), ("a", "b"))}, outputs="y"), {"b": "a"}
    )
    x = {"x": drawn("x", 2, 4), "z": drawn("z", 2, 4)}
    params, state = twins.init(KEY, x)
    assert list(params) == ["a"]

    def loss(layer: fnn.Layer, params: Any, x: Any) -> Any:
        return jnp.sin(layer.apply(params, state, x)[0]).sum()

    by_hand, automatic = jax.jit(
        lambda params, x: [
            jax.grad(lambda *at, layer=layer: loss(layer, *at), argnums=(0, 1))(params, x)
            for layer in (fnn.with_manual_vjp(twins), twins)
        ]
    )(params, x)
    close(by_hand, automatic)
