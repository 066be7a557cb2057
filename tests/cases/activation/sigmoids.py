"""Sigmoids, their straight-line and logarithmic kin, and the step."""

import math

import jax
import numpy as np
import scipy.special

import fnn
from tests.cases.activation.row import Activation
from tests.cases.draws import normal, off_zero, past_the_corners

INF = math.inf
LN2, LN3 = math.log(2), math.log(3)

ROWS = (
    Activation(
        "sigmoid",
        fnn.Sigmoid(),
        normal(3, 5),
        oracle=scipy.special.expit,
        by_hand=([0, LN3], [1 / 2, 3 / 4], [1 / 4, 3 / 16]),
        limits=([0, 0, 1, 1], [0, 0, 0, 0]),
        torch=lambda F, x: F.sigmoid(x),
        small=-1,
    ),
    Activation(
        "log sigmoid",
        fnn.LogSigmoid(),
        past_the_corners(3, 5),
        oracle=scipy.special.log_expit,
        by_hand=([0, LN3], [-LN2, -math.log(4 / 3)], [1 / 2, 1 / 4]),
        limits=([-INF, -1e4, 0, 0], [1, 1, 0, 0]),
        torch=lambda F, x: F.logsigmoid(x),
        every_digit=True,
        small=1,
    ),
    Activation(
        "hard sigmoid",
        fnn.HardSigmoid(),
        past_the_corners(4, 6),
        oracle=jax.nn.hard_sigmoid,
        by_hand=([-6, -1, 2, 4], [0, 1 / 3, 5 / 6, 1], [0, 1 / 6, 1 / 6, 0]),
        limits=([0, 0, 1, 1], [0, 0, 0, 0]),
        slopes_at={-3: 0, 0: 1 / 6, 3: 0},
        torch=lambda F, x: F.relu6(x + 3) / 6,  # the 1/6 in the gradient of its own is float32
        flat=True,
    ),
    Activation(
        "tanh",
        fnn.Tanh(),
        normal(3, 5),
        oracle=np.tanh,
        by_hand=([0, LN2], [0, 3 / 5], [1, 16 / 25]),
        limits=([-1, -1, 1, 1], [0, 0, 0, 0]),
        torch=lambda F, x: F.tanh(x),
    ),
    Activation(
        "hard tanh",
        fnn.HardTanh(),
        past_the_corners(4, 6),
        oracle=jax.nn.hard_tanh,
        by_hand=([-3, 0.5, 2], [-1, 0.5, 1], [0, 1, 0]),
        limits=([-1, -1, 1, 1], [0, 0, 0, 0]),
        slopes_at={-1: 0, 0: 1, 1: 0},
        torch=lambda F, x: F.hardtanh(x),
        every_digit=True,
        flat=True,
    ),
    Activation(
        "softplus",
        fnn.Softplus(),
        past_the_corners(3, 5),
        oracle=lambda x: np.logaddexp(x, 0),
        by_hand=([0, LN3], [LN2, math.log(4)], [1 / 2, 3 / 4]),
        limits=([0, 0, 1e4, INF], [0, 0, 1, 1]),
        torch=lambda F, x: F.softplus(x, threshold=1000),  # above its threshold it is x, where ours has digits of e⁻ˣ
        every_digit=True,
        small=-1,
    ),
    Activation(
        "softsign",
        fnn.Softsign(),
        off_zero(3, 5),
        oracle=jax.nn.soft_sign,
        by_hand=([-1, 3], [-1 / 2, 3 / 4], [1 / 4, 1 / 16]),
        limits=([-1, -1 / 1.0001, 1 / 1.0001, 1], [0, 1e-8, 1e-8, 0]),
        slopes_at={0: 1, 1: 0.25},
        torch=lambda F, x: F.softsign(x),
        every_digit=True,
    ),
    Activation(
        "step",
        fnn.Step(),
        off_zero(3, 5),
        oracle=lambda x: np.heaviside(x, 0),
        by_hand=([-1, -0.0, 0, 1e-300], [0, 0, 0, 1], [0, 0, 0, 0]),
        limits=([0, 0, 1, 1], [0, 0, 0, 0]),
        slopes_at={-1: 0, 0: 0, 1: 0},
        flat=True,
        faults=((0.5, TypeError, r"straight_through is True or False, got 0\.5"),),
        in_models=False,
    ),
    Activation(
        "step, straight-through",
        fnn.Step(straight_through=True),
        off_zero(3, 5),
        oracle=lambda x: np.heaviside(x, 0),
        by_hand=([-1, 0, 1e-300], [0, 0, 1], [1, 1, 1]),
        limits=None,
        slopes_at={-1: 1, 0: 1, 1: 1},
        in_models=False,
        quick=True,
    ),
)
