"""Activations over several channels or with parameters, and gated linear units."""

import fnn
from fnn import initializers
from tests.cases.draws import distinct, normal, off_zero
from tests.cases.rows import LayerCase

LAYERS = (
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
