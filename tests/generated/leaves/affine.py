"""Layers with a kernel."""

from hypothesis import strategies as st

import fnn
from tests.generated.leaves import Leaf, Shape

SIZES = st.integers(1, 4)


def dense(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    return fnn.Dense(shape[-1] if keep else draw(SIZES), use_bias=draw(st.booleans()))


def conv(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    rank, channels = len(shape) - 2, shape[-1]
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    features = channels if keep else draw(SIZES)
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0 == features % g]))
    if keep:
        return fnn.Conv(features, kernel, groups=groups, dilation=draw(st.integers(1, 2)))
    return fnn.Conv(
        features,
        kernel,
        groups=groups,
        strides=draw(st.integers(1, 3)),
        dilation=draw(st.integers(1, 2)),
        padding=draw(st.sampled_from(["SAME", "CAUSAL", 2])),
        use_bias=draw(st.booleans()),
    )


def gated(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    kind = draw(st.sampled_from([fnn.GLU, fnn.ReGLU, fnn.GEGLU, fnn.SwiGLU]))
    return kind(shape[-1] if keep else draw(SIZES), use_bias=draw(st.booleans()))


def reparameterized(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    inner = dense(draw, shape, keep)
    return draw(st.sampled_from([fnn.WeightNorm(inner), fnn.DropConnect(inner, 0.3), fnn.SpectralNorm(inner)]))


def transposed(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    features, kernel = shape[-1] if keep else draw(SIZES), draw(st.integers(1, 3))
    return fnn.ConvTranspose(features, kernel, strides=1 if keep else draw(st.integers(1, 2)))


def depthwise(draw: st.DrawFn, shape: Shape, keep: bool) -> fnn.Layer:
    kernel, strides = draw(st.integers(1, 3)), 1 if keep else draw(st.integers(1, 2))
    if draw(st.booleans()):
        return fnn.SeparableConv(shape[-1] if keep else draw(SIZES), kernel, strides=strides)
    return fnn.DepthwiseConv(kernel, strides=strides, multiplier=1 if keep else draw(st.integers(1, 2)))


def is_image(shape: Shape, keep: bool) -> bool:
    return len(shape) in (3, 4)


LEAVES = (
    Leaf("dense", dense),
    Leaf("gated", gated),
    Leaf("reparameterized", reparameterized),
    Leaf("conv", conv, is_image),
    Leaf("conv_transpose", transposed, is_image),
    Leaf("depthwise_conv", depthwise, is_image),
)
