"""Normalisation: of at least three entries, since two that are standardised are ±1 whatever they were."""

import math

from hypothesis import strategies as st

import fnn
from tests.generated.leaves import Leaf, Shape


def batch_norm(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    return fnn.BatchNorm(epsilon=1e-2, use_scale=draw(st.booleans()), use_bias=draw(st.booleans()))


LEAVES = (
    Leaf("layer_norm", lambda draw, shape, keep: fnn.LayerNorm(epsilon=1e-2), lambda shape, keep: shape[-1] > 2),
    Leaf("rms_norm", lambda draw, shape, keep: fnn.RMSNorm(epsilon=1e-2), lambda shape, keep: shape[-1] > 1),
    Leaf(
        "group_norm",
        lambda draw, shape, keep: fnn.GroupNorm(1, epsilon=1e-2),
        lambda shape, keep: math.prod(shape[1:]) > 2,
    ),
    Leaf(
        "instance_norm",
        lambda draw, shape, keep: fnn.InstanceNorm(epsilon=1e-2),
        lambda shape, keep: len(shape) > 2 and math.prod(shape[1:-1]) > 2,
    ),
    Leaf("batch_norm", batch_norm, lambda shape, keep: math.prod(shape[:-1]) > 2),
)
