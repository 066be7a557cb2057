"""What single optimisers do to their steps, on a linear neuron: Adam, Nesterov, RMSProp and AdaGrad."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.optimisation.descent_runs import line
from experiments.optimisation.literal_right import LINEAR, rounded


def plain_adam(g: Any, m: Any, v: Any) -> tuple[Any, Any, Any]:
    """m ← 0.9 m + 0.1 g, v ← 0.999 v + 0.001 g², and m / (√v + 1e-8): nothing is corrected."""
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    return m / (jnp.sqrt(v) + 1e-8), m, v


Array = np.ndarray


def summary(values: Any) -> dict[str, list]:
    """Of values by seed and step: quantiles at some of the steps, which are counted from 1, and means of each seed.

    ``first`` and ``last`` are the means over the first and the last tenth of the steps.
    """
    values = np.asarray(values)
    tenth, places = values.shape[1] // 10, np.unique(np.geomspace(1, values.shape[1], 80).astype(int))
    low, median, high = (rounded(each) for each in np.quantile(values[:, places - 1], [0, 0.5, 1], axis=0))
    means = {"first": rounded(values[:, :tenth].mean(1)), "last": rounded(values[:, -tenth:].mean(1))}
    return {"steps": places.tolist(), "low": low, "median": median, "high": high, **means}


def lengths(seed: int, seeds: int, steps: int) -> Array:
    """Along Adam's path (seeds, steps): the length of the step without bias correction over that with it."""
    optimizer, zero = fnn.optim.adam(0.01), jnp.zeros((2, 1))
    data = [line(seed + i, 60) for i in range(seeds)]

    @jax.jit
    @jax.vmap
    def ratios(x: jax.Array, y: jax.Array) -> jax.Array:
        def step(carry: tuple, _: None) -> tuple:
            params, state, m, v = carry
            grads = LINEAR.value_and_grad(params, {}, (x, y))[1]
            plain, m, v = plain_adam(grads["kernel"], m, v)
            updates, state = optimizer.update(grads, state, params)
            ratio = 0.01 * jnp.linalg.norm(plain) / jnp.linalg.norm(updates["kernel"])
            return (fnn.optim.apply_updates(params, updates), state, m, v), ratio

        params = {"kernel": zero}
        return jax.lax.scan(step, (params, optimizer.init(params), zero, zero), length=steps)[1]

    return np.asarray(ratios(*(jnp.asarray(np.stack(each), jnp.float32) for each in zip(*data, strict=True))))


def look_ahead(x: jax.Array, y: jax.Array, rates: jax.Array, beta: float) -> jax.Array:
    """The notes' Nesterov with the rate inside: V ← βV + η ∇L(W − βV), W ← W − V. Returns W − βV at the end."""

    def step(carry: tuple, rate: jax.Array) -> tuple:
        w, v = carry
        v = beta * v + rate * 2 * x.T @ (x @ (w - beta * v) - y) / len(y)
        return (w - v, v), None

    (w, v), _ = jax.lax.scan(step, (jnp.zeros((2, 1)), jnp.zeros((2, 1))), rates)
    return w - beta * v


def nesterov_apart(seed: int, seeds: int, steps: int) -> dict[str, list]:
    """How far fnn's Nesterov, and the same with the rate inside, end from ``look_ahead``, relatively, by seed.

    By the schedule: at 0.02, and from 0.02 down to a hundredth.
    """
    data = [line(seed + i, 60) for i in range(seeds)]
    schedules = {"constant": fnn.optim.constant(0.02), "decaying": fnn.optim.exponential(0.02, 0.01, steps)}

    @jax.jit
    @jax.vmap
    def apart(x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        found = {}
        for name, schedule in schedules.items():
            inside = fnn.optim.scale_by_learning_rate(schedule), fnn.optim.accumulate_velocity(0.9, nesterov=True)
            notes = look_ahead(x, y, jax.vmap(schedule)(jnp.arange(steps)), 0.9)
            ends = [path(each, x, y, steps)[0] for each in (fnn.optim.nesterov(schedule), fnn.optim.chain(*inside))]
            found[name] = jnp.stack([jnp.linalg.norm(end - notes) / jnp.linalg.norm(notes) for end in ends])
        return found

    with jax.enable_x64(True):
        found = apart(*(np.stack(each) for each in zip(*data, strict=True)))
        return {name: rounded(each) for name, each in found.items()}


def path(optimizer: fnn.optim.Optimizer, x: jax.Array, y: jax.Array, steps: int) -> tuple[jax.Array, jax.Array]:
    """From zero weights: where it ends, and after every step the effective rate, the median of |step / gradient|."""

    def step(carry: tuple, _: None) -> tuple:
        params, state = carry
        grads = LINEAR.value_and_grad(params, {}, (x, y))[1]
        updates, state = optimizer.update(grads, state, params)
        effective = jnp.median(jnp.abs(updates["kernel"] / grads["kernel"]))
        return (fnn.optim.apply_updates(params, updates), state), effective

    # make_train does not tell the steps; this is as long as it takes to see them.
    params = {"kernel": jnp.zeros((x.shape[1], 1), x.dtype)}
    (params, _), effective = jax.lax.scan(step, (params, optimizer.init(params)), length=steps)
    return params["kernel"], effective


def effective_rates(seed: int, seeds: int, steps: int) -> dict[str, Array]:
    """The effective rate (seeds, steps) on a neuron's loss, over the edge 2/λ beyond which plain descent diverges."""
    data = [line(seed + i, 60) for i in range(seeds)]
    x, y = (np.stack(each) for each in zip(*data, strict=True))
    edge = 2 / np.linalg.eigvalsh(2 * np.swapaxes(x, 1, 2) @ x / 60)[:, -1]
    makers = {"sgd": fnn.optim.sgd(0.01), "AdaGrad": fnn.optim.adagrad(0.1), "RMSProp": fnn.optim.rmsprop(0.01)}

    @jax.jit
    @jax.vmap
    def effective(x: jax.Array, y: jax.Array) -> dict[str, jax.Array]:
        return {name: path(optimizer, x, y, steps)[1] for name, optimizer in makers.items()}

    with jax.enable_x64(True):
        found = effective(x, y)
    return {name: np.asarray(found[name]) / edge[:, None] for name in makers}
