"""Softshrink, and its limit without a threshold, the identity."""

import math

import numpy as np

import fnn
from tests.cases.activation.row import Activation
from tests.cases.draws import normal, past_the_corners

INF, NAN = math.inf, math.nan

ROWS = (
    Activation(
        "softshrink",
        fnn.Softshrink(),
        normal(4, 6),
        oracle=lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        by_hand=([-2, 0.25, 1], [-1.5, 0, 0.5], [1, 0, 1]),
        limits=([-INF, -9999.5, 9999.5, INF], [1, 1, 1, 1]),
        slopes_at={-0.5: 0, 0: 0, 0.5: 0, 1: 1},
        torch=lambda F, x: F.softshrink(x),
        every_digit=True,
        flat=True,
        faults=(
            (-1.0, ValueError, r"threshold is at least 0, got -1\.0"),
            (INF, ValueError, "threshold is a finite number, got inf"),
            (NAN, ValueError, "threshold is a finite number, got nan"),
            ("0.5", TypeError, "threshold is a number, got '0.5'"),
        ),
    ),
    Activation(
        "softshrink, threshold",
        fnn.Softshrink(2),
        past_the_corners(4, 6),
        oracle=lambda x: np.sign(x) * np.maximum(np.abs(x) - 2, 0),
        by_hand=([-5, -1, 3], [-3, 0, 1], [1, 0, 1]),
        limits=([-INF, -9998, 9998, INF], [1, 1, 1, 1]),
        slopes_at={-2: 0, 0: 0, 2: 0, 3: 1},
        torch=lambda F, x: F.softshrink(x, 2),
        flat=True,
    ),
    Activation(
        "softshrink, threshold 0",
        fnn.Softshrink(0.0),
        normal(4, 6),
        oracle=lambda x: x,
        by_hand=([-2, 0, 1], [-2, 0, 1], [1, 1, 1]),
        limits=([-INF, -1e4, 1e4, INF], [1, 1, 1, 1]),
        slopes_at={0: 1, 1: 1},
        torch=lambda F, x: F.softshrink(x, 0),
        every_digit=True,
        quick=True,
    ),
)
