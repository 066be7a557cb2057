"""Convolutions."""

import fnn
from tests.cases.draws import normal
from tests.cases.rows import LayerCase

IMAGE = normal(2, 5, 6, 4)
SERIES = normal(3, 7, 2)

LAYERS = (
    # 1-D.
    LayerCase("conv 1-D", fnn.Conv(3, 3), SERIES),
    LayerCase("conv 1-D, strides 2", fnn.Conv(3, 4, strides=2), SERIES),
    LayerCase("conv 1-D, strides beyond the kernel", fnn.Conv(3, 2, strides=3, padding="VALID"), SERIES),
    LayerCase("conv 1-D, causal, dilation 2", fnn.Conv(3, 3, dilation=2, padding="CAUSAL"), SERIES),
    LayerCase("conv 1-D, causal, strides 2", fnn.Conv(3, 3, strides=2, padding="CAUSAL"), SERIES),
    LayerCase("conv 1-D, valid, strides 2 with a rest", fnn.Conv(3, 4, strides=2, padding="VALID"), SERIES),
    LayerCase("conv 1-D, pairs", fnn.Conv(3, (3,), padding=((1, 2),)), SERIES),
    LayerCase("conv 1-D, padding beyond the kernel", fnn.Conv(2, 2, strides=2, padding=((4, 3),)), SERIES),
    # 2-D.
    LayerCase("conv 2-D", fnn.Conv(4, (3, 3)), IMAGE),
    LayerCase("conv 2-D of one channel", fnn.Conv(3, (3, 3), strides=2), normal(2, 5, 6, 1)),
    LayerCase("conv 2-D, 1×1", fnn.Conv(3, (1, 1)), IMAGE),
    LayerCase("conv 2-D, 1×1, strides 2", fnn.Conv(3, 1, strides=2), IMAGE, quick=True),
    LayerCase("conv 2-D, even kernel, strides (2, 1)", fnn.Conv(3, (2, 4), strides=(2, 1)), IMAGE),
    LayerCase("conv 2-D, valid, dilation (2, 1)", fnn.Conv(3, (2, 3), dilation=(2, 1), padding="VALID"), IMAGE),
    LayerCase("conv 2-D, dilation 2, strides 2", fnn.Conv(2, 3, dilation=2, strides=2), IMAGE, quick=True),
    LayerCase("conv 2-D, 2 groups", fnn.Conv(6, 3, groups=2), IMAGE, quick=True),
    LayerCase("conv 2-D, 2 groups, strides 2, dilation 2", fnn.Conv(4, 2, groups=2, strides=2, dilation=2), IMAGE),
    LayerCase("conv 2-D, a group a channel", fnn.Conv(8, (3, 2), groups=4, padding="VALID"), IMAGE),
    LayerCase("conv 2-D, padding 1 without bias", fnn.Conv(3, 3, padding=1, use_bias=False), IMAGE),
    LayerCase("conv 2-D, pairs", fnn.Conv(2, 3, strides=2, padding=((0, 2), (1, 0))), IMAGE),
    # 3-D.
    LayerCase("conv 3-D", fnn.Conv(2, 2), normal(2, 3, 2, 3, 2)),
    LayerCase("conv 3-D, 2 groups", fnn.Conv(2, (2, 1, 2), strides=(1, 2, 1), groups=2), normal(2, 3, 2, 3, 2)),
    # The adjoint.
    LayerCase("conv transpose 1-D", fnn.ConvTranspose(3, 3), SERIES),
    LayerCase("conv transpose 1-D, even kernel, strides 2", fnn.ConvTranspose(3, 4, strides=2), SERIES),
    LayerCase("conv transpose 1-D, strides beyond the kernel", fnn.ConvTranspose(2, 2, strides=3), SERIES),
    LayerCase("conv transpose 1-D, causal", fnn.ConvTranspose(3, 3, strides=2, padding="CAUSAL"), SERIES),
    LayerCase(
        "conv transpose 1-D, padding beyond the kernel",
        fnn.ConvTranspose(2, 2, strides=2, padding=((4, 3),), use_bias=False),
        SERIES,
    ),
    LayerCase("conv transpose 2-D, strides (2, 1)", fnn.ConvTranspose(3, (3, 2), strides=(2, 1)), IMAGE),
    LayerCase(
        "conv transpose 2-D, valid, strides 2, dilation 2",
        fnn.ConvTranspose(2, 2, strides=2, dilation=2, padding="VALID"),
        IMAGE,
    ),
    LayerCase(
        "conv transpose 2-D, 2 groups, pairs",
        fnn.ConvTranspose(6, 3, groups=2, strides=(1, 2), padding=((0, 2), (1, 0))),
        IMAGE,
    ),
    LayerCase("conv transpose 2-D, a group a channel", fnn.ConvTranspose(8, (3, 2), groups=4, strides=2), IMAGE),
    LayerCase("conv transpose 1-D, an odd size", fnn.ConvTranspose(3, 3, strides=2, output_size=13), SERIES),
    LayerCase(
        "conv transpose 2-D, a size an axis, valid, dilation 2",
        fnn.ConvTranspose(3, 2, strides=(3, 2), dilation=(1, 2), padding="VALID", output_size=(15, 14)),
        IMAGE,
    ),
    LayerCase(
        "conv transpose 2-D, a group a channel, an odd size",
        fnn.ConvTranspose(8, 3, groups=4, strides=2, output_size=(9, 11), use_bias=False),
        IMAGE,
    ),
    LayerCase("conv transpose 3-D", fnn.ConvTranspose(2, 2, strides=(1, 2, 1)), normal(2, 3, 2, 2, 2)),
    # A kernel a channel.
    LayerCase("depthwise conv", fnn.DepthwiseConv((3, 2)), IMAGE),
    LayerCase(
        "depthwise conv, multiplier 2, strides 2, dilation (1, 2), without bias",
        fnn.DepthwiseConv(3, multiplier=2, strides=2, dilation=(1, 2), use_bias=False),
        IMAGE,
    ),
    LayerCase("depthwise conv 1-D, causal", fnn.DepthwiseConv(3, multiplier=3, padding="CAUSAL"), SERIES),
    LayerCase("depthwise conv of one channel", fnn.DepthwiseConv(2, padding="VALID"), normal(3, 5, 1)),
    LayerCase("separable conv", fnn.SeparableConv(3, (3, 3), strides=(2, 1)), IMAGE),
    LayerCase(
        "separable conv 1-D, multiplier 2, without bias",
        fnn.SeparableConv(3, 2, multiplier=2, dilation=2, padding="VALID", use_bias=False),
        SERIES,
        quick=True,
    ),
    LayerCase(
        "separable conv with another pointwise part",
        fnn.SeparableConv(3, 3, pointwise=fnn.Serial(fnn.Tanh(), fnn.Dense(2))),
        SERIES,
    ),
)
