"""The normalisations."""

import flax.linen as nn  # pyright: ignore[reportMissingImports]

import fnn
from experiments.bench.layers.case import Case

CASES = (
    Case("BatchNorm", fnn.BatchNorm(), (64, 28, 28, 32), nn.BatchNorm(use_running_average=False, momentum=0.9)),
    Case("GroupNorm(8)", fnn.GroupNorm(8), (16, 28, 28, 64), nn.GroupNorm(8, epsilon=1e-5)),
    Case("InstanceNorm", fnn.InstanceNorm(), (16, 28, 28, 64), nn.InstanceNorm(epsilon=1e-5)),
    Case("LayerNorm", fnn.LayerNorm(), (4096, 512), nn.LayerNorm(epsilon=1e-5)),
    Case("RMSNorm", fnn.RMSNorm(), (4096, 512), nn.RMSNorm(epsilon=1e-6)),
)
