"""Activations and gated layers."""

import fnn
from fnn import initializers
from tests.cases.draws import Draw, distinct, normal, off_zero
from tests.cases.rows import LayerCase


def past_the_corners(*shape: int) -> Draw:
    """Numbers on every side of the corners at ±1, ±3 and 6."""
    return lambda draw: draw.uniform(-8, 8, shape)


LAYERS = (
    LayerCase("relu", fnn.Relu(), off_zero(3, 5)),
    LayerCase("leaky relu", fnn.LeakyRelu(), off_zero(3, 5)),
    LayerCase("leaky relu, negative slope", fnn.LeakyRelu(-0.3), off_zero(3, 5)),
    LayerCase("relu6", fnn.Relu6(), past_the_corners(4, 6)),
    LayerCase("squared relu", fnn.SquaredRelu(), off_zero(3, 5)),
    LayerCase("elu", fnn.Elu(), off_zero(3, 5)),
    LayerCase("elu, alpha", fnn.Elu(0.3), off_zero(3, 5)),
    LayerCase("celu", fnn.Celu(), off_zero(3, 5)),
    LayerCase("celu, alpha", fnn.Celu(2.5), off_zero(3, 5), quick=True),
    LayerCase("celu, negative alpha", fnn.Celu(-2.5), off_zero(3, 5)),
    LayerCase("selu", fnn.Selu(), off_zero(3, 5)),
    LayerCase("sigmoid", fnn.Sigmoid(), normal(3, 5)),
    LayerCase("log sigmoid", fnn.LogSigmoid(), past_the_corners(3, 5)),
    LayerCase("hard sigmoid", fnn.HardSigmoid(), past_the_corners(4, 6)),
    LayerCase("tanh", fnn.Tanh(), normal(3, 5)),
    LayerCase("hard tanh", fnn.HardTanh(), past_the_corners(4, 6)),
    LayerCase("softplus", fnn.Softplus(), past_the_corners(3, 5)),
    LayerCase("softsign", fnn.Softsign(), off_zero(3, 5)),
    LayerCase("step", fnn.Step(), off_zero(3, 5)),
    LayerCase("step, straight-through", fnn.Step(straight_through=True), off_zero(3, 5)),
    LayerCase("gelu", fnn.Gelu(), normal(3, 5)),
    LayerCase("gelu, approximate", fnn.Gelu(approximate=True), normal(3, 5), quick=True),
    LayerCase("swish", fnn.Swish(), normal(3, 5)),
    LayerCase("swish, steep", fnn.Swish(beta=2.5), normal(3, 5)),
    LayerCase("swish, negative beta", fnn.Swish(beta=-0.7), normal(3, 5)),
    LayerCase("silu", fnn.Silu(), normal(3, 5)),
    LayerCase("hard swish", fnn.HardSwish(), past_the_corners(4, 6)),
    LayerCase("mish", fnn.Mish(), past_the_corners(3, 5)),
    LayerCase("softmax", fnn.Softmax(), normal(3, 5)),
    LayerCase("softmax along the middle", fnn.Softmax(axis=1), normal(2, 4, 3)),
    LayerCase("log softmax", fnn.LogSoftmax(), normal(3, 5)),
    LayerCase("log softmax along the middle", fnn.LogSoftmax(axis=1), normal(2, 4, 3)),
    LayerCase("p relu", fnn.PRelu(), off_zero(3, 5)),
    LayerCase("p relu on sequences", fnn.PRelu(slope_init=initializers.Zeros()), off_zero(2, 3, 4), quick=True),
    LayerCase("trainable swish", fnn.TrainableSwish(), normal(3, 5)),
    LayerCase(
        "trainable swish on sequences", fnn.TrainableSwish(beta_init=initializers.Zeros()), normal(2, 3, 4), quick=True
    ),
    LayerCase("glu", fnn.GLU(3), normal(4, 5)),
    LayerCase("glu on sequences, without bias", fnn.GLU(3, use_bias=False), normal(2, 3, 4)),
    LayerCase("reglu", fnn.ReGLU(3, bias_init=initializers.Constant(0.5)), normal(4, 5)),
    LayerCase("geglu", fnn.GEGLU(3, kernel_init=initializers.Normal(0.5)), normal(4, 5)),
    LayerCase("swiglu", fnn.SwiGLU(3), normal(4, 5)),
    LayerCase("maxout", fnn.Maxout(3), distinct(4, 6)),
    LayerCase("maxout on sequences", fnn.Maxout(2), distinct(2, 3, 4), quick=True),
    LayerCase("maxout of one piece", fnn.Maxout(1), normal(2, 3)),
    LayerCase("maxout behind a dense layer", fnn.Serial(fnn.Dense(6), fnn.Maxout(2)), normal(4, 5)),
)
