"""What ``rewrite`` replaces, in which order, and what it refuses; tests/test_walk.py goes through every combinator."""

from typing import Any

import jax
import pytest

import fnn
from fnn import Dense, Frozen, Relu, Remat, Serial, Tanh, rewrite, walk
from fnn.layer import Layer
from tests.compiled import shape_of

KEY = jax.random.key(0)


def test_a_function_sees_what_became_of_the_layers_inside_and_its_answer_is_not_walked_again():
    seen = []

    def wrapped(layer: Layer) -> Layer:
        seen.append(layer)
        return Remat(layer)

    model = Serial(body=Serial(Relu()), head=Dense(2))
    inner = Remat(Serial(relu_0=Remat(Relu())))
    outer = Serial(body=inner, head=Remat(Dense(2)))
    assert rewrite(model, {"*": wrapped}) == Remat(outer)
    assert seen == [Relu(), inner.inner, Dense(2), outer]


def test_globs_choose_by_path():
    model = Serial(body=Serial(Dense(3), Relu()), head=Remat(Dense(2)))
    assert rewrite(model, {"": Frozen}) == Frozen(model)
    assert rewrite(model, {"body": Frozen}) == Serial(body=Frozen(Serial(Dense(3), Relu())), head=Remat(Dense(2)))
    assert rewrite(model, {"body/*": Remat, "head": Frozen}) == Serial(
        body=Serial(dense_0=Remat(Dense(3)), relu_0=Remat(Relu())), head=Frozen(Remat(Frozen(Dense(2))))
    )
    assert rewrite(model, {"*/dense_0": lambda layer: Tanh()}).children()["body"] == Serial(
        dense_0=Tanh(), relu_0=Relu()
    )
    assert rewrite(model, {}) is model


def test_a_layer_made_from_options_becomes_a_serial_if_a_layer_inside_changes():
    model = Serial(fnn.TransformerBlock(1, 8))
    changed = rewrite(model, {"*": lambda layer: Relu() if isinstance(layer, fnn.Gelu) else layer})
    assert {name: type(child) for name, child in changed.children().items()} == {"transformer_block_0": Serial}
    params, expected = (jax.eval_shape(each.init, KEY, shape_of(1, 2, 4))[0] for each in (changed, model))
    assert params == expected


def test_an_objective_of_a_rewritten_model_keeps_its_head():
    objective = fnn.Objective(Serial(Dense(3)), fnn.LinearCrossEntropy(5))
    other = objective.with_model(rewrite(objective.model, {"dense_0": Frozen}))
    assert list(other.model.children().items()) == [("dense_0", Frozen(Dense(3))), ("loss", objective.loss.head)]


# ---- errors


@pytest.mark.parametrize(
    ("functions", "error", "message"),
    [
        ({"heads": Frozen}, ValueError, r"the glob 'heads' matches none of the paths \['', dense_0, head\]"),
        (
            {"*": Frozen, "head": Remat},
            ValueError,
            r"the globs '\*' and 'head' both match the layer 'head', and either may come first; write globs that do not"
            r" overlap, or rewrite twice",
        ),
        ([("*", Frozen)], TypeError, r"rewrite takes a dict \{glob: function of a layer\}, got \[\('\*', <class"),
        ({"head": "relu"}, TypeError, "rewrite takes functions of a layer, got 'relu' for the glob 'head'$"),
        (
            {"head": Relu()},
            TypeError,
            r"got Relu\(\) for the glob 'head'; to put that layer there write lambda layer: Relu\(\)",
        ),
        (
            {"head": lambda layer: Relu},
            TypeError,
            r"the function for 'head' returns the layer to stand at 'head', got <class.*did you mean Relu\(…\)\?",
        ),
        ({"head": lambda layer: None}, TypeError, "returns the layer to stand at 'head', got None"),
    ],
)
def test_what_cannot_be_rewritten_is_refused(functions: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        rewrite(Serial(Dense(3), head=Dense(2)), functions)


def test_only_a_layer_is_walked():
    objective = fnn.Objective(Dense(3), fnn.CrossEntropy())
    with pytest.raises(TypeError, match=r"walk takes a model, which is a layer, got Objective\(.*give objective.model"):
        walk(objective)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rewrite takes a model, which is a layer, .*; did you mean Dense\(…\)\?"):
        rewrite(Dense, {})  # type: ignore[arg-type]
