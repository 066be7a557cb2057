"""Every optimiser at many learning rates on the digits."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.optimisation.literal_right import rounded

Array = np.ndarray
DIGITS = fnn.Objective(fnn.Serial(fnn.Dense(32), fnn.Relu(), fnn.Dense(10)), fnn.CrossEntropy())
DIVERGED, LEARNED = 10.0, float(np.log(10)) / 4
"""What a larger loss, or none, is written as; and the loss that counts as learned, a quarter of that of guessing."""


def uncorrected(rate: Any, b1: float = 0.9, b2: float = 0.999) -> fnn.optim.Optimizer:
    """Adam without bias correction, by a schedule that undoes it: η (1 − b1ᵗ) / √(1 − b2ᵗ) at step t = 1, 2, …"""

    def scheduled(step: Any) -> Any:
        t = step + 1.0
        return rate * (1 - b1**t) / jnp.sqrt(1 - b2**t)

    return fnn.optim.adam(scheduled, b1=b1, b2=b2)


OPTIMIZERS: dict[str, Callable[[Any], fnn.optim.Optimizer]] = {
    "sgd": fnn.optim.sgd,
    "ema_momentum": fnn.optim.ema_momentum,
    "momentum": fnn.optim.momentum,
    "nesterov": fnn.optim.nesterov,
    "schedule_free_sgd": fnn.optim.schedule_free_sgd,
    "adagrad": fnn.optim.adagrad,
    "adadelta": fnn.optim.adadelta,
    "rmsprop": fnn.optim.rmsprop,
    "adam": fnn.optim.adam,
    "adam, uncorrected": uncorrected,
    "adamw": fnn.optim.adamw,
    "amsgrad": fnn.optim.amsgrad,
    "nadam": fnn.optim.nadam,
    "adamax": fnn.optim.adamax,
    "radam": fnn.optim.radam,
    "schedule_free_adamw": fnn.optim.schedule_free_adamw,
    "lion": fnn.optim.lion,
    "lamb": fnn.optim.lamb,
    "adafactor": fnn.optim.adafactor,
    "muon": fnn.optim.muon,
}
"""All of ``fnn.optim`` that take a learning rate; L-BFGS finds its steps by a line search."""


def networks(seed: int, seeds: int) -> Any:
    """Parameters of ``DIGITS`` for every seed, on the first axis: kernels of N(0, 2/inputs), biases 0."""
    random, sizes = [np.random.default_rng(seed + i) for i in range(seeds)], {"dense_0": (64, 32), "dense_1": (32, 10)}
    # Drawn by NumPy, because a program that draws them takes longer to compile than one that trains them.
    return {
        name: {
            "kernel": np.stack([r.normal(size=size) * np.sqrt(2 / size[0]) for r in random]).astype(np.float32),
            "bias": np.zeros((seeds, size[1]), np.float32),
        }
        for name, size in sizes.items()
    }


AVERAGED = (fnn.optim.schedule_free_sgd, fnn.optim.schedule_free_adamw)
"""Those whose result is an average of the parameters that training changes."""


def swept(make: Callable, rates: Array, data: tuple, starts: Any, batches: Array) -> dict[str, list]:
    """By rate and seed the loss on all samples at the end, and by seed that of each pass at the best rate; one program.

    ``starts``: the parameters of every seed. ``batches``: their rows (seeds, passes, updates, samples).
    """

    def one(params: Any, batches: jax.Array, data: tuple, rate: jax.Array) -> tuple[jax.Array, jax.Array]:
        optimizer = make(rate)

        def step(carry: tuple, rows: jax.Array) -> tuple:
            params, state = carry
            (value, _), grads = DIGITS.value_and_grad(params, {}, tuple(part[rows] for part in data))
            updates, state = optimizer.update(grads, state, params)
            return (fnn.optim.apply_updates(params, updates), state), value

        passes = batches.reshape(-1, batches.shape[-1])
        # Every optimiser gets the same starts and batches, which make_train would draw inside each program.
        (params, state), losses = jax.lax.scan(step, (params, optimizer.init(params)), passes)
        if make in AVERAGED:
            params = fnn.optim.schedule_free_eval_params(state, params)
        return DIGITS(params, {}, data)[0], losses.reshape(batches.shape[:2]).mean(1)

    every = jax.jit(jax.vmap(jax.vmap(one, (0, 0, None, None)), (None, None, None, 0)))
    last, history = every(starts, batches, data, jnp.asarray(rates, jnp.float32))
    return {"last": capped(last), "history": capped(history[best(capped(last))])}


def capped(losses: Any) -> list:
    """Losses, with ``DIVERGED`` for all that are larger or not numbers."""
    return rounded(np.minimum(np.nan_to_num(np.asarray(losses, np.float64), nan=DIVERGED), DIVERGED))


def usable(losses: Any, spacing: float) -> Array:
    """In every seed, the widest run of neighbouring rates (rates, seeds) with a loss of at most ``LEARNED``.

    In decades, with the rates ``spacing`` decades apart; a single rate spans none, and neither does no rate.
    """
    longest = current = np.zeros(np.shape(losses)[1], int)
    for row in np.asarray(losses) <= LEARNED:
        current = np.where(row, current + 1, 0)
        longest = np.maximum(longest, current)
    return np.maximum(longest - 1, 0) * spacing


def best(losses: Any) -> int:
    """The place of the rate with the lowest mean loss over the seeds (rates, seeds)."""
    return int(np.mean(losses, axis=1).argmin())
