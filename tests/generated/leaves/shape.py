"""Pools, and layers that move entries."""

import math

from hypothesis import strategies as st

import fnn
from fnn.layers.conv._windows import Padding
from tests.generated.leaves import Leaf, Shape


def pool(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    kind = draw(st.sampled_from([fnn.MaxPool, fnn.AvgPool]))
    if keep:
        return kind(draw(st.integers(1, 3)), strides=1, padding="SAME")
    padding: Padding = draw(st.sampled_from(["VALID", "SAME", "CAUSAL"]))
    window = tuple(draw(st.integers(1, min(3, size))) for size in shape[1:-1])
    return kind(window, strides=draw(st.integers(1, 3)), padding=padding)


def reshape(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    size = math.prod(shape[1:])
    last = draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
    return fnn.Reshape(draw(st.sampled_from([(-1, last), (size,)])))


def up_sample(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    return fnn.UpSample(draw(st.integers(1, 2)), method=draw(st.sampled_from(["nearest", "linear"])))


def is_image(shape: Shape, keep: bool) -> bool:
    return len(shape) in (3, 4)


LEAVES = (
    Leaf("pool", pool, is_image),
    Leaf("global_avg_pool", lambda draw, shape, keep: fnn.GlobalAvgPool(), lambda s, keep: is_image(s, keep) > keep),
    Leaf("global_max_pool", lambda draw, shape, keep: fnn.GlobalMaxPool(), lambda s, keep: is_image(s, keep) > keep),
    Leaf("up_sample", up_sample, lambda s, keep: is_image(s, keep) > keep),
    Leaf("pad", lambda draw, shape, keep: fnn.Pad(draw(st.integers(0, 1))), lambda s, keep: is_image(s, keep) > keep),
    Leaf("maxout", lambda draw, shape, keep: fnn.Maxout(shape[-1]), lambda shape, keep: not keep),
    Leaf("flatten", lambda draw, shape, keep: fnn.Flatten(), lambda shape, keep: not keep or len(shape) == 2),
    Leaf("reshape", reshape, lambda shape, keep: not keep),
)
