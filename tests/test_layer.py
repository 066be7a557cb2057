"""Around the contract: names, printing, equality, keys by name, and layers whose author wrote only ``apply``."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
import fnn.layers
from fnn import Conv, Dense, Dropout, Parallel, Relu, Repeat, Residual, Serial, Tanh
from fnn.layer import Layer
from fnn.paths import named_leaves

KEY = jax.random.key(0)

# Parameter paths, and with them checkpoints, depend on these: a name once here never changes.
SNAKE_NAMES = {
    "AvgPool": "avg_pool",
    "BatchNorm": "batch_norm",
    "Bidirectional": "bidirectional",
    "Bilinear": "bilinear",
    "Cast": "cast",
    "Celu": "celu",
    "Combinator": "combinator",
    "Conv": "conv",
    "ConvTranspose": "conv_transpose",
    "Dense": "dense",
    "DepthwiseConv": "depthwise_conv",
    "DropConnect": "drop_connect",
    "Dropout": "dropout",
    "Elu": "elu",
    "Embedding": "embedding",
    "FeedForward": "feed_forward",
    "FeedbackRNN": "feedback_rnn",
    "First": "first",
    "Flatten": "flatten",
    "GEGLU": "geglu",
    "GLU": "glu",
    "GRU": "gru",
    "GaussianNoise": "gaussian_noise",
    "Gelu": "gelu",
    "GlobalAvgPool": "global_avg_pool",
    "GlobalMaxPool": "global_max_pool",
    "GroupNorm": "group_norm",
    "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish",
    "HardTanh": "hard_tanh",
    "Identity": "identity",
    "InstanceNorm": "instance_norm",
    "LSTM": "lstm",
    "Lambda": "lambda",
    "Layer": "layer",
    "LayerNorm": "layer_norm",
    "LeakyRelu": "leaky_relu",
    "LogSigmoid": "log_sigmoid",
    "LogSoftmax": "log_softmax",
    "MaxPool": "max_pool",
    "Maxout": "maxout",
    "Mish": "mish",
    "MultiHeadAttention": "multi_head_attention",
    "PRelu": "p_relu",
    "Pad": "pad",
    "Parallel": "parallel",
    "PixelShuffle": "pixel_shuffle",
    "PositionalEmbedding": "positional_embedding",
    "RMSNorm": "rms_norm",
    "ReGLU": "reglu",
    "Relu": "relu",
    "Relu6": "relu6",
    "Remat": "remat",
    "Repeat": "repeat",
    "Reshape": "reshape",
    "Residual": "residual",
    "RotaryEmbedding": "rotary_embedding",
    "Selu": "selu",
    "SeparableConv": "separable_conv",
    "Serial": "serial",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "SimpleRNN": "simple_rnn",
    "SinusoidalEmbedding": "sinusoidal_embedding",
    "Softmax": "softmax",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "SpectralNorm": "spectral_norm",
    "SquaredRelu": "squared_relu",
    "Step": "step",
    "SwiGLU": "swiglu",
    "Swish": "swish",
    "Tanh": "tanh",
    "Tied": "tied",
    "TimeDistributed": "time_distributed",
    "TrainableSwish": "trainable_swish",
    "TransformerBlock": "transformer_block",
    "Transpose": "transpose",
    "UpSample": "up_sample",
    "WeightNorm": "weight_norm",
}


# ---- names


def test_the_snake_name_of_every_public_layer():
    public = {name: value for name, value in vars(fnn).items() if isinstance(value, type) and issubclass(value, Layer)}
    assert {name: each.snake_name for name, each in public.items()} == SNAKE_NAMES


def test_the_documentation_prints_every_name():
    printed = f"{fnn.layers.__doc__} {fnn.combinators.__doc__}".split()
    for name, snake in SNAKE_NAMES.items():
        if name not in ("Layer", "Combinator"):
            assert printed[printed.index(name) + 1] == snake


def test_every_public_layer_declares_its_snake_name_itself():
    for name in SNAKE_NAMES:
        assert "snake_name" in vars(getattr(fnn, name)), name
    assert len(set(SNAKE_NAMES.values())) == len(SNAKE_NAMES)


@pytest.mark.parametrize(
    ("name", "snake"),
    [("Mine", "mine"), ("MyOwnLayer", "my_own_layer"), ("GLUBlock", "glu_block"), ("Conv2D", "conv2_d")],
)
def test_the_snake_name_of_a_users_layer_comes_from_its_class(name: str, snake: str):
    assert type(name, (Layer,), {}).snake_name == snake


def test_a_users_layer_can_declare_its_name():
    class PRelu(Layer, name="p_relu"):
        pass

    assert list(Serial(PRelu()).children()) == ["p_relu_0"]


def test_children_are_counted_by_class_and_keywords_name_them():
    model = Serial(Dense(4), Relu(), Dense(4), Relu(), Conv(1, 1), head=Dense(2))
    assert list(model.children()) == ["dense_0", "relu_0", "dense_1", "relu_1", "conv_0", "head"]
    assert list(Parallel(Dense(2), left=Dense(2)).children()) == ["dense_0", "left"]


def test_names_are_unique_and_hold_no_slash():
    with pytest.raises(ValueError, match="two layers are named 'dense_0'"):
        Serial(Dense(4), dense_0=Dense(4))
    with pytest.raises(
        ValueError, match=r"a name is a non-empty string without '/' and without \*, \? and \[, got 'a/b'"
    ):
        Serial(**{"a/b": Dense(4)})


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
    shape = jax.ShapeDtypeStruct((1, 4), jnp.float64)
    plain, _ = Serial(Dense(4), Dense(4), body=Serial(Dense(3))).init(KEY, shape)
    more, _ = Serial(Dense(4), Relu(), Dense(4), Relu(), body=Serial(Relu(), Dense(3))).init(KEY, shape)
    assert jax.tree.structure(plain) == jax.tree.structure(more)
    for path, leaf in named_leaves(plain).items():
        assert (leaf == named_leaves(more)[path]).all(), path


def test_two_layers_alike_start_differently():
    params, _ = Serial(Dense(4), Dense(4), a=Serial(Dense(4)), b=Serial(Dense(4))).init(KEY, jnp.zeros((1, 4)))
    kernels = [leaf for path, leaf in named_leaves(params).items() if path.endswith("kernel")]
    assert len({leaf.tobytes() for leaf in map(np.asarray, kernels)}) == 4


def test_the_layers_of_a_repeat_start_differently_and_drop_different_units():
    params, _ = Repeat(Dense(4), 3).init(KEY, jnp.zeros((1, 4)))
    assert len({np.asarray(kernel).tobytes() for kernel in params["kernel"]}) == 3
    _, _, cache = Repeat(Dropout(0.5), 3).forward({}, {}, jnp.ones((4, 8)), train=True, key=KEY)
    assert len({np.asarray(mask).tobytes() for mask in cache["inner"]["mask"]}) == 3


def test_dropout_masks_depend_on_the_name_alone():
    x = jnp.ones((4, 8))
    one = Serial(Dropout(0.5)).apply({}, {}, x, train=True, key=KEY)[0]
    other = Serial(Tanh(), Dropout(0.5)).apply({}, {}, x, train=True, key=KEY)[0]
    assert ((one == 0) == (other == 0)).all()


def test_a_dropout_mask_is_the_same_in_every_precision():
    masks = []
    for dtype in (jnp.bfloat16, jnp.float32, jnp.float64):
        _, _, cache = Dropout(0.3).forward({}, {}, jnp.ones((20, 20), dtype), train=True, key=KEY)
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


def test_an_apply_alone_works_in_jit_vmap_and_scan():
    x = jax.random.normal(KEY, (4, 3))
    params, state = Sine().init(KEY, x)

    def gradient(x: Any) -> Any:
        y, _, cache = Sine().forward(params, state, x)
        return Sine().backward(cache, jnp.ones_like(y))

    dparams, dx = gradient(x)
    np.testing.assert_allclose(dx, jnp.cos(x) * params["scale"][None], rtol=1e-14)
    np.testing.assert_allclose(dparams["scale"], jnp.sin(x).sum(0), rtol=1e-14)
    np.testing.assert_allclose(jax.jit(gradient)(x)[1], dx, rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(gradient)(x[:, None])[1][:, 0], dx, rtol=1e-14)
    np.testing.assert_allclose(lax.scan(lambda _, x: (None, gradient(x[None])), None, x)[1][1][:, 0], dx, rtol=1e-14)


def test_an_apply_alone_works_inside_repeat():
    x = jax.random.normal(KEY, (4, 3))
    model = Repeat(Residual(Sine()), 3)
    params, state = model.init(KEY, x)
    y, _, cache = model.forward(params, state, x)
    expected = jax.grad(lambda params, x: model.apply(params, state, x)[0].sum(), (0, 1))(params, x)
    for got, reference in zip(model.backward(cache, jnp.ones_like(y)), expected, strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, reference)


def test_an_apply_alone_takes_integer_inputs_and_parameters():
    x = jnp.array([[0, 4], [4, 2]])
    params, state = Lookup().init(KEY, x)
    y, _, cache = Lookup().forward(params, state, x)
    dparams, dx = Lookup().backward(cache, jnp.ones_like(y))
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

    y, _, cache = Half().forward({}, {}, jnp.ones(2))
    assert Half().apply({}, {}, jnp.ones(2))[0].tolist() == [1, 1]
    with pytest.raises(NotImplementedError, match="Half defines forward without its backward"):
        Half().backward(cache, y)


def test_a_combinator_without_its_wiring_says_what_is_missing():
    class Loose(fnn.Combinator):
        pass

    with pytest.raises(NotImplementedError, match="Loose does not define connect"):
        Loose().forward({}, {}, jnp.ones(2))
    with pytest.raises(NotImplementedError, match="Loose does not define fold"):
        Loose().backward({}, jnp.ones(2))
