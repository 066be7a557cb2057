"""The training of self-organising maps, and the measures of their errors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

RATES = 0.5, 0.02
"""The first and the last learning rate η."""


def places(side: int) -> np.ndarray:
    """The rows and columns (side², 2) of the units on the grid."""
    return np.stack(np.divmod(np.arange(side**2), side), 1).astype(np.float32)


def neighbourhood(distances: Any, radius: Any) -> jax.Array:
    """exp(−d² / 2r²) for distances on the grid; for radius 0 it is 1 at distance 0, and 0 elsewhere."""
    safe: Any = jnp.where(radius > 0, radius, 1)
    near: Any = jnp.where(radius > 0, jnp.exp(-(distances**2) / (2 * safe**2)), distances == 0)
    return near


def moved(units: jax.Array, x: jax.Array, grid: Any, radius: Any, rate: Any) -> jax.Array:
    """The units (K, D) after the sample x (D,):  w ← w + η h (x − w)."""
    winner = jnp.square(units - x).sum(1).argmin()
    near = neighbourhood(jnp.sqrt(jnp.square(grid - grid[winner]).sum(1)), radius)
    return units + rate * near[:, None] * (x - units)


def trained(key: jax.Array, radii: jax.Array, x: jax.Array, grid: jax.Array, steps: int) -> jax.Array:
    """The units after ``steps`` samples, with the first and the last radius given."""
    start, order = jax.random.split(key)
    units = x[jax.random.choice(start, len(x), (len(grid),), replace=False)]

    def step(units: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        index, done = now
        shrunk = jnp.where(radii[0] > 0, radii[0] * (radii[1] / jnp.maximum(radii[0], 1e-9)) ** done, 0)
        return moved(units, x[index], grid, shrunk, RATES[0] * (RATES[1] / RATES[0]) ** done), None

    indices = jax.random.randint(order, (steps,), 0, len(x))
    return jax.lax.scan(step, units, (indices, jnp.linspace(0, 1, steps)))[0]


def quantisation(x: np.ndarray, units: np.ndarray) -> float:
    """The mean squared distance of a sample to its nearest unit."""
    return float(cdist(x, units, "sqeuclidean").min(1).mean())


def likeness(units: np.ndarray, grid: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """The mean distance between the weights of neighbours on the grid, over that between any two units.

    One number for each order (M, K) in which the units are put on the grid.
    """
    apart, count = cdist(units, units), len(units)
    one, other = np.nonzero(np.triu(cdist(grid, grid) == 1))
    return apart[orders[:, one], orders[:, other]].mean(1) / (apart.sum() / (count * (count - 1)))


def topographic_error(x: np.ndarray, units: np.ndarray, grid: np.ndarray) -> float:
    """The share of samples whose two nearest units are more than a step, straight or diagonal, apart on the grid."""
    first, second = cdist(x, units).argsort(1)[:, :2].T
    return float((np.abs(grid[first] - grid[second]).max(1) > 1).mean())


def update_error(x: np.ndarray, seed: int) -> float:
    """The largest relative difference of the update from −η times the gradient, for one sample of x."""
    with jax.enable_x64(True):
        wide, grid = jnp.asarray(x[: 1 + 5**2], jnp.float64), jnp.asarray(places(5), jnp.float64)
        units, sample, radius, rate = wide[1:], wide[0], 1.5, 0.3
        winner = jnp.square(units - sample).sum(1).argmin()
        near = neighbourhood(jnp.sqrt(jnp.square(grid - grid[winner]).sum(1)), radius)
        slope = jax.grad(lambda units: (near * jnp.square(sample - units).sum(1)).sum() / 2)(units)
        step = moved(units, sample, grid, radius, rate) - units
        return float(jnp.abs(step + rate * slope).max() / jnp.abs(step).max())
