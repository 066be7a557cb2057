"""Dense and bilinear layers."""

import fnn
from fnn import initializers
from tests.cases.draws import both, normal
from tests.cases.rows import LayerCase

LAYERS = (
    LayerCase("dense", fnn.Dense(3), normal(4, 5)),
    LayerCase("dense, square", fnn.Dense(4), normal(3, 4)),
    LayerCase("dense without bias", fnn.Dense(3, use_bias=False), normal(4, 5)),
    LayerCase("dense on one vector", fnn.Dense(3), normal(5), per_example=False, quick=True),
    LayerCase("dense on sequences", fnn.Dense(3), normal(2, 4, 5), quick=True),
    LayerCase(
        "dense, other initialisers",
        fnn.Dense(4, kernel_init=initializers.Orthogonal(2.0), bias_init=initializers.Constant(0.5)),
        normal(3, 4),
    ),
    LayerCase("bilinear", fnn.Bilinear(3), both(normal(4, 2), normal(4, 5))),
    LayerCase(
        "bilinear of sequences, without bias", fnn.Bilinear(2, use_bias=False), both(*[normal(2, 3, 4)] * 2), quick=True
    ),
)
