"""The three series, their windows, and the forecasts: naive, by ridge regression, and by two networks."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.linear.ridge_regression import ridge

LAGS, HORIZONS = 32, (1, 5, 20)
"""The values that a forecast sees, and the steps that it looks ahead."""

BATCH = 64
"""Windows in a step of training."""

PENALTIES = 10.0 ** np.arange(-6, 3)
"""The strengths of which ridge regression has its best, for every horizon."""

NETWORKS: dict[str, fnn.Layer] = {
    "LSTM": fnn.Serial(fnn.LSTM(16, return_sequences=False), fnn.Dense(len(HORIZONS))),
    "feed-forward": fnn.Serial(fnn.Flatten(), fnn.Dense(33), fnn.Tanh(), fnn.Dense(len(HORIZONS))),
}


class Part(NamedTuple):
    """Windows (N, LAGS) of what a forecast sees, the changes (N, horizons) to foretell, and those that a naive forecast
    foretells, both over ``scale`` (horizons,); ``last`` (N,) are the values from which they count."""

    seen: np.ndarray
    changes: np.ndarray
    naive: np.ndarray
    last: np.ndarray
    scale: np.ndarray


class Task(NamedTuple):
    """The ``values`` of a series; what a forecast ``sees`` at each step; its season in steps, or 0 for a drift."""

    values: np.ndarray
    sees: np.ndarray
    season: int


def tasks() -> dict[str, Task]:
    """The series by name; the season of the membrane is found in its training part."""
    membrane = data.load_membrane().values[1000:11_000:2]
    volume, price = (np.log(data.load_google(column).values) for column in ("volume", "adj_close"))
    return {
        "membrane": Task(membrane, membrane, season_of(membrane[: ends(membrane)[0]])),
        "volume": Task(volume, volume, 5),
        "price": Task(price, np.diff(price, prepend=price[0]), 0),
    }


def ends(values: np.ndarray) -> tuple[int, int, int]:
    """Where training, validation and test parts end, in this order in time: 60, 20 and 20 %."""
    return int(0.6 * len(values)), int(0.8 * len(values)), len(values)


def season_of(values: np.ndarray) -> int:
    """The shift from 21 to 300 steps at which the series is most like itself."""
    centred = values - values.mean()
    shifts = range(21, 301)
    return shifts[int(np.argmax([(centred[:-k] * centred[k:]).mean() for k in shifts]))]


def parts_of(task: Task) -> tuple[Part, Part, Part]:
    """Training, validation and test; the values to foretell lie in the part, and what is seen may lie before it.

    What is seen has mean 0 and variance 1 over the training part, and changes are over their root mean square there.
    """
    train, _, _ = stops = ends(task.values)
    seen = data.standardized(task.sees, task.sees[:train])
    drift = float(np.diff(task.values[:train]).mean())
    parts: list[Part] = []
    for start, stop in zip((0, *stops), stops, strict=False):
        # The first test value is foretold by what was seen until the step before it.
        now = np.arange(max(start, LAGS) - 1, stop - max(HORIZONS))
        ahead = now[:, None] + np.array(HORIZONS)
        last = task.values[now]
        naive = np.broadcast_to(drift * np.array(HORIZONS), ahead.shape)
        if task.season:
            # As many seasons before as are needed for a value that is already known.
            before = task.season * -(-np.array(HORIZONS) // task.season)
            naive = task.values[np.maximum(ahead - before, 0)] - last[:, None]
        windows, changes = seen[now[:, None] + np.arange(1 - LAGS, 1)], task.values[ahead] - last[:, None]
        scale = parts[0].scale if parts else np.sqrt(np.square(changes).mean(0))
        parts.append(Part(windows, changes / scale, naive / scale, last, scale))
    return parts[0], parts[1], parts[2]


def ridge_forecasts(train: Part, validation: Part, test: Part) -> tuple[np.ndarray, list[float]]:
    """The test forecasts of ridge regression on the lags, and the strength of each horizon with the least validation
    error: w minimises mean (y − x·w − b)² + strength |w|²."""
    x, y = (each.astype(np.float64) for each in (train.seen, train.changes))
    centred, forecasts, chosen = x - x.mean(0), [], []
    for k in range(len(HORIZONS)):
        weights = [ridge(centred, y[:, k], len(x) * each) for each in PENALTIES]
        # (strengths, N)
        fitted = [weights @ (part.seen - x.mean(0)).T + y[:, k].mean() for part in (validation, test)]
        best = int(np.square(fitted[0] - validation.changes[:, k]).mean(1).argmin())
        forecasts.append(fitted[1][best])
        chosen.append(float(PENALTIES[best]))
    return np.stack(forecasts, -1), chosen


def forecasts(model: fnn.Layer, rates: tuple[float, ...], seeds: range, epochs: int, tasks: list) -> tuple:
    """Trains the model for every task (of three parts), rate and seed in one program.

    Returns the forecasts (tasks, rates, seeds, N, horizons) of the test parts after the epoch with the least validation
    error, and the validation errors (tasks, rates, seeds, epochs). The parts of a shorter series are repeated, so that
    an epoch has as many steps for all; what is repeated has no weight in the validation error.
    """
    train, validation, test = (
        [repeated([part.seen[..., None], part.changes], size) for part in parts]
        for parts, size in zip(zip(*tasks, strict=True), sizes(tasks), strict=True)
    )
    held = [len(parts[1].seen) for parts in tasks]
    weights = np.stack([(np.arange(len(validation[0][0])) < count) / count for count in held]).astype(np.float32)
    stacked = [jax.tree.map(lambda *each: np.stack(each), *parts) for parts in (train, validation, test)]
    count = len(train[0][0])
    orders = [np.random.default_rng(seed).permuted(np.tile(np.arange(count), (epochs, 1)), axis=1) for seed in seeds]
    orders = np.stack(orders).reshape(len(seeds), epochs, -1, BATCH)
    run = jax.vmap(run_of(model), in_axes=(None, None, 0, 0))
    run = jax.vmap(run, in_axes=(None, 0, None, None))
    run = jax.jit(jax.vmap(run, in_axes=(0, None, None, None)))
    keys = jax.vmap(jax.random.key)(jnp.array(seeds))
    foretold, errors = run((*stacked, weights), jnp.array(rates), keys, orders)
    return np.asarray(foretold, np.float64), np.asarray(errors, np.float64)


def run_of(model: fnn.Layer) -> Callable[..., tuple]:
    """A run: Adam from new weights; the test forecasts of the epoch with the least validation error, and all errors."""
    objective = fnn.Objective(model, fnn.MeanSquaredError())

    def run(parts: tuple, rate: jax.Array, key: jax.Array, orders: jax.Array) -> tuple:
        train, (x, y), test, weights = parts
        optimizer, (params, state) = fnn.optim.adam(rate), objective.init(key, train[0][:1])
        seen = jnp.concatenate([x, test[0]])

        def step(carry: tuple, rows: jax.Array) -> tuple[tuple, None]:
            params, optimizing = carry
            _, gradients = objective.value_and_grad(params, state, (train[0][rows], train[1][rows]))
            updates, optimizing = optimizer.update(gradients, optimizing, params)
            return (fnn.optim.apply_updates(params, updates), optimizing), None

        def epoch(carry: tuple, rows: jax.Array) -> tuple[tuple, jax.Array]:
            learned, best = carry
            learned, _ = jax.lax.scan(step, learned, rows)
            foretold, _ = model.apply(learned[0], state, seen)
            error = weights @ jnp.square(foretold[: len(y)] - y).mean(-1)
            better = error < best[0]
            # Not the parameters but their forecasts are kept, so that the network is compiled once less.
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), (error, foretold[len(y) :]), best)
            return (learned, best), error

        start = (params, optimizer.init(params)), (jnp.inf, jnp.zeros_like(test[1]))
        (_, (_, foretold)), errors = jax.lax.scan(epoch, start, orders)
        return foretold, errors

    return run


def repeated(arrays: list[np.ndarray], size: int) -> tuple[np.ndarray, ...]:
    """As many samples, from the first again after the last, in float32."""
    return tuple(each[np.arange(size) % len(each)].astype(np.float32) for each in arrays)


def sizes(tasks: list) -> tuple[int, ...]:
    """The samples of each part of the longest series; the training part is cut to whole batches."""
    train, *others = (max(len(part.seen) for part in parts) for parts in zip(*tasks, strict=True))
    return (train // BATCH * BATCH, *others)
