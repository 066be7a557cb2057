"""The names of layers: in parameter paths, in the documentation, of children."""

import jax
import pytest

import fnn
import fnn.layers
from fnn import Conv, Dense, Parallel, Relu, Serial
from fnn.layer import Layer

KEY = jax.random.key(0)

# Parameter paths, and with them checkpoints, depend on these: a name once here never changes. A new layer need not be
# here: it is held to the rule below.
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
    "Frozen": "frozen",
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
    "Pack": "pack",
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
    "Reversible": "reversible",
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


PUBLIC = {name: value for name, value in vars(fnn).items() if isinstance(value, type) and issubclass(value, Layer)}


def in_snake_case(name: str) -> str:
    """The name that a class takes where it declares none."""
    return type(name, (Layer,), {}).snake_name


def test_a_name_that_checkpoints_hold_never_changes():
    assert {name: PUBLIC[name].snake_name for name in SNAKE_NAMES} == SNAKE_NAMES


def test_a_layer_that_came_later_is_named_in_snake_case():
    later = {name: each.snake_name for name, each in PUBLIC.items() if name not in SNAKE_NAMES}
    assert later == {name: in_snake_case(name) for name in later}


def test_the_names_of_layers_are_unique():
    assert len({each.snake_name for each in PUBLIC.values()}) == len(PUBLIC)


def test_the_documentation_prints_every_name_that_is_not_the_class_in_snake_case():
    printed = str(fnn.layers.__doc__).split()
    unlike = {name: snake for name, snake in SNAKE_NAMES.items() if snake != in_snake_case(name)}
    assert set(unlike) == {"ReGLU", "SwiGLU"}
    for name, snake in unlike.items():
        assert printed[printed.index(name) + 1].strip(",.") == snake


def test_every_public_layer_declares_its_snake_name_itself():
    for name, each in PUBLIC.items():
        assert "snake_name" in vars(each), name


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
