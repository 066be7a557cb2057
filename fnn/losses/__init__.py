"""The losses, one family a file."""

from fnn.losses.cross_entropy import BinaryCrossEntropy as BinaryCrossEntropy
from fnn.losses.cross_entropy import CrossEntropy as CrossEntropy
from fnn.losses.loss import Loss as Loss
from fnn.losses.regression import MeanSquaredError as MeanSquaredError
