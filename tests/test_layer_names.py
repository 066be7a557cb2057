"""The names of layers: in parameter paths, in the documentation, of children."""

import jax
import pytest

import fnn
import fnn.layers
from fnn import Conv, Dense, Parallel, Relu, Serial
from fnn.layer import Layer

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
