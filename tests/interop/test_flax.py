"""Variables of linen as nested dicts: layouts, order and messages, without flax."""

from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.interop import load_flax
from fnn.interop.flax_layouts import forms
from fnn.interop.places import places_of
from tests.interop.modules import numbered, spec

X = spec(1, 3)


def variables(**shapes: Any) -> dict[str, Any]:
    """Params of these shapes; ``__`` in a name stands for a slash."""
    tree: dict[str, Any] = {}
    for path, array in numbered(**shapes).items():
        *outer, name = path.split(".")
        place = tree
        for each in outer:
            place = place.setdefault(each, {})
        place[name] = array
    return {"params": tree}


def dense(name: str, inputs: int, features: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}__kernel": (inputs, features), f"{name}__bias": (features,)}


def test_numbers_in_names_are_the_order():
    names = [f"Dense_{number}" for number in range(12)]
    shapes = {key: shape for name in sorted(names) for key, shape in dense(name, 3, 3).items()}
    given = variables(**shapes)
    for number, name in enumerate(names):
        given["params"][name]["bias"] += 100 * number
    params, _ = load_flax(fnn.Serial(*[fnn.Dense(3)] * 12), given, X)
    for number in range(12):
        bias = given["params"][f"Dense_{number}"]["bias"]
        np.testing.assert_array_equal(params[f"dense_{number}"]["bias"], bias)


def test_names_without_numbers_are_ambiguous_if_their_shapes_agree():
    model = fnn.Serial(a=fnn.Serial(fnn.Dense(3)), b=fnn.Serial(fnn.Dense(3)))
    given = variables(**dense("decoder__Dense_0", 3, 3), **dense("encoder__Dense_0", 3, 3))
    message = (
        "decoder/Dense_0 and encoder/Dense_0 have the same shapes, and their names do not say which comes first;"
        r" say it with names=\{glob of paths: 'decoder/Dense_0', …\}"
    )
    with pytest.raises(ValueError, match=message):
        load_flax(model, given, X)
    params, _ = load_flax(model, given, X, names={"a/*": "encoder", "b/*": "decoder"})
    np.testing.assert_array_equal(params["a"]["dense_0"]["kernel"], given["params"]["encoder"]["Dense_0"]["kernel"])


def test_a_transposed_convolution_is_reversed():
    given = variables(kernel=(3, 2, 4, 5), bias=(5,))
    params, _ = load_flax(fnn.ConvTranspose(5, (3, 2)), given, spec(1, 4, 4, 4))
    np.testing.assert_array_equal(params["kernel"], given["params"]["kernel"][::-1, ::-1])


def test_a_dense_layer_behind_a_flatten_keeps_its_rows():
    model = fnn.Serial(fnn.Lambda(jax.numpy.sin), fnn.Flatten(), fnn.Dense(2))
    given = variables(**dense("Dense_0", 12, 2))
    params, _ = load_flax(model, given, spec(1, 2, 3, 2))
    np.testing.assert_array_equal(params["dense_0"]["kernel"], given["params"]["Dense_0"]["kernel"])


def test_statistics_are_another_collection_and_without_a_count():
    given = variables(BatchNorm_0__scale=(3,), BatchNorm_0__bias=(3,))
    given["batch_stats"] = {"BatchNorm_0": {"mean": np.arange(3.0), "var": np.arange(1.0, 4.0)}}
    _, state = load_flax(fnn.Serial(fnn.BatchNorm()), given, spec(2, 3))
    np.testing.assert_array_equal(state["batch_norm_0"]["var"], [1, 2, 3])
    assert int(state["batch_norm_0"]["count"]) == 1


def test_the_gates_of_cells_are_joined():
    lstm = {f"cell__i{gate}__kernel": (3, 2) for gate in "ifgo"}
    lstm |= {f"cell__h{gate}__kernel": (2, 2) for gate in "ifgo"} | {f"cell__h{gate}__bias": (2,) for gate in "ifgo"}
    given = variables(**lstm)
    params, _ = load_flax(fnn.LSTM(2), given, spec(1, 5, 3))
    cell = given["params"]["cell"]
    np.testing.assert_array_equal(params["kernel"][:, 2:4], cell["if"]["kernel"])
    np.testing.assert_array_equal(params["bias"][6:], cell["ho"]["bias"])
    gru = {f"cell__i{gate}__{name}": shape for gate in "rzn" for name, shape in (("kernel", (3, 2)), ("bias", (2,)))}
    gru |= {f"cell__h{gate}__kernel": (2, 2) for gate in "rzn"} | {"cell__hn__bias": (2,)}
    given = variables(**gru)
    params, _ = load_flax(fnn.GRU(2), given, spec(1, 5, 3))
    np.testing.assert_array_equal(params["recurrent_bias"], [0, 0, 0, 0, *given["params"]["cell"]["hn"]["bias"]])


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (fnn.ConvTranspose(5, (3, 2)), spec(1, 4, 4, 2)),
        (fnn.SimpleRNN(2), spec(1, 5, 3)),
        (fnn.LSTM(2), spec(1, 5, 3)),
        (fnn.GRU(2), spec(1, 5, 3)),
        (fnn.BatchNorm(), spec(2, 3)),
        (fnn.PRelu(), spec(2, 3)),
        (fnn.MultiHeadAttention(2), spec(1, 5, 4)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_every_layout_is_turned_back(layer: fnn.Layer, x: Any):
    places = places_of(layer, *jax.eval_shape(lambda x: layer.init(jax.random.key(0), x), x))
    ((part,),) = forms(places[0])
    for piece in part.pieces:
        arrays = tuple(numbered(**piece.keys).values())
        back = piece.store(piece.load(arrays))
        for one, other in zip(back, arrays, strict=True):
            np.testing.assert_array_equal(one, other)


def test_attention_is_the_same_and_a_slope_is_spread():
    names = {"query": (4, 2, 2), "key": (4, 2, 2), "value": (4, 2, 2), "out": (2, 2, 4)}
    shapes = {f"Attention_0__{name}__kernel": shape for name, shape in names.items()}
    given = variables(**shapes, PReLU_0__negative_slope=())
    params, _ = load_flax(fnn.Serial(fnn.MultiHeadAttention(2, use_bias=False), fnn.PRelu()), given, spec(1, 5, 4))
    attention = params["multi_head_attention_0"]
    np.testing.assert_array_equal(attention["key"]["kernel"], given["params"]["Attention_0"]["key"]["kernel"])
    assert params["p_relu_0"]["slope"].shape == (4,)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        (
            {"Dense_0": {}},
            TypeError,
            "takes the variables that module.init returns, {'params': …}, got {Dense",
        ),
        (
            {"params": {"a": np.ones(1)}, "other": {"a": np.ones(1)}},
            ValueError,
            "two collections .* hold 'a'; give",
        ),
        (variables(**dense("Dense_0", 3, 5)), ValueError, r"\n  flax has Dense_0/kernel 3×5, Dense_0/bias 5"),
    ],
)
def test_other_variables_raise(given: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        load_flax(fnn.Serial(fnn.Dense(2)), given, X)
