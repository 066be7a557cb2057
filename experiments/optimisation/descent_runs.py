"""What the experiment on gradient descent runs: paths, estimates of the gradient, rates at the edge, escapes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.optimisation.literal_right import LINEAR, rounded, shuffled
from fnn.layer import Params

Array = np.ndarray
NETWORK = fnn.Objective(fnn.Serial(fnn.Dense(8), fnn.Tanh(), fnn.Dense(1)), fnn.MeanSquaredError())
TARGET = 0.05
"""The excess loss, over that of the first weights, that counts as reached."""


def line(seed: int, count: int) -> tuple[Array, Array]:
    """x (count, 2), the second column half as wide as the first, and y (count, 1) of weights (1.5, −1) and noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2)) * [1, 0.5]
    return x, x @ [[1.5], [-1.0]] + 0.3 * random.normal(size=(count, 1))


def path(x: jax.Array, y: jax.Array, batches: jax.Array, start: jax.Array, rate: float) -> tuple[jax.Array, jax.Array]:
    """The weights (updates, 2) of descent over batches of rows, and the loss on all samples after every update."""
    optimizer = fnn.optim.sgd(rate)

    def step(carry: tuple, rows: jax.Array) -> tuple:
        params, state = carry
        updates, state = optimizer.update(LINEAR.value_and_grad(params, {}, (x[rows], y[rows]))[1], state, params)
        params = fnn.optim.apply_updates(params, updates)
        return (params, state), (params["kernel"][:, 0], LINEAR(params, {}, (x, y))[0])

    # make_train would return the last weights only, and draw batches of its own.
    params = {"kernel": start}
    return jax.lax.scan(step, (params, optimizer.init(params)), batches)[1]


def paths(seed: int, seeds: int, *, size: int, samples: int, passes: int, rate: float) -> dict[str, Any]:
    """Of descent in batches of that size: the first seed's path, and in all seeds how the loss falls.

    ``rises``: the updates, in each seed, that raise the loss on all samples. ``cost``: the gradients of single samples
    computed until the excess is at most ``TARGET``, −1 if never. ``excess``: quantiles after each pass.
    """
    data = [line(seed + i, samples) for i in range(seeds)]
    x, y = (np.stack(each).astype(np.float32) for each in zip(*data, strict=True))
    batches = np.stack([shuffled(seed + i, samples, size, passes * samples // size) for i in range(seeds)])
    start = np.array([[-1.0], [1.0]], np.float32)
    run = jax.jit(jax.vmap(path, (0, 0, 0, None, None)))
    weights, losses = (np.asarray(each, np.float64) for each in run(x, y, batches, start, rate))
    least = np.array([np.mean(np.square(x @ np.linalg.lstsq(x, y)[0] - y)) for x, y in data])
    first = np.square(x @ start - y).mean((1, 2))
    losses = np.concatenate([first[:, None], losses], 1)
    excess = (losses - least[:, None]) / (first - least)[:, None]
    reached = excess <= TARGET
    by_pass = excess[:, :: samples // size]
    return {
        "path": rounded(np.concatenate([start.T, weights[0]])[: 3 * samples + 1]),
        "rises": (np.diff(losses, axis=1) > 1e-6 * losses[:, :-1]).sum(1).tolist(),
        "updates": losses.shape[1] - 1,
        "cost": np.where(reached.any(1), reached.argmax(1) * size, -1).tolist(),
        "excess": rounded(np.quantile(by_pass, [0, 0.5, 1], axis=0)),
    }


def single_gradients(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    """The gradient of every sample alone (N, P)."""

    def one(x: jax.Array, y: jax.Array) -> jax.Array:
        return flat(NETWORK.value_and_grad(params, {}, (x[None], y[None]))[1])

    return jax.vmap(one)(x, y)


def flat(grads: Params) -> jax.Array:
    """All entries in one row."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])


def estimates(seed: int, sizes: tuple[int, ...], draws: int) -> dict[str, Any]:
    """Of one network: how far the mean of all single gradients is from the full one, and the estimates' variance.

    Everything is relative to the norm of the full gradient. ``means``: the distance of the mean of 1, 2, 4, … estimates
    from one random sample each. ``variance``: the trace of their covariance about the full gradient, by batch size.
    """
    params, x, y, random = *network(seed), np.random.default_rng(seed)
    with jax.enable_x64(True):
        params, x, y = jax.tree.map(jnp.asarray, (params, x, y))
        full = np.asarray(flat(jax.jit(NETWORK.value_and_grad)(params, {}, (x, y))[1]))
        single = np.asarray(jax.jit(single_gradients)(params, x, y))
    norm, variance = np.linalg.norm(full), []
    for size in sizes:
        # With replacement: without, the variance would fall faster, to 0 at all of the samples.
        drawn = single[random.integers(len(x), size=(draws, size))].mean(1)
        variance.append(np.square(drawn - full).sum(1).mean() / norm**2)
    alone = single[random.integers(len(x), size=draws)]
    counts = 2 ** np.arange(int(np.log2(draws)) + 1)
    return {
        "bias": float(np.linalg.norm(single.mean(0) - full) / norm),
        "variance": rounded(np.array(variance)),
        "counts": counts.tolist(),
        "means": rounded(np.array([np.linalg.norm(alone[:n].mean(0) - full) for n in counts]) / norm),
    }


def network(seed: int) -> tuple[Params, Array, Array]:
    """Weights of N(0, 1) of a network 3-8-1, and 256 samples of a noisy function."""
    random, sizes = np.random.default_rng(seed), (("dense_0", 3, 8), ("dense_1", 8, 1))
    params = {n: {"kernel": random.normal(size=(i, o)), "bias": random.normal(size=o)} for n, i, o in sizes}
    x = random.normal(size=(256, 3))
    return params, x, np.sin(x.sum(1, keepdims=True)) + 0.3 * random.normal(size=(256, 1))


def slope(sizes: tuple[int, ...], variance: Any) -> float:
    """The exponent s of variance ∝ sizeˢ, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(variance), 1)[0])


def edges(seed: int, seeds: int, shares: Array, steps: int) -> list[list[float]]:
    """log₁₀ of the excess loss at the end over that at the start (seeds, rates), within ±100.

    Rates are ``shares`` of 2/λ, where λ is the largest eigenvalue of the Hessian of that seed's quadratic.
    """
    data = [line(seed + i, 60) for i in range(seeds)]
    options: dict[str, Any] = {"steps": steps, "batch_size": 60, "shuffle": False}
    run = fnn.make_train(LINEAR, fnn.optim.sgd, **options)

    def trained(x: jax.Array, y: jax.Array, rate: jax.Array) -> jax.Array:
        return run(jax.random.key(seed), (x, y), rate).params["kernel"]

    with jax.enable_x64(True):
        x, y = (np.stack(each) for each in zip(*data, strict=True))
        largest = np.linalg.eigvalsh(2 * np.swapaxes(x, 1, 2) @ x / 60)[:, -1]
        rates = shares * 2 / largest[:, None]
        every = jax.jit(jax.vmap(jax.vmap(trained, (None, None, 0))))
        found = np.asarray(every(x, y, rates))[..., 0]
        start = np.asarray(LINEAR.init(jax.random.key(seed), x[0])[0]["kernel"])[:, 0]
    best = np.stack([np.linalg.lstsq(*each)[0][:, 0] for each in data])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        # The excess of a quadratic is ‖X (w − w*)‖² / N; beyond float64 it is not finite, and has diverged.
        ends, starts = (
            np.square(np.einsum("snd,s...d->s...n", x, w - best.reshape(len(best), *[1] * (w.ndim - 2), 2))).sum(-1)
            for w in (found, np.broadcast_to(start, best.shape))
        )
        logs = np.log10(ends / starts[:, None])
    return rounded(np.clip(np.nan_to_num(logs, nan=100.0), -100, 100))


def slope_of_well(w: Any) -> Any:
    """The slope of the double well f(w) = w⁴/4 − w²/2 + w/10; its minima are near 0.95 and, deeper, −1.05."""
    return w**3 - w + 0.1


def escapes(betas: tuple[float, ...], noise: Array, starts: Array, rate: float) -> dict[str, list[float]]:
    """By form of momentum and β: the share of starts (M,) that reach w < −0.5 with this noise (steps, M) on the slope.

    "velocity": v ← β v + g; "mean": v ← β v + (1 − β) g, the notes' form.
    """
    forms = {
        "velocity": lambda beta: fnn.optim.sgd(rate, momentum=beta),
        "mean": lambda beta: fnn.optim.ema_momentum(rate, beta),
    }

    def share(form: str, beta: jax.Array, noise: jax.Array, starts: jax.Array) -> jax.Array:
        optimizer = forms[form](beta)

        def step(carry: tuple, noise: jax.Array) -> tuple:
            w, state, escaped = carry
            updates, state = optimizer.update(slope_of_well(w) + noise, state, w)
            w = fnn.optim.apply_updates(w, updates)
            return (w, state, escaped | (w < -0.5)), None

        return jax.lax.scan(step, (starts, optimizer.init(starts), starts < -0.5), noise)[0][2].mean()

    def run(betas: jax.Array, noise: jax.Array, starts: jax.Array) -> dict[str, jax.Array]:
        return {form: jax.vmap(lambda beta, form=form: share(form, beta, noise, starts))(betas) for form in forms}

    found = jax.jit(run)(jnp.array(betas), jnp.asarray(noise, jnp.float32), jnp.asarray(starts, jnp.float32))
    return {form: np.asarray(each).tolist() for form, each in found.items()}
