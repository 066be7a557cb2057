"""A small classification problem, which training tests share, and a model that learns it."""

import functools

import numpy as np

import fnn
from tests.drawing import generator


@functools.cache
def blobs(samples: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """Points around the corners of a triangle, with their labels."""
    draw = generator(f"{samples} points around the corners of a triangle")
    labels = draw.integers(0, 3, samples)
    corners = np.array([[0.0, 2.0], [2.0, -1.0], [-2.0, -1.0]])
    return (corners[labels] + 0.3 * draw.standard_normal((samples, 2))).astype(np.float32), labels.astype(np.int32)


def classifier(dropout: float = 0.1, scale: float = 1.0) -> fnn.Layer:
    """Not linear, with batch statistics and random masks, and smooth: at a kink a rounding error makes a difference."""
    init = fnn.initializers.VarianceScaling(scale)
    # No bias before the batch norm: its gradient is exactly 0, and Adam would blow its rounding up to full steps.
    first = fnn.Dense(8, use_bias=False, kernel_init=init)
    return fnn.Serial(first, fnn.BatchNorm(), fnn.Tanh(), fnn.Dropout(dropout), fnn.Dense(3, kernel_init=init))
