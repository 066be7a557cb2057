"""The runs of the experiment ``noisescale``: a batch size at every rate and seed, and the noise on the way."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn


def interval_of(batch: int, points: int) -> int:
    """Steps from one point to the next: fewer with larger batches, which need fewer steps.

    >>> [interval_of(batch, 100) for batch in (4, 32, 512)]
    [20, 4, 2]
    """
    return round(max(2, 1.8 * (1 + 40 / batch)) * 100 / points)


def descents(
    objective: fnn.Objective, batch: int, digits: Any, starts: Any, rates: Any, shape: tuple[int, int]
) -> tuple[np.ndarray, Any]:
    """Losses of all digits (rates, seeds, points) and the parameters there; one program.

    ``starts``: the keys and parameters of every seed. ``shape``: points, and steps from one to the next. Every batch is
    drawn anew from all digits, with replacement.
    """
    images, labels = digits

    def one(start: Any, rate: jax.Array) -> Any:
        key, first = start

        def step(params: Any, key: jax.Array) -> tuple[Any, None]:
            rows = jax.random.randint(key, (batch,), 0, len(labels))
            _, grads = objective.value_and_grad(params, {}, (images[rows], labels[rows]), train=True)
            return jax.tree.map(lambda p, g: p - rate * g, params, grads), None

        def point(params: Any, keys: jax.Array) -> Any:
            params, _ = jax.lax.scan(step, params, keys)
            return params, (objective(params, {}, digits)[0], params)

        return jax.lax.scan(point, first, jax.random.split(key, shape))[1]

    losses, params = jax.jit(jax.vmap(jax.vmap(one, (0, None)), (None, 0)))(starts, rates)
    return np.asarray(losses), params


def steps_to(losses: np.ndarray, target: float, every: int) -> np.ndarray:
    """Steps until the loss is at most the target: of runs (…, points), infinite for those that do not get there.

    Between two points the logarithm of the loss is taken to be a straight line.

    >>> float(steps_to(np.array([1.0, 0.1]), 0.1**0.5, 10))
    15.0
    """
    losses = np.where(np.isfinite(losses), losses, np.inf)
    there = losses <= target
    first = there.argmax(-1)
    after = np.take_along_axis(losses, first[..., None], -1)[..., 0]
    before = np.take_along_axis(losses, np.maximum(first - 1, 0)[..., None], -1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.log(before / target) / np.log(before / after)
    part = np.where((first > 0) & np.isfinite(share), share, 1.0)
    return np.where(there.any(-1), every * (first + part), np.inf)


def noise_of(objective: fnn.Objective, digits: Any) -> Callable[[Any], np.ndarray]:
    """A program: ``(‖G‖², tr Σ)`` for many parameters, whose leaves have the axes (seeds, points, …)."""

    def one(params: Any) -> jax.Array:
        found = fnn.gradient_noise_scale(objective, params, {}, digits)
        return jnp.stack([found.signal, found.noise])

    program = jax.jit(lambda many: jax.lax.map(lambda run: jax.lax.map(one, run), many))
    return lambda many: np.moveaxis(np.asarray(program(many)), -1, 0)


def fitted(batches: Any, steps: Any) -> tuple[float, float]:
    """``(S_min, B)`` of S = S_min (1 + B / batch), which is (S / S_min − 1) (E / E_min − 1) = 1 with E_min = B S_min.

    By least squares of log S: S_min is the mean over the batch sizes at any B, which a search finds.

    >>> [round(each, 2) for each in fitted([4, 16, 64], [100 * (1 + 32 / batch) for batch in (4, 16, 64)])]
    [100.0, 32.0]
    """
    batches, steps = np.asarray(batches, np.float64), np.asarray(steps, np.float64)
    sizes = np.exp(np.linspace(np.log(0.01), np.log(1e5), 100_001))
    rest = np.log(steps)[:, None] - np.log1p(sizes / batches[:, None])
    place = rest.var(0).argmin()
    return float(np.exp(rest[:, place].mean())), float(sizes[place])
