"""Activations, with the options of their rows, and noise."""

from hypothesis import strategies as st

import fnn
from fnn.layer import Layer
from tests.cases.activation import ACTIVATIONS
from tests.generated.leaves import Leaf, always


def one_of(kind: type[Layer]) -> Leaf:
    """An activation as one of its rows has it."""
    layers = [row.layer for row in ACTIVATIONS if type(row.layer) is kind and row.in_models]
    return Leaf(kind.snake_name, lambda draw, shape, keep: draw(st.sampled_from(layers)))


LEAVES = (
    *(one_of(kind) for kind in dict.fromkeys(type(row.layer) for row in ACTIVATIONS if row.in_models)),
    always(fnn.PRelu()),
    always(fnn.TrainableSwish()),
    always(fnn.GaussianNoise(0.3)),
    Leaf("log_softmax", lambda draw, shape, keep: fnn.LogSoftmax(draw(st.sampled_from(range(1, len(shape)))))),
    Leaf("softmax", lambda draw, shape, keep: fnn.Softmax(draw(st.sampled_from(range(1, len(shape)))))),
    Leaf("dropout", lambda draw, shape, keep: fnn.Dropout(draw(st.sampled_from([0.3, 0.0, 0.5])))),
)
