"""Pools."""

import fnn
from tests.cases.draws import both, distinct, lengths, normal
from tests.cases.rows import LayerCase

SERIES = normal(3, 7, 2)

LAYERS = (
    LayerCase("max pool", fnn.MaxPool(2), distinct(2, 5, 6, 3)),  # no two sizes are equal, and one leaves a rest
    LayerCase("max pool with a rest", fnn.MaxPool((2, 3)), distinct(2, 5, 5, 2)),
    LayerCase(
        "max pool, overlapping, same", fnn.MaxPool(3, strides=2, padding="SAME"), distinct(2, 5, 4, 2), quick=True
    ),
    LayerCase(
        "max pool, side by side, padded", fnn.MaxPool(2, padding=((1, 0), (0, 1))), distinct(2, 5, 5, 2), quick=True
    ),
    LayerCase("max pool, pairs", fnn.MaxPool(3, strides=(1, 2), padding=((1, 0), (2, 1))), distinct(2, 4, 5, 2)),
    LayerCase("max pool, strides beyond the window", fnn.MaxPool(2, strides=3), distinct(2, 7, 2)),
    LayerCase("max pool 3-D", fnn.MaxPool(2, strides=1), distinct(2, 3, 2, 3, 1)),
    LayerCase("max pool, causal", fnn.MaxPool(3, strides=1, padding="CAUSAL"), distinct(2, 5, 2)),
    LayerCase("avg pool", fnn.AvgPool(2), normal(2, 4, 6, 2)),
    LayerCase("avg pool with a rest", fnn.AvgPool((2, 3)), normal(2, 5, 5, 2)),
    LayerCase("avg pool, overlapping, same", fnn.AvgPool(3, strides=2, padding="SAME"), normal(2, 5, 4, 2)),
    LayerCase("avg pool, pairs", fnn.AvgPool(3, strides=(1, 2), padding=((1, 0), (2, 1))), normal(2, 4, 5, 2)),
    LayerCase("avg pool, strides beyond the window", fnn.AvgPool(2, strides=3), normal(2, 7, 2)),
    LayerCase("avg pool 3-D", fnn.AvgPool(2, strides=1), normal(2, 3, 2, 3, 1)),
    LayerCase("avg pool, a large window", fnn.AvgPool(9, strides=2), normal(2, 11, 10, 1), quick=True),
    LayerCase("max pool over time", fnn.MaxPool(3, strides=2), both(distinct(3, 7, 2), lengths(7, 2, 5))),
    LayerCase("max pool over time, same", fnn.MaxPool(3, strides=1, padding="SAME"), both(SERIES, lengths(1, 7, 4))),
    LayerCase("avg pool over time", fnn.AvgPool(2), both(SERIES, lengths(7, 1, 4))),
    LayerCase("avg pool over time, same", fnn.AvgPool(3, strides=1, padding="SAME"), both(SERIES, lengths(1, 7, 4))),
    LayerCase("global avg pool over time", fnn.GlobalAvgPool(), both(SERIES, lengths(7, 1, 4))),
    LayerCase("global max pool over time", fnn.GlobalMaxPool(), both(distinct(3, 7, 2), lengths(7, 1, 4))),
    LayerCase("global avg pool", fnn.GlobalAvgPool(), normal(2, 3, 4, 2)),
    LayerCase("global avg pool of a series", fnn.GlobalAvgPool(), SERIES, quick=True),
    LayerCase("global max pool", fnn.GlobalMaxPool(), distinct(2, 3, 4, 2)),
    LayerCase("global max pool of a series", fnn.GlobalMaxPool(), distinct(3, 7, 2)),
)
