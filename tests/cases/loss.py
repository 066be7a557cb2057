"""Losses."""

from typing import Any

import jax.numpy as jnp
import numpy as np

import fnn
from tests.cases.draws import (
    alike,
    boolean,
    both,
    indices,
    lengths,
    named,
    normal,
    nothing,
    one_hot,
    partly_ignored,
    positive,
    signs,
    soft,
    some_zero,
)
from tests.cases.rows import LossCase


def squared(prediction: Any, target: Any) -> Any:
    """A user's loss of one example."""
    return jnp.square(prediction - target)


def of_two(prediction: Any, target: Any) -> Any:
    """A user's loss of one example whose prediction is a mean and the logarithm of a scale."""
    mean, log_scale = prediction
    return jnp.sum(jnp.square((mean - target) * jnp.exp(-log_scale)) + log_scale)


LOSSES = (
    LossCase("a user's function", fnn.LossOf(squared), both(normal(6), normal(6))),
    LossCase(
        "a user's function of sequences, a number a step",
        fnn.LossOf(squared),
        both(both(normal(4, 3), lengths(3, 0, 2, 1)), normal(4, 3)),
    ),
    LossCase(
        "a user's function of two arrays", fnn.LossOf(of_two), both(both(normal(6, 2), normal(6, 2)), normal(6, 2))
    ),
    LossCase("cross-entropy of labels", fnn.CrossEntropy(), both(normal(6, 4), indices(4, 6))),
    LossCase("cross-entropy of 8-bit labels", fnn.CrossEntropy(), both(normal(6, 4), indices(4, 6, dtype=np.uint8))),
    LossCase("cross-entropy, one-hot", fnn.CrossEntropy(), both(normal(6, 4), one_hot(4, 6))),
    LossCase(
        "cross-entropy, one-hot of integers", fnn.CrossEntropy(), both(normal(6, 4), one_hot(4, 6, dtype=np.int32))
    ),
    LossCase("cross-entropy, soft", fnn.CrossEntropy(), both(normal(6, 4), soft(6, 4))),
    LossCase("cross-entropy, soft without sum 1", fnn.CrossEntropy(), both(normal(6, 4), positive(6, 4))),
    LossCase("cross-entropy, smoothed", fnn.CrossEntropy(label_smoothing=0.1), both(normal(6, 4), indices(4, 6))),
    LossCase(
        "cross-entropy, soft, smoothed", fnn.CrossEntropy(label_smoothing=0.3), both(normal(6, 4), positive(6, 4))
    ),
    LossCase("cross-entropy, weighted", fnn.CrossEntropy(), both(normal(6, 4), indices(4, 6), positive(6))),
    LossCase("cross-entropy of sequences", fnn.CrossEntropy(), both(normal(4, 3, 5), indices(5, 4, 3)), quick=True),
    LossCase(
        "cross-entropy of sequences, a weight a place",
        fnn.CrossEntropy(),
        both(normal(4, 3, 5), indices(5, 4, 3), positive(4, 3)),
    ),
    LossCase(
        "cross-entropy, some ignored", fnn.CrossEntropy(ignore_index=-1), both(normal(6, 4), partly_ignored(4, -1, 6))
    ),
    LossCase(
        "cross-entropy of sequences, some ignored, smoothed, weighted",
        fnn.CrossEntropy(ignore_index=0, label_smoothing=0.2),
        both(normal(4, 3, 5), partly_ignored(5, 0, 4, 3), positive(4, 3)),
    ),
    LossCase("binary cross-entropy", fnn.BinaryCrossEntropy(), both(normal(6), indices(2, 6))),
    LossCase("binary cross-entropy, boolean", fnn.BinaryCrossEntropy(), both(normal(5, 3), boolean(5, 3))),
    LossCase("binary cross-entropy, soft", fnn.BinaryCrossEntropy(), both(normal(5, 3), soft(5, 3), positive(5))),
    LossCase("mean squared error", fnn.MeanSquaredError(), both(normal(6), normal(6))),
    LossCase("mean squared error, weighted", fnn.MeanSquaredError(), both(normal(5, 3), normal(5, 3), positive(5))),
    LossCase(
        "mean squared error, a weight an entry", fnn.MeanSquaredError(), both(*[normal(5, 3)] * 2, positive(5, 3))
    ),
    LossCase("mean absolute error", fnn.MeanAbsoluteError(), both(normal(6), normal(6))),
    LossCase("mean absolute error, weighted", fnn.MeanAbsoluteError(), both(normal(5, 3), normal(5, 3), positive(5))),
    LossCase(
        "mean squared error of sequences",
        fnn.MeanSquaredError(),
        both(both(normal(4, 3, 2), lengths(3, 0, 2, 1)), normal(4, 3, 2)),
        quick=True,
    ),
    LossCase("root mean squared error", fnn.RootMeanSquaredError(), both(normal(6), normal(6)), additive=False),
    LossCase(
        "root mean squared error, a weight an entry",
        fnn.RootMeanSquaredError(),
        both(*[normal(5, 3)] * 2, positive(5, 3)),
        additive=False,
    ),
    LossCase(
        "root mean squared error of sequences",
        fnn.RootMeanSquaredError(),
        both(both(normal(4, 3, 2), lengths(3, 0, 2, 1)), normal(4, 3, 2)),
        additive=False,
        quick=True,
    ),
    LossCase(
        "root mean squared error of 0",
        fnn.RootMeanSquaredError(),
        alike(normal(6)),
        additive=False,
        finite=False,
        quick=True,
    ),
    LossCase("Huber", fnn.Huber(), both(normal(8), normal(8))),
    LossCase("Huber, another delta", fnn.Huber(0.3), both(normal(5, 3), normal(5, 3), positive(5))),
    LossCase("log-cosh", fnn.LogCosh(), both(normal(5, 3), normal(5, 3))),
    LossCase("hinge", fnn.Hinge(), both(normal(8), signs(8))),
    LossCase("hinge, integer labels", fnn.Hinge(), both(normal(5, 3), signs(5, 3, dtype=np.int32), positive(5))),
    LossCase("perceptron", fnn.PerceptronLoss(), both(normal(8), signs(8))),
    LossCase("perceptron, 8-bit labels", fnn.PerceptronLoss(), both(normal(5, 3), signs(5, 3, dtype=np.int8))),
    LossCase("multi-class hinge", fnn.MultiClassHinge(), both(normal(6, 4), indices(4, 6))),
    LossCase(
        "multi-class hinge of sequences, 8-bit labels, a weight a place",
        fnn.MultiClassHinge(),
        both(normal(4, 3, 3), indices(3, 4, 3, dtype=np.uint8), positive(4, 3)),
    ),
    LossCase("focal", fnn.Focal(), both(normal(6, 4), indices(4, 6))),
    LossCase("focal, a gamma below 1", fnn.Focal(0.5), both(normal(6, 4), indices(4, 6), positive(6))),
    LossCase("focal, gamma 0", fnn.Focal(0.0), both(normal(6, 4), indices(4, 6))),
    LossCase(
        "focal of sequences, some ignored", fnn.Focal(ignore_index=0), both(normal(4, 3, 5), partly_ignored(5, 0, 4, 3))
    ),
    LossCase("KL divergence", fnn.KLDivergence(), both(normal(6, 4), soft(6, 4))),
    LossCase("KL divergence, one-hot, weighted", fnn.KLDivergence(), both(normal(6, 4), one_hot(4, 6), positive(6))),
    LossCase("cosine", fnn.CosineSimilarity(), both(normal(6, 4), normal(6, 4))),
    LossCase(
        "cosine of sequences",
        fnn.CosineSimilarity(),
        both(normal(4, 2, 3), normal(4, 2, 3), positive(4, 2)),
        quick=True,
    ),
    LossCase("cosine, some zero vectors", fnn.CosineSimilarity(), both(some_zero(6, 4), normal(6, 4)), finite=False),
    LossCase("Poisson", fnn.Poisson(), both(normal(6), indices(5, 6))),
    LossCase("Poisson, full", fnn.Poisson(full=True), both(normal(5, 3), positive(5, 3), positive(5))),
    LossCase("Gaussian", fnn.GaussianNLL(), both(normal(6, 2), normal(6, 1))),
    LossCase("Gaussian, full", fnn.GaussianNLL(full=True), both(normal(5, 6), normal(5, 3), positive(5))),
    LossCase("Gaussian, a weight an entry", fnn.GaussianNLL(), both(normal(5, 4), normal(5, 2), positive(5, 2))),
    LossCase(
        "Gaussian of sequences, a weight an entry",
        fnn.GaussianNLL(),
        both(normal(4, 3, 4), normal(4, 3, 2), positive(4, 3, 2)),
    ),
    LossCase("triplet", fnn.Triplet(0.5), both(normal(6, 3, 2), nothing)),
    LossCase(
        "several",
        fnn.MultiLoss({"size": fnn.MeanSquaredError(), "kind": fnn.CrossEntropy()}, weights={"size": 0.3}),
        both(named(size=normal(6, 2), kind=normal(6, 3)), named(size=normal(6, 2), kind=indices(3, 6))),
    ),
    LossCase("triplet of sequences", fnn.Triplet(1.0), both(normal(4, 2, 3, 2), nothing, positive(4, 2))),
    LossCase(
        "cross-entropy, weights of classes and of examples",
        fnn.CrossEntropy(class_weight=(1, 0.5, 0, 2)),
        both(normal(6, 4), indices(4, 6), positive(6)),
    ),
    LossCase(
        "cross-entropy, soft, smoothed, a weight of one class",
        fnn.CrossEntropy(label_smoothing=0.1, class_weight={2: 3.0}),
        both(normal(6, 4), soft(6, 4)),
    ),
    LossCase(
        "binary cross-entropy, weights of classes",
        fnn.BinaryCrossEntropy(class_weight=[0.5, 2]),
        both(normal(5, 3), soft(5, 3), positive(5)),
    ),
)
