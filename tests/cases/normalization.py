"""Normalisation and noise."""

import fnn
from tests.cases.draws import both, lengths, normal
from tests.cases.rows import LayerCase

LAYERS = (
    LayerCase("batch norm", fnn.BatchNorm(), normal(6, 3)),
    LayerCase("batch norm of images", fnn.BatchNorm(decay=0.5, epsilon=1e-3), normal(3, 2, 3, 2)),
    LayerCase("batch norm without scale", fnn.BatchNorm(use_scale=False), normal(6, 3)),
    LayerCase("batch norm without bias", fnn.BatchNorm(use_bias=False), normal(6, 3)),
    LayerCase("batch norm without either", fnn.BatchNorm(use_scale=False, use_bias=False), normal(6, 3), quick=True),
    LayerCase("batch norm of sequences", fnn.BatchNorm(), both(normal(3, 4, 2), lengths(4, 0, 2)), quick=True),
    LayerCase("layer norm", fnn.LayerNorm(), normal(4, 5)),
    LayerCase("layer norm of sequences", fnn.LayerNorm(epsilon=1e-2), normal(2, 3, 4)),
    LayerCase("layer norm without either", fnn.LayerNorm(use_scale=False, use_bias=False), normal(3, 4)),
    LayerCase("rms norm", fnn.RMSNorm(), normal(4, 5)),
    LayerCase(
        "rms norm of sequences, without scale", fnn.RMSNorm(epsilon=1e-2, use_scale=False), normal(2, 3, 4), quick=True
    ),
    LayerCase("group norm", fnn.GroupNorm(2), normal(3, 8)),
    LayerCase("group norm of images", fnn.GroupNorm(2, epsilon=1e-2), normal(2, 2, 3, 6)),
    LayerCase("group norm of one group, without scale", fnn.GroupNorm(1, use_scale=False), normal(2, 3, 2), quick=True),
    LayerCase("group norm of single channels, without bias", fnn.GroupNorm(2, use_bias=False), normal(2, 3, 2)),
    LayerCase("instance norm", fnn.InstanceNorm(), normal(2, 5, 3)),
    LayerCase("instance norm of images", fnn.InstanceNorm(epsilon=1e-2), normal(2, 2, 3, 2)),
    LayerCase("instance norm without either", fnn.InstanceNorm(use_scale=False, use_bias=False), normal(2, 4, 2)),
    LayerCase("gaussian noise", fnn.GaussianNoise(0.3), normal(4, 5)),
    LayerCase("dropout", fnn.Dropout(0.3), normal(4, 5)),
    LayerCase("dropout of nothing", fnn.Dropout(0.0), normal(4, 5)),
)
