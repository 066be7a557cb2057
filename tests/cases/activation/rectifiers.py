"""Rectifiers and the exponential linear units."""

import math

import jax
import numpy as np

import fnn
from tests.cases.activation.row import Activation
from tests.cases.draws import off_zero, past_the_corners

E, INF, NAN = math.e, math.inf, math.nan
SCALE, SCALE_ALPHA = 1.0507009873554804934, 1.0507009873554804934 * 1.6732632423543772848

ROWS = (
    Activation(
        "relu",
        fnn.Relu(),
        off_zero(3, 5),
        oracle=lambda x: np.maximum(x, 0),
        by_hand=([-2, 3], [0, 3], [0, 1]),
        limits=([0, 0, 1e4, INF], [0, 0, 1, 1]),
        slopes_at={0: 0, 1: 1},
        torch=lambda F, x: F.relu(x),
        every_digit=True,
        flat=True,
    ),
    Activation(
        "leaky relu",
        fnn.LeakyRelu(),
        off_zero(3, 5),
        oracle=jax.nn.leaky_relu,
        by_hand=([-2, 3], [-0.02, 3], [0.01, 1]),
        limits=([-INF, -100, 1e4, INF], [0.01, 0.01, 1, 1]),
        slopes_at={0: 0.01, 1: 1},
        torch=lambda F, x: F.leaky_relu(x),
        every_digit=True,
        faults=(
            ("0.1", TypeError, "slope is a number, got '0.1'"),
            (INF, ValueError, "slope is a finite number, got inf"),
        ),
    ),
    Activation(
        "leaky relu, negative slope",
        fnn.LeakyRelu(-0.3),
        off_zero(3, 5),
        oracle=lambda x: jax.nn.leaky_relu(x, -0.3),
        by_hand=([-2, 3], [0.6, 3], [-0.3, 1]),
        limits=([INF, 3000, 1e4, INF], [-0.3, -0.3, 1, 1]),
        slopes_at={0: -0.3, 1: 1},
        torch=lambda F, x: F.leaky_relu(x, -0.3),
        every_digit=True,
    ),
    Activation(
        "relu6",
        fnn.Relu6(),
        past_the_corners(4, 6),
        oracle=jax.nn.relu6,
        by_hand=([-2, 3, 8], [0, 3, 6], [0, 1, 0]),
        limits=([0, 0, 6, 6], [0, 0, 0, 0]),
        slopes_at={0: 0, 3: 1, 6: 0},
        torch=lambda F, x: F.relu6(x),
        flat=True,
    ),
    Activation(
        "squared relu",
        fnn.SquaredRelu(),
        off_zero(3, 5),
        oracle=lambda x: np.maximum(x, 0) ** 2,
        by_hand=([-2, 3], [0, 9], [0, 6]),
        limits=([0, 0, 1e8, INF], [0, 0, 2e4, INF]),
        slopes_at={0: 0, 1: 2},
        torch=lambda F, x: F.relu(x) ** 2,
        every_digit=True,
        flat=True,
    ),
    Activation(
        "elu",
        fnn.Elu(),
        off_zero(3, 5),
        oracle=jax.nn.elu,
        by_hand=([-1, 2], [1 / E - 1, 2], [1 / E, 1]),
        limits=([-1, -1, 1e4, INF], [0, 0, 1, 1]),
        slopes_at={0: 1, 1: 1},
        torch=lambda F, x: F.elu(x),
        faults=(
            (-1.0, ValueError, r"alpha is at least 0, got -1\.0"),
            (NAN, ValueError, "alpha is a finite number, got nan"),
            (None, TypeError, "alpha is a number, got None"),
        ),
    ),
    Activation(
        "elu, alpha",
        fnn.Elu(0.3),
        off_zero(3, 5),
        oracle=lambda x: jax.nn.elu(x, 0.3),
        by_hand=([-1, 2], [0.3 / E - 0.3, 2], [0.3 / E, 1]),
        limits=([-0.3, -0.3, 1e4, INF], [0, 0, 1, 1]),
        slopes_at={0: 0.3, 1: 1},
        torch=lambda F, x: F.elu(x, 0.3),
    ),
    Activation(
        "celu",
        fnn.Celu(),
        off_zero(3, 5),
        oracle=jax.nn.celu,
        by_hand=([-1, 2], [1 / E - 1, 2], [1 / E, 1]),
        limits=([-1, -1, 1e4, INF], [0, 0, 1, 1]),
        slopes_at={0: 1, 1: 1},
        torch=lambda F, x: F.celu(x),
        faults=(
            (0, ValueError, r"alpha divides and is not 0; the limit at 0 is Relu\(\)"),
            (True, TypeError, "alpha is a number, got True"),
        ),
    ),
    Activation(
        "celu, alpha",
        fnn.Celu(2.5),
        off_zero(3, 5),
        oracle=lambda x: jax.nn.celu(x, 2.5),
        by_hand=([-2.5, 2], [2.5 / E - 2.5, 2], [1 / E, 1]),
        limits=([-2.5, -2.5, 1e4, INF], [0, 0, 1, 1]),
        slopes_at={0: 1, 1: 1},
        torch=lambda F, x: 2.5 * F.celu(x / 2.5),  # the 1/α in the gradient of its own is float32
        quick=True,
    ),
    Activation(
        "celu, negative alpha",
        fnn.Celu(-2.5),
        off_zero(3, 5),
        oracle=lambda x: jax.nn.celu(x, -2.5),
        by_hand=([-2.5, 2], [2.5 - 2.5 * E, 2], [E, 1]),
        limits=None,
        slopes_at={0: 1, 1: 1},
        in_models=False,
    ),
    Activation(
        "selu",
        fnn.Selu(),
        off_zero(3, 5),
        oracle=jax.nn.selu,
        by_hand=([-1, 2], [SCALE_ALPHA * (1 / E - 1), 2 * SCALE], [SCALE_ALPHA / E, SCALE]),
        limits=([-SCALE_ALPHA, -SCALE_ALPHA, SCALE * 1e4, INF], [0, 0, SCALE, SCALE]),
        slopes_at={0: SCALE_ALPHA, 1: SCALE},
        torch=lambda F, x: F.selu(x),
    ),
)
