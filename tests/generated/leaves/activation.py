"""Activations and noise."""

from hypothesis import strategies as st

import fnn
from tests.generated.leaves import Leaf, always

LEAVES = (
    always(fnn.Relu()),
    always(fnn.Sigmoid()),
    always(fnn.Tanh()),
    always(fnn.Silu()),
    always(fnn.Relu6()),
    always(fnn.SquaredRelu()),
    always(fnn.Selu()),
    always(fnn.HardSigmoid()),
    always(fnn.HardSwish()),
    always(fnn.HardTanh()),
    always(fnn.LogSigmoid()),
    always(fnn.Mish()),
    always(fnn.Softplus()),
    always(fnn.Softsign()),
    always(fnn.PRelu()),
    always(fnn.TrainableSwish()),
    always(fnn.GaussianNoise(0.3)),
    Leaf("elu", lambda draw, shape, keep: fnn.Elu(draw(st.sampled_from([1.0, 0.3])))),
    Leaf("celu", lambda draw, shape, keep: fnn.Celu(draw(st.sampled_from([1.0, 0.3])))),
    Leaf("log_softmax", lambda draw, shape, keep: fnn.LogSoftmax(draw(st.sampled_from(range(1, len(shape)))))),
    Leaf("leaky_relu", lambda draw, shape, keep: fnn.LeakyRelu(draw(st.sampled_from([0.01, -0.3])))),
    Leaf("gelu", lambda draw, shape, keep: fnn.Gelu(draw(st.booleans()))),
    Leaf("swish", lambda draw, shape, keep: fnn.Swish(beta=draw(st.sampled_from([1.0, 2.5])))),
    Leaf("softmax", lambda draw, shape, keep: fnn.Softmax(draw(st.sampled_from(range(1, len(shape)))))),
    Leaf("dropout", lambda draw, shape, keep: fnn.Dropout(draw(st.sampled_from([0.3, 0.0, 0.5])))),
)
