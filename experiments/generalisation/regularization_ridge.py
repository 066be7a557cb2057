"""Noise on the inputs of a linear neuron against ridge regression, on the diabetes data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.linear.ridge_regression import ridge
from experiments.study import seeds_of

NOISE, COPIES, DRAWS = 0.5, (1, 4, 16, 64, 256), 20
"""The σ of the noise on standardised features; noisy copies of the data that are fitted; how often
these are drawn."""


def ridge_figures(seed: int, seeds: int, steps: int) -> dict[str, Any]:
    """The error of the identity; how far fits of noisy copies (draws, copies) and trained neurons are from ridge."""
    table = data.load_diabetes()
    x = data.standardized(table.x).astype(np.float64)
    y = ((table.y - table.y.mean()) / table.y.std()).astype(np.float64)
    ridges = {times: ridge(x, y, times * len(y) * NOISE**2) for times in (0.0, 0.5, 1.0, 2.0)}
    gap = np.linalg.norm(ridges[0.0] - ridges[1.0])
    copies = np.array([fits(x, y, np.random.default_rng(seed + i)) for i in range(DRAWS)])
    neurons = trained(x, y, seeds_of(seed, seeds), steps)
    return {
        "identity": identity_error(x, y, seed),
        "copies": (np.linalg.norm(copies - ridges[1.0], axis=-1) / gap).tolist(),
        "trained": {
            f"{times:g}": (np.linalg.norm(neurons - least, axis=-1) / gap).tolist() for times, least in ridges.items()
        },
    }


def fits(x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Least squares on 1, 4, … noisy copies of the data, without a penalty: (copies, D)."""
    squares, products, found = np.zeros((x.shape[1],) * 2), np.zeros(x.shape[1]), []
    for i in range(1, max(COPIES) + 1):
        noisy = x + NOISE * random.standard_normal(x.shape)
        squares, products = squares + noisy.T @ noisy, products + noisy.T @ y
        if i in COPIES:
            found.append(np.linalg.solve(squares, products))
    return np.array(found)


def noiseless_points(x: np.ndarray) -> np.ndarray:
    """x ± √D σ eᵢ for every direction i: (2 D, N, D). Means over them are those over the noise, for any quadratic."""
    steps = NOISE * np.sqrt(x.shape[1]) * np.eye(x.shape[1])
    return np.concatenate([x + steps[:, None], x - steps[:, None]])


def identity_error(x: np.ndarray, y: np.ndarray, seed: int) -> float:
    """The largest relative difference of the expected noisy loss from the loss + σ²‖w‖², for weights from N(0, 1)."""
    plain = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())
    # L2 has the factor ½.
    penalised = fnn.Objective(plain.model, plain.loss, (fnn.L2(2 * NOISE**2, paths="kernel"),))
    kernels = np.random.default_rng(seed).standard_normal((20, x.shape[1], 1))

    def both(kernel: jax.Array, x: jax.Array, points: jax.Array, y: jax.Array) -> jax.Array:
        noisy = jax.vmap(lambda point: plain({"kernel": kernel}, {}, (point, y))[0])(points).mean()
        return noisy / penalised({"kernel": kernel}, {}, (x, y))[0] - 1

    with jax.enable_x64(True):
        errors = jax.jit(jax.vmap(both, in_axes=(0, None, None, None)))(kernels, x, noiseless_points(x), y[:, None])
        return float(jnp.abs(errors).max())


def trained(x: np.ndarray, y: np.ndarray, keys: jax.Array, steps: int) -> np.ndarray:
    """Weights of neurons trained on noisy inputs (seeds, D): gradient descent, new noise in each step."""
    neuron = fnn.Serial(noise=fnn.GaussianNoise(NOISE), dense=fnn.Dense(1, use_bias=False))
    objective = fnn.Objective(neuron, fnn.MeanSquaredError())
    optimizer = fnn.optim.sgd(fnn.optim.cosine(0.1, steps))
    train = fnn.make_train(objective, optimizer, steps=steps, batch_size=len(x), shuffle=False)
    samples = x.astype(np.float32), y[:, None].astype(np.float32)
    # Under lax.map, unlike vmap, random numbers in a loop compile fast.
    params = jax.jit(lambda keys, samples: jax.lax.map(lambda key: train(key, samples), keys))(keys, samples).params
    return np.asarray(params["dense"]["kernel"])[..., 0].astype(np.float64)
