"""The ways that get a deep sigmoid network to learn, or do not."""

from collections.abc import Callable
from typing import Any

import fnn


def tenth_with_adam(rate: Any) -> fnn.optim.Optimizer:
    """Adam at a tenth of the rate."""
    return fnn.optim.adam(rate / 10)


PLAIN, ADAM, PRETRAINED, NORMED, RECTIFIED = "as it is", "Adam", "pre-training", "batch norm", "ReLU and He weights"
WAYS: dict[str, tuple[tuple[fnn.Layer, ...], Callable[[Any], Any], str]] = {
    PLAIN: ((fnn.Sigmoid(),), fnn.optim.momentum, "tiny"),
    ADAM: ((fnn.Sigmoid(),), tenth_with_adam, "tiny"),
    PRETRAINED: ((fnn.Sigmoid(),), fnn.optim.momentum, "codes"),
    NORMED: ((fnn.BatchNorm(), fnn.Sigmoid()), fnn.optim.momentum, "tiny"),
    RECTIFIED: ((fnn.Relu(),), fnn.optim.momentum, "He"),
}
"""What follows each dense layer, the optimiser, and the weights at the start."""
