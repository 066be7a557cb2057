"""The convolutions."""

from typing import Any

import flax.linen as nn  # pyright: ignore[reportMissingImports]

import fnn
from experiments.bench.layers.case import Case


def transposed(params: Any) -> dict[str, Any]:
    """fnn's is the adjoint of a convolution; Flax slides the kernel reversed over the dilated image."""
    return {**params, "kernel": params["kernel"][::-1, ::-1]}


CASES = (
    Case("Conv 3×3→64", fnn.Conv(64, (3, 3)), (64, 14, 14, 32), nn.Conv(64, (3, 3))),
    Case("Conv 3×3→64", fnn.Conv(64, (3, 3)), (32, 32, 32, 64), nn.Conv(64, (3, 3))),
    Case("Conv 3×3→64 stride 2", fnn.Conv(64, (3, 3), strides=2), (16, 56, 56, 64), nn.Conv(64, (3, 3), strides=2)),
    Case("Conv 1×1→128", fnn.Conv(128, (1, 1)), (32, 28, 28, 128), nn.Conv(128, (1, 1))),
    Case("Conv 3×3→32", fnn.Conv(32, (3, 3)), (64, 28, 28, 1), nn.Conv(32, (3, 3))),
    Case(
        "Conv 3×3→64 4 groups",
        fnn.Conv(64, (3, 3), groups=4),
        (16, 28, 28, 64),
        nn.Conv(64, (3, 3), feature_group_count=4),
    ),
    Case("Conv 3→64", fnn.Conv(64, (3,)), (32, 128, 64), nn.Conv(64, (3,))),
    Case(
        "ConvTranspose 3×3→32 stride 2",
        fnn.ConvTranspose(32, (3, 3), strides=2),
        (16, 14, 14, 64),
        nn.ConvTranspose(32, (3, 3), strides=(2, 2)),
        as_flax=transposed,
    ),
)


def depthwise(channels: int) -> Case:
    """Flax counts the groups, so that its module needs the number of channels."""
    module = nn.Conv(channels, (3, 3), feature_group_count=channels)
    return Case("DepthwiseConv 3×3", fnn.DepthwiseConv((3, 3)), (16, 28, 28, channels), module)
