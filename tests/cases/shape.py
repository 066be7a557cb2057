"""Shapes, places and indices."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import fnn
from tests.cases.draws import boolean, both, indices, normal
from tests.cases.rows import LayerCase


def masked(x: Any) -> Any:
    values, keep = x
    return jnp.where(keep, values * values, 0)


LAYERS = (
    LayerCase("flatten", fnn.Flatten(), normal(2, 3, 2)),
    LayerCase("flatten of samples that are scalars", fnn.Flatten(), normal(3)),
    LayerCase("flatten of indices", fnn.Flatten(), indices(5, 2, 3, 2)),
    LayerCase("reshape", fnn.Reshape((2, 3)), normal(4, 6)),
    LayerCase("reshape, one size worked out", fnn.Reshape((3, -1, 1)), normal(2, 6)),
    LayerCase("reshape of indices", fnn.Reshape((2, 3)), indices(5, 4, 6)),
    LayerCase("transpose", fnn.Transpose((2, 0, 1)), normal(2, 3, 2, 4)),
    LayerCase("transpose of one axis", fnn.Transpose((0,)), normal(2, 3)),
    LayerCase("transpose of indices", fnn.Transpose((1, 0)), indices(5, 2, 3, 2)),
    LayerCase("identity", fnn.Identity(), normal(2, 3)),
    LayerCase("identity of a pair", fnn.Identity(), both(normal(2, 3), indices(5, 2))),
    LayerCase("lambda", fnn.Lambda(jnp.sin), normal(2, 3)),
    LayerCase("lambda of a pair", fnn.Lambda(masked), both(normal(3, 2), boolean(3, 2))),
    LayerCase("pad", fnn.Pad(1), normal(2, 2, 3, 2)),
    LayerCase("pad, pairs, with a value", fnn.Pad(((1, 0), 2, (0, 3)), value=0.5), normal(2, 2, 1, 2), quick=True),
    LayerCase("pad of indices", fnn.Pad((1, 0), value=7), indices(5, 2, 3, 2)),
    LayerCase("up sample", fnn.UpSample(2), normal(2, 2, 3, 2)),
    LayerCase("up sample 1-D", fnn.UpSample(3), normal(2, 3, 2), quick=True),
    LayerCase("up sample, a scale an axis", fnn.UpSample((1, 3)), normal(2, 2, 2, 1), quick=True),
    LayerCase("up sample of indices", fnn.UpSample(2), indices(5, 2, 3, 1)),
    LayerCase("up sample, linear", fnn.UpSample((2, 3), method="linear"), normal(2, 3, 2, 2), quick=True),
    LayerCase("up sample 3-D, linear", fnn.UpSample((2, 1, 3), method="linear"), normal(2, 2, 3, 1, 1)),
    LayerCase("pixel shuffle", fnn.PixelShuffle(2), normal(2, 2, 3, 8)),
    LayerCase("pixel shuffle 1-D", fnn.PixelShuffle(3), normal(2, 2, 6), quick=True),
    LayerCase("pixel shuffle, a factor an axis", fnn.PixelShuffle((1, 3, 2)), normal(2, 1, 2, 2, 6), quick=True),
    LayerCase("pixel shuffle of indices", fnn.PixelShuffle(2), indices(5, 2, 1, 2, 4)),
    LayerCase("embedding", fnn.Embedding(6, 3), indices(6, 3, 4)),
    LayerCase("embedding of 8-bit indices", fnn.Embedding(5, 2), indices(5, 7, dtype=np.int8)),
)
