"""Activations x ⊙ gate(x)."""

import math

import jax
import numpy as np
import scipy.special

import fnn
from tests.cases.activation.row import Activation
from tests.cases.draws import normal, past_the_corners

INF = math.inf
LN3 = math.log(3)
OPEN = ([0, 0, 1e4, INF], [0, 0, 1, 1])

ROWS = (
    Activation(
        "gelu",
        fnn.Gelu(),
        normal(3, 5),
        oracle=lambda x: x * scipy.special.ndtr(x),
        by_hand=([0, 1], [0, 0.8413447460685429], [0.5, 1.0833154705876864]),
        limits=OPEN,
        torch=lambda F, x: F.gelu(x),
        small=-1,
    ),
    Activation(
        "gelu, approximate",
        fnn.Gelu(approximate=True),
        normal(3, 5),
        oracle=lambda x: jax.nn.gelu(x, approximate=True),
        by_hand=([0, 1], [0, 0.8411919906082768], [0.5, 1.0829640838457826]),
        limits=OPEN,
        torch=lambda F, x: F.gelu(x, approximate="tanh"),
        small=-1,
        quick=True,
    ),
    Activation(
        "swish",
        fnn.Swish(),
        normal(3, 5),
        oracle=jax.nn.silu,
        by_hand=([0, LN3], [0, LN3 * 3 / 4], [1 / 2, 3 / 4 + LN3 * 3 / 16]),
        limits=OPEN,
        torch=lambda F, x: F.silu(x),
        small=-1,
        faults=(
            (np.float32(math.nan), ValueError, "beta is a finite number, got nan"),
            (fnn.Relu(), TypeError, r"beta is a number, got Relu\(\)"),
        ),
    ),
    Activation(
        "swish, steep",
        fnn.Swish(beta=2.5),
        normal(3, 5),
        oracle=lambda x: x * scipy.special.expit(2.5 * x),
        by_hand=([0, LN3 / 2.5], [0, LN3 * 3 / 10], [1 / 2, 3 / 4 + LN3 * 3 / 16]),
        limits=OPEN,
        torch=lambda F, x: x * F.sigmoid(2.5 * x),
    ),
    Activation(
        "swish, negative beta",
        fnn.Swish(beta=-0.7),
        normal(3, 5),
        oracle=lambda x: x * scipy.special.expit(-0.7 * x),
        by_hand=([0, -LN3 / 0.7], [0, -LN3 * 3 / 2.8], [1 / 2, 3 / 4 + LN3 * 3 / 16]),
        limits=([-INF, -1e4, 0, 0], [1, 1, 0, 0]),
        torch=lambda F, x: x * F.sigmoid(-0.7 * x),
    ),
    Activation(
        "silu",
        fnn.Silu(),
        normal(3, 5),
        oracle=lambda x: x * scipy.special.expit(x),
        by_hand=([0, LN3], [0, LN3 * 3 / 4], [1 / 2, 3 / 4 + LN3 * 3 / 16]),
        limits=OPEN,
        torch=lambda F, x: F.silu(x),
        small=-1,
    ),
    Activation(
        "hard swish",
        fnn.HardSwish(),
        past_the_corners(4, 6),
        oracle=jax.nn.hard_silu,
        by_hand=([-4, -1, 2, 4], [0, -1 / 3, 5 / 3, 4], [0, 1 / 6, 7 / 6, 1]),
        limits=OPEN,
        slopes_at={-3: 0, 0: 0.5, 3: 1},
        torch=lambda F, x: F.hardswish(x),
        torch_on_corners=False,
    ),
    Activation(
        "mish",
        fnn.Mish(),
        past_the_corners(3, 5),
        oracle=lambda x: x * np.tanh(np.log1p(np.exp(x))),
        by_hand=([0, LN3], [0, LN3 * 15 / 17], [3 / 5, 15 / 17 + LN3 * 64 / 289 * 3 / 4]),
        limits=OPEN,
        torch=lambda F, x: F.mish(x),
        small=-1,
    ),
)
