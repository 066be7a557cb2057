"""Losses that end a model with a head of their own, and the heads."""

import fnn
from fnn.losses import LinearHead
from tests.cases.draws import both, indices, lengths, normal, partly_ignored, positive
from tests.cases.rows import LayerCase, LossCase

# The kernel among the outputs belongs to no one sample.
LAYERS = (LayerCase("linear head", LinearHead(5), normal(4, 3), per_example=False),)

LOSSES = (
    LossCase(
        "linear cross-entropy, a chunk and a rest",
        fnn.LinearCrossEntropy(5, chunk=4),
        both(both(normal(6, 3), normal(3, 5)), indices(5, 6)),
    ),
    LossCase(
        "linear cross-entropy, fewer rows than a chunk, weighted",
        fnn.LinearCrossEntropy(5, z_loss=0.1),
        both(both(normal(6, 3), normal(3, 5)), indices(5, 6), positive(6)),
    ),
    LossCase(
        "linear cross-entropy of sequences, smoothed, some ignored, z-loss",
        fnn.LinearCrossEntropy(5, chunk=3, label_smoothing=0.2, ignore_index=0, z_loss=0.3),
        both(both(normal(4, 2, 3), normal(3, 5)), partly_ignored(5, 0, 4, 2), positive(4, 2)),
    ),
    LossCase(
        "linear cross-entropy beside lengths",
        fnn.LinearCrossEntropy(5, chunk=4),
        both(both(both(normal(4, 3, 3), normal(3, 5)), lengths(3, 0, 2, 1)), indices(5, 4, 3)),
        quick=True,
    ),
    LossCase(
        "cross-entropy, z-loss, smoothed",
        fnn.CrossEntropy(z_loss=0.2, label_smoothing=0.1),
        both(normal(6, 4), indices(4, 6)),
    ),
)
