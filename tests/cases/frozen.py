"""Frozen layers; a batch norm inside has the statistics that a checkpoint would bring."""

import fnn
from tests.cases.draws import boolean, both, indices, normal
from tests.cases.rows import LayerCase
from tests.cases.users import Gated, Noisy, Pretrained, Restless, Scaled


def encoder() -> fnn.Serial:
    return fnn.Serial(fnn.Dense(4), Pretrained(fnn.BatchNorm()), fnn.Dropout(0.3), fnn.Tanh())


LAYERS = (
    LayerCase("frozen", fnn.Frozen(encoder()), normal(4, 3)),
    LayerCase(
        "frozen behind a layer that trains",
        fnn.Serial(fnn.Dense(3), fnn.BatchNorm(), encoder=fnn.Frozen(encoder()), head=fnn.Dense(2)),
        normal(4, 3),
    ),
    LayerCase("frozen, of one layer", fnn.Frozen(fnn.Dense(3)), normal(3, 4)),
    LayerCase("frozen, without parameters", fnn.Frozen(fnn.Serial(fnn.Dropout(0.5), fnn.Gelu())), normal(3, 4)),
    LayerCase("frozen, from indices", fnn.Frozen(fnn.Serial(fnn.Embedding(5, 3), fnn.Flatten())), indices(5, 2, 4)),
    LayerCase("frozen, of a tuple", fnn.Frozen(Gated()), both(normal(3, 4), normal(3, 4))),
    LayerCase("frozen, of a tuple with a mask", fnn.Frozen(Scaled()), both(normal(3, 4), boolean(3, 4))),
    LayerCase("frozen, of parameters that are not floating", fnn.Frozen(Noisy()), normal(3, 4)),
    LayerCase("frozen, of a state that moves in inference", fnn.Frozen(Restless()), normal(3, 4)),
    LayerCase(
        "frozen branch",
        fnn.Parallel(fnn.Frozen(fnn.Dense(3)), fnn.Dense(3), merge="multiply"),
        normal(3, 4),
    ),
    LayerCase("repeat of frozen", fnn.Repeat(fnn.Frozen(fnn.Serial(fnn.Dense(3), fnn.Gelu())), 2), normal(2, 3)),
    LayerCase("frozen repeat", fnn.Frozen(fnn.Repeat(fnn.Serial(fnn.Dense(3), fnn.Dropout(0.3)), 2)), normal(2, 3)),
    LayerCase(
        "frozen remat, cast and weight norm",
        fnn.Frozen(
            fnn.Serial(fnn.Remat(fnn.Dense(3)), fnn.Cast(fnn.Dense(3), "float64"), fnn.WeightNorm(fnn.Dense(2)))
        ),
        normal(2, 4),
    ),
    LayerCase("remat of frozen", fnn.Remat(fnn.Frozen(fnn.Serial(fnn.Dense(3), fnn.Dropout(0.3)))), normal(2, 4)),
)
