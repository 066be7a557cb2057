"""Around the contract: printing, equality, keys by name, and layers whose author wrote only ``apply``."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
import fnn.layers
from fnn import Dense, Dropout, Parallel, Relu, Repeat, Residual, Serial, Tanh
from fnn.layer import Layer
from fnn.paths import named_leaves
from tests import compiled
from tests.comparing import close, same

KEY = jax.random.key(0)

# ---- printing, comparing, walking


@pytest.mark.parametrize(
    "text",
    [
        "Dense(features=3)",
        "Dense(features=3, use_bias=False)",
        "Conv(features=32, kernel_size=(3, 3))",
        "Conv(features=32, kernel_size=3, strides=2, padding='VALID')",
        "Dropout(rate=0.5)",
        "LeakyRelu()",
        "LeakyRelu(slope=0.2)",
        "BatchNorm(decay=0.99)",
        "MaxPool(window=2, strides=1)",
        "Serial()",
        "Serial(Dense(features=8), Relu(), head=Dense(features=3))",
        "Parallel(Relu(), Tanh(), merge='multiply')",
        "Repeat(inner=Residual(inner=Dense(features=2)), n=3)",
        "Residual(inner=Relu(), shortcut=Tanh())",
        "MeanSquaredError()",
    ],
)
def test_repr_is_the_constructor_call_with_defaults_left_out(text: str):
    names = {name: value for name, value in vars(fnn).items() if isinstance(value, type)}
    again = eval(text, names)
    assert repr(again) == text
    assert again == eval(text, names)
    assert hash(again) == hash(eval(text, names))


def test_a_name_that_could_be_automatic_is_printed_when_it_is_not():
    model = Serial(Relu(), dense_1=Dense(2))
    assert repr(model) == "Serial(Relu(), dense_1=Dense(features=2))"


def test_layers_of_other_configuration_are_unequal():
    assert Dense(3) != Dense(4)
    assert Dense(3) != Dense(3, use_bias=False)
    assert Serial(Dense(3)) != Serial(a=Dense(3))
    assert Serial(Relu()) != Parallel(Relu())
    assert Relu() != Tanh()
    assert len({Dense(3), Dense(3), Dropout(0.5), Dropout(0.5)}) == 2


def test_a_layer_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Dense(3).features = 4  # type: ignore[misc]


def test_with_children_replaces_layers_and_keeps_names():
    model = Serial(Dense(4), Relu(), head=Dense(2))
    other = model.with_children(model.children() | {"relu_0": Tanh()})
    assert list(other.children()) == ["dense_0", "relu_0", "head"]
    assert other.children()["relu_0"] == Tanh()
    assert model.children()["relu_0"] == Relu()
    merged = Parallel(Relu(), Tanh(), merge="multiply")
    assert merged.with_children(merged.children()) == merged


@pytest.mark.parametrize("model", [Serial(Relu()), Residual(Relu()), Residual(Relu(), Relu()), Repeat(Relu(), 2)])
def test_with_children_refuses_other_names(model: Layer):
    with pytest.raises(ValueError, match="with_children replaces layers, not names"):
        model.with_children(model.children() | {"surplus": Relu()})
    with pytest.raises(ValueError, match="has no children, got"):
        Relu().with_children({"surplus": Relu()})


def test_the_rule_of_a_model_is_auto_if_that_of_any_layer_inside_is():
    assert Serial(Dense(2), Residual(Relu())).rule == "hand"
    assert Serial(Dense(2), Residual(Sine())).rule == "auto"
    assert Sine().rule == "auto"


# ---- keys by name


def test_inserting_a_relu_changes_no_other_layers_initial_weights():
    x = np.zeros((1, 4))
    plain, _ = compiled.init(Serial(Dense(4), Dense(4), body=Serial(Dense(3))), KEY, x)
    more, _ = compiled.init(Serial(Dense(4), Relu(), Dense(4), Relu(), body=Serial(Relu(), Dense(3))), KEY, x)
    same(more, plain)


def test_two_layers_alike_start_differently():
    model = Serial(Dense(4), Dense(4), a=Serial(Dense(4)), b=Serial(Dense(4)))
    params, _ = compiled.init(model, KEY, np.zeros((1, 4)))
    kernels = [leaf for path, leaf in named_leaves(params).items() if path.endswith("kernel")]
    assert len({leaf.tobytes() for leaf in map(np.asarray, kernels)}) == 4


def test_the_layers_of_a_repeat_start_differently_and_drop_different_units():
    params, _ = compiled.init(Repeat(Dense(4), 3), KEY, jnp.zeros((1, 4)))
    assert len({np.asarray(kernel).tobytes() for kernel in params["kernel"]}) == 3
    _, _, cache = compiled.forward(Repeat(Dropout(0.5), 3), {}, {}, jnp.ones((4, 8)), train=True, key=KEY)
    assert len({np.asarray(mask).tobytes() for mask in cache["inner"]["mask"]}) == 3


def test_dropout_masks_depend_on_the_name_alone():
    x = jnp.ones((4, 8))
    one = compiled.apply(Serial(Dropout(0.5)), {}, {}, x, train=True, key=KEY)[0]
    other = compiled.apply(Serial(Tanh(), Dropout(0.5)), {}, {}, x, train=True, key=KEY)[0]
    assert ((one == 0) == (other == 0)).all()


def test_a_dropout_mask_is_the_same_in_every_precision():
    masks = []
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        _, _, cache = compiled.forward(Dropout(0.3), {}, {}, jnp.ones((20, 20), dtype), train=True, key=KEY)
        masks.append(np.asarray(cache["mask"]).tobytes())
    assert len(set(masks)) == 1


# ---- layers whose author wrote only apply


@dataclasses.dataclass(frozen=True)
class Sine(Layer):
    """A user's layer: scale · sin(x), by ``apply`` alone."""

    def init(self, key: jax.Array, x: Any) -> Any:
        return {"scale": jax.random.normal(key, x.shape[-1:], x.dtype)}, {}

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return jnp.sin(x) * params["scale"][None], state


@dataclasses.dataclass(frozen=True)
class Lookup(Layer):
    """A user's embedding, by ``apply`` alone."""

    def init(self, key: jax.Array, x: Any) -> Any:
        return {"table": jax.random.normal(key, (5, 3)), "version": jnp.int32(1)}, {}

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return params["table"][x], state


def test_an_apply_alone_works_in_jit_vmap_and_scan(random: Any):
    x, params = random(4, 3), {"scale": random(3)}

    def gradient(x: Any) -> Any:
        y, _, cache = Sine().forward(params, {}, x)
        return Sine().backward(cache, jnp.ones_like(y))

    dparams, dx = gradient(jnp.asarray(x))
    np.testing.assert_allclose(dx, np.cos(x) * params["scale"], rtol=1e-14)
    np.testing.assert_allclose(dparams["scale"], np.sin(x).sum(0), rtol=1e-14)
    np.testing.assert_allclose(jax.jit(gradient)(x)[1], dx, rtol=1e-14)
    np.testing.assert_allclose(jax.jit(jax.vmap(gradient))(x[:, None])[1][:, 0], dx, rtol=1e-14)
    scanned = jax.jit(lambda x: lax.scan(lambda _, x: (None, gradient(x[None])), None, x)[1])(x)
    np.testing.assert_allclose(scanned[1][:, 0], dx, rtol=1e-14)


def test_an_apply_alone_works_inside_repeat(random: Any):
    model, x = Repeat(Residual(Sine()), 3), random(4, 3)
    params = compiled.drawn_params(random, model, x)
    _, by_hand, automatic = compiled.gradients(model, params, {}, x, np.ones((4, 3)))
    close(by_hand, automatic)


def test_an_apply_alone_takes_integer_inputs_and_parameters(random: Any):
    x = jnp.array([[0, 4], [4, 2]])
    params, state = {"table": random(5, 3), "version": np.int32(1)}, {}
    y, _, cache = compiled.forward(Lookup(), params, state, x)
    dparams, dx = compiled.backward(Lookup(), cache, np.ones_like(y))
    assert dx is None
    assert dparams["table"].sum(1).tolist() == [3, 0, 3, 0, 6]
    assert dparams["version"].dtype == jnp.int32


def test_a_layer_that_defines_neither_forward_nor_apply():
    class Empty(Layer):
        pass

    for run in (Empty().forward, Empty().apply):
        with pytest.raises(NotImplementedError, match="Empty defines neither forward nor apply"):
            run({}, {}, jnp.ones(2))


def test_a_layer_that_defines_forward_alone_runs_and_says_what_is_missing():
    class Half(Layer):
        def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
            return x, state, {}

    y, _, cache = compiled.forward(Half(), {}, {}, jnp.ones(2))
    assert compiled.apply(Half(), {}, {}, jnp.ones(2))[0].tolist() == [1, 1]
    with pytest.raises(NotImplementedError, match="Half defines forward without its backward"):
        Half().backward(cache, y)


def test_a_combinator_without_its_wiring_says_what_is_missing():
    class Loose(fnn.Combinator):
        pass

    with pytest.raises(NotImplementedError, match="Loose does not define connect"):
        Loose().forward({}, {}, jnp.ones(2))
    with pytest.raises(NotImplementedError, match="Loose does not define fold"):
        Loose().backward({}, jnp.ones(2))
