"""Linear autoencoders of several code sizes and seeds in one program, and what their weights are compared by."""

import dataclasses
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn

SIZES, PIXELS = (2, 4, 8, 16), 64
"""The code sizes, and the pixels of a digit."""

LOSS = fnn.MeanSquaredError()


@dataclasses.dataclass(frozen=True)
class Kept(fnn.Layer):
    """The first ``size`` numbers of a code, and 0 for the others:  y = x ⊙ m,  dx = dy ⊙ m."""

    size: Any

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
        mask = (jnp.arange(x.shape[-1]) < self.size).astype(x.dtype)
        return x * mask, state, {"mask": mask}

    def backward(self, cache: Any, dy: jax.Array) -> tuple:
        return {}, dy * cache["mask"]


def each_size_and_seed(one: Any) -> Any:
    """``one(key, size, *data)`` compiled for all code sizes and keys; what it returns gets the axes (sizes, seeds)."""

    def every(keys: jax.Array, *samples: jax.Array) -> Any:
        of_each = jax.vmap(jax.vmap(lambda key, size: one(key, size, *samples), (0, None)), (None, 0))
        return of_each(keys, jnp.array(SIZES))

    return jax.jit(every)


def linear(x: np.ndarray, keys: jax.Array, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The encoders (sizes, seeds, pixels, code) and decoders (sizes, seeds, code, pixels), in float64."""

    def objective(size: jax.Array) -> fnn.Objective:
        encoder, decoder = (fnn.Dense(features, use_bias=False) for features in (max(SIZES), PIXELS))
        return fnn.Objective(fnn.Serial(encoder, Kept(size), decoder), LOSS)

    # For X = Q R, R has the same errors as X, in fewer rows; it is scaled so that their mean is the same, too.
    rows = np.linalg.qr(x)[1] * (PIXELS / len(x)) ** 0.5
    run = fnn.make_train(objective, fnn.optim.lbfgs(), steps=steps, batch_size=PIXELS, shuffle=False)
    with jax.enable_x64(True):
        every = each_size_and_seed(lambda key, size, x: run(key, (x, x), size).params)
        found = jax.tree.map(np.asarray, every(keys, rows))
    # The unused numbers of a code are 0: without their columns, the encoder times the decoder is the map.
    used = np.arange(max(SIZES)) < np.array(SIZES)[:, None, None, None]
    return found["dense_0"]["kernel"] * used, found["dense_1"]["kernel"]


def error(x: np.ndarray, linear_map: np.ndarray) -> float:
    """The mean squared difference of x and x M."""
    return float(np.square(x - x @ linear_map).mean())


def best_cosines(vectors: np.ndarray, components: np.ndarray) -> list[float]:
    """The largest |cosine| of each row with a row of ``components``, which have length 1."""
    return np.abs(vectors @ components.T / np.linalg.norm(vectors, axis=1)[:, None]).max(1).round(4).tolist()


def differences(*values: np.ndarray) -> list[list[float]]:
    """The relative difference of each of the values for every two seeds, which are on their first axis."""

    def apart(each: np.ndarray, i: int, j: int) -> float:
        return float(np.linalg.norm(each[i] - each[j]) / np.linalg.norm(each[i]))

    return [[apart(each, *pair) for each in values] for pair in combinations(range(len(values[0])), 2)]
