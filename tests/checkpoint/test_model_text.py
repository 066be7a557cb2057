"""Models as JSON: every layer of the table, what has no text, and text that is no model."""

import dataclasses
import json
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.checkpoint import registry
from tests.cases import LAYERS, LayerCase
from tests.cases.reparameterized import spread
from tests.cases.shape import masked


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Any:
    before = dict(registry.REGISTERED)
    yield
    registry.REGISTERED.clear()
    registry.REGISTERED.update(before)


def square(x: Any) -> Any:
    return x * x


@dataclasses.dataclass(frozen=True)
class Scaled(fnn.Layer):
    factor: float = 2.0
    inner: fnn.Layer = dataclasses.field(default_factory=fnn.Tanh)
    sizes: tuple[int, ...] = (1, 2)

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return self.factor * x, state


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_a_layer_comes_back_equal(case: LayerCase):
    registry.REGISTERED.update({"spread": spread, "masked": masked})
    for _, layer in fnn.walk(case.layer):
        if type(layer).__module__.startswith("tests."):
            fnn.register(type(layer))
    made = fnn.from_json(fnn.to_json(case.layer))
    assert made == case.layer
    assert repr(made) == repr(case.layer)
    assert type(made) is type(case.layer)


def test_numbers_and_functions_keep_their_values():
    registry.REGISTERED.clear()
    fnn.register(square)
    fnn.register(Scaled)
    model = fnn.Serial(
        Scaled(0.1 + 0.2, fnn.Relu(), (3,)),
        Scaled(math.inf),
        fnn.Lambda(jax.nn.gelu),
        fnn.Lambda(jnp.square),
        fnn.Lambda(square, over_time="each step"),
        fnn.Dense(3, kernel_init=fnn.initializers.Constant(0.25)),
        named=fnn.Tied(fnn.Serial(a=fnn.Dense(2), b=fnn.Dense(2)), {"b": "a"}),
    )
    assert fnn.from_json(fnn.to_json(model)) == model
    assert fnn.from_json(fnn.to_json(model, indent=2)) == model
    again: Any = fnn.from_json(fnn.to_json(fnn.Serial(Scaled(math.nan))))
    assert math.isnan(again.layers[0].factor)


def test_the_text_is_the_same_for_equal_models_and_names_every_field():
    text = json.loads(fnn.to_json(fnn.Dropout(0.5)))
    assert text == {"format": 1, "model": {"class": "Dropout", "fields": {"rate": 0.5}}}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (fnn.Serial(fnn.Lambda(lambda x: x)), r"in lambda_0/fn: <lambda> is a function without a name"),
        (
            fnn.Serial(body=fnn.Serial(Scaled())),
            r"in body/scaled_0: Scaled is no class of fnn .* fnn.register\(Scaled\)",
        ),
    ],
)
def test_what_has_no_text_is_named_by_its_path(model: fnn.Layer, message: str):
    with pytest.raises(TypeError, match=message):
        fnn.to_json(model)


def test_only_a_model_has_a_text():
    with pytest.raises(TypeError, match=r"to_json takes a model, which is a layer, got <class .*did you mean Dense"):
        fnn.to_json(fnn.Dense)  # pyright: ignore[reportArgumentType]


def with_model(node: Any) -> str:
    return json.dumps({"format": 1, "model": node})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "this is no JSON of a model"),
        ("[1]", "the JSON of a model is"),
        ('{"format": 2, "model": {}}', "the model has the format 2, and this fnn reads 1: use a newer fnn"),
        (with_model(3), "the JSON describes no layer, but 3"),
        (with_model({"class": "Danse", "fields": {}}), "in the model: there is no class 'Danse' here"),
        (with_model({"class": "os.system", "fields": {}}), "there is no class 'os.system' here"),
        (with_model({"class": ["Dense"], "fields": {}}), "there is no class"),
        (
            with_model(
                {"class": "Serial", "layers": [["a", {"class": "Dense", "fields": {"width": 3}}]], "fields": {}}
            ),
            r"in a: Dense has no field 'width'; it has \['bias_init'",
        ),
        (with_model({"class": "Dense", "fields": {"features": -3}}), "Dense cannot be made of .* at least 1, got -3"),
        (with_model({"class": "Dense", "fields": {"features": "3"}}), "Dense cannot be made of"),
        (with_model({"class": "Dense"}), "cannot be made"),
        (with_model({"class": "Dense", "fields": 7}), "in the model: fields are an object, and layers a list"),
        (with_model({"class": "Dense", "fields": "ab"}), "in the model: fields are an object, and layers a list"),
        (with_model({"class": "Serial", "layers": ["abc"], "fields": {}}), "in the model: fields are an object"),
        (
            with_model({"class": "Serial", "layers": [["a", {"class": "Relu", "fields": {}}]] * 2, "fields": {}}),
            r"in the model: two layers have one name, of \['a', 'a'\]",
        ),
        (
            with_model({"class": "Lambda", "fields": {"fn": {"function": "os.getcwd"}}}),
            "there is no function 'os.getcwd'",
        ),
        (
            with_model({"class": "Lambda", "fields": {"fn": {"function": "jax.nn.initializers.zeros"}}}),
            "there is no function",
        ),
        (with_model({"class": "Lambda", "fields": {"fn": {"function": "jax.numpy._os"}}}), "there is no function"),
        (with_model({"class": "Lambda", "fields": {"fn": {"function": "jax.numpy.__getattr__"}}}), "is no function"),
        (with_model({"class": "Lambda", "fields": {"fn": {"function": "jax.numpy.save"}}}), "there is no function"),
        (with_model({"class": "Lambda", "fields": {"fn": {"function": "fnn.load_model"}}}), "there is no function"),
        (with_model({"class": "Lambda", "fields": {"fn": {"function": "jax.nn.__loader__"}}}), "there is no function"),
        (with_model({"import": "os"}), "expected a number, text or an object of"),
        (with_model({"tuple": [], "dict": []}), "expected a number, text or an object of"),
        (with_model({"dtype": "object of mine"}), "cannot be made"),
        (with_model({"float": "one"}), "a float that JSON lacks is 'nan', 'inf' or '-inf', got 'one'"),
        ('{"format": 1, "model": ' + '{"tuple": [' * 5000 + "]}" * 5000 + "}", "nested too deeply|no JSON of a model"),
    ],
)
def test_text_that_is_no_model_is_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        fnn.from_json(text)


# ---- registering


def test_a_class_can_be_registered_again_and_another_one_of_its_name_cannot():
    fnn.register(Scaled)
    fnn.register(Scaled)
    other = dataclasses.make_dataclass("Scaled", [], bases=(fnn.Layer,), frozen=True)
    other.__module__ = "another.module"  # from Python 3.12 on, it would be this one
    with pytest.raises(ValueError, match=r"Scaled.* is registered as Scaled: give .* another name"):
        fnn.register(other)


@pytest.mark.parametrize(
    ("thing", "error", "message"),
    [
        (lambda x: x, TypeError, "register takes a frozen dataclass, such as a layer, or a named function"),
        (int, TypeError, "register takes a frozen dataclass"),
        (3, TypeError, "register takes a frozen dataclass"),
        (dataclasses.make_dataclass("Dense", [], frozen=True), ValueError, "fnn has a Dense of its own"),
    ],
)
def test_what_cannot_be_registered_is_refused(thing: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        fnn.register(thing)


def test_only_text_is_read():
    with pytest.raises(TypeError, match=r"from_json takes the text that fnn.to_json returned, got dict"):
        fnn.from_json({"format": 1})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("rate", [np.float64(0.1), np.float32(0.1), np.float16(0.1)])
def test_numbers_of_numpy_are_numbers(rate: Any):
    """A rate out of numpy.linspace made a model that could not be stored."""
    model = fnn.Dropout(rate)
    assert fnn.from_json(fnn.to_json(model)) == model
    features: Any = np.int64(3)
    assert fnn.to_json(fnn.Dense(features)) == fnn.to_json(fnn.Dense(3))


@dataclasses.dataclass(frozen=True)
class Holding(fnn.Layer):
    kind: type = int


def test_a_class_is_no_dtype():
    """To NumPy every class is the dtype of objects, and was stored as that."""
    fnn.register(Holding)
    with pytest.raises(TypeError, match="in kind: Scaled is"):
        fnn.to_json(Holding(Scaled))
    assert fnn.from_json(fnn.to_json(Holding(float))) == Holding(np.dtype(float))  # pyright: ignore[reportArgumentType]


def test_the_text_is_json_that_other_programs_read():
    """NaN and Infinity are no JSON, though Python reads them."""
    fnn.register(Scaled)
    text = fnn.to_json(fnn.Serial(Scaled(math.nan), Scaled(-math.inf)))
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
