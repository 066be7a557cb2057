"""The samples and basis functions of ridge regression, its closed form, and the neuron with its objectives."""

from typing import Any

import numpy as np

import fnn

SAMPLES, NOISE = 20, 0.3
"""How many samples a draw has, and the standard deviation of their noise."""

DEGREES = 14
"""The highest degree of the polynomials."""


def truth(x: np.ndarray) -> np.ndarray:
    """sin(πx)."""
    return np.sin(np.pi * x)


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples of a seed: x, and y with noise."""
    random = np.random.default_rng(seed)
    x = -1 + 2 * (np.arange(SAMPLES) + random.uniform(0.25, 0.75, SAMPLES)) / SAMPLES
    return x, truth(x) + NOISE * random.normal(size=SAMPLES)


def basis(x: np.ndarray, count: int) -> np.ndarray:
    """φ: the Legendre polynomials of degree 0 to count − 1 with mean square 1 over [−1, 1], on a new last axis."""
    return np.polynomial.legendre.legvander(x, count - 1) * np.sqrt(2 * np.arange(count) + 1)


def ridge(phi: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """The w of the least norm that minimises ‖y − Φw‖² + λwᵀw."""
    rows = np.sqrt(strength) * np.eye(phi.shape[1])
    return np.linalg.lstsq(np.concatenate([phi, rows]), np.append(y, np.zeros(len(rows))), rcond=None)[0]


def closed_forms(strength: float, kept: np.ndarray, phi: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The closed form of every seed and choice of columns (seeds, choices, D)."""
    return np.array([[ridge(p * keep, t, strength) for keep in kept] for p, t in zip(phi, y, strict=True)])


def neuron(start: Any = fnn.initializers.Zeros()) -> fnn.Dense:
    """y = wᵀφ; its weights start at 0, so those of columns that are 0 stay there."""
    return fnn.Dense(1, use_bias=False, kernel_init=start)


def squares(strength: Any) -> fnn.Objective:
    """The mean of squares, with L2."""
    return fnn.Objective(neuron(), fnn.MeanSquaredError(), (fnn.L2(strength),))


def likelihood(strength: Any) -> fnn.Objective:
    """The Gaussian negative log-likelihood of the neuron with a fixed variance, with L2 as the prior."""
    log_variance = fnn.initializers.Constant(2 * float(np.log(NOISE)))
    fixed = fnn.Frozen(fnn.Dense(1, kernel_init=fnn.initializers.Zeros(), bias_init=log_variance))
    model = fnn.Parallel(mean=neuron(), log_variance=fixed, merge="concatenate")
    return fnn.Objective(model, fnn.GaussianNLL(), (fnn.L2(strength, paths="mean/kernel"),))
