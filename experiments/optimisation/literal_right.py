"""The same algorithms with fnn, and how far the printed ones are from them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

import fnn
from experiments.optimisation import literal_listings as printed
from experiments.optimisation.literal_listings import Array

RIGHT = 1e-6
"""How far a value in float32 may be from the exact one, relatively, or absolutely where that is below 1."""

LOGITS = np.concatenate([np.arange(0, 200, 0.25), np.geomspace(200, 1e6, 50)]).astype(np.float32)
"""The sizes of the logits on which the formulas are tried, with both signs."""

NETWORK = fnn.Objective(fnn.Serial(fnn.Dense(8), fnn.Sigmoid(), fnn.Dense(2), fnn.Sigmoid()), fnn.MeanSquaredError())
LINEAR = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())


def samples(seed: int, count: int) -> tuple[Array, Array]:
    """x (count, 3) of N(0, 1), and y = x w + 0.1 noise with w of N(0, 1)."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 3))
    return x, x @ random.normal(size=3) + 0.1 * random.normal(size=count)


def shuffled(seed: int, samples: int, size: int, updates: int) -> Array:
    """Rows of the samples for every update (updates, size): all of them in a new order for every epoch."""
    random, epochs = np.random.default_rng(seed), -(-updates * size // samples)
    rows = np.concatenate([random.permutation(samples) for _ in range(epochs)])
    return rows[: updates * size].reshape(updates, size)


def descent(x: jax.Array, y: jax.Array, batches: jax.Array, rate: float) -> jax.Array:
    """What ``listing`` returns, with the gradient and the update of fnn: w ← w − α ∂L/∂w."""
    optimizer, params = fnn.optim.sgd(rate), {"kernel": jnp.zeros((x.shape[1], 1), x.dtype)}

    def step(carry: tuple, rows: jax.Array) -> tuple:
        params, state = carry
        grads = LINEAR.value_and_grad(params, {}, (x[rows], y[rows]))[1]
        updates, state = optimizer.update(grads, state, params)
        params = fnn.optim.apply_updates(params, updates)
        return (params, state), LINEAR(params, {}, (x, y))[0]

    # The printed listing's own batches, which make_train would draw anew.
    return jax.lax.scan(step, (params, optimizer.init(params)), batches)[1]


def signs(drawn: list, seed: int, size: int, rate: float, updates: int) -> dict[str, dict[str, list]]:
    """The loss over that of zero weights: low, median and high after each update, and the last of every seed."""
    batches = [shuffled(seed + i, len(y), size, updates) for i, (_, y) in enumerate(drawn)]
    losses = {
        name: np.array([printed.listing(x, y, rows, rate, rule) for (x, y), rows in zip(drawn, batches, strict=True)])
        for name, rule in (("printed", printed.gradient), ("δ", printed.delta_rule))
    }
    x, y = (np.stack(each).astype(np.float32) for each in zip(*drawn, strict=True))
    run = jax.jit(jax.vmap(descent, (0, 0, 0, None)))
    losses["fnn"] = np.asarray(run(x, y[..., None], np.stack(batches), rate))
    start, found = np.array([np.mean(y**2) for _, y in drawn]), {}
    for name, each in losses.items():
        each = each / start[:, None]
        quantiles = {"low": 0.0, "median": 0.5, "high": 1.0}
        found[name] = {word: rounded(np.quantile(each, share, axis=0)) for word, share in quantiles.items()}
        found[name]["last"] = rounded(each[:, -1])
    return found


def random_network(seed: int) -> tuple[dict, tuple[Array, Array]]:
    """Weights of N(0, 1) for ``NETWORK``, and 20 samples: inputs of N(0, 1), targets from 0 to 1."""
    random, sizes = np.random.default_rng(seed), (("dense_0", 4, 8), ("dense_1", 8, 2))
    params = {n: {"kernel": random.normal(size=(i, o)), "bias": random.normal(size=o)} for n, i, o in sizes}
    return params, (random.normal(size=(20, 4)), random.uniform(size=(20, 2)))


def both_orders(params: dict, batch: tuple, rate: jax.Array, steps: int) -> dict[str, jax.Array]:
    """From one network: the direction of its hidden kernel against the gradient, and the losses after training.

    ``off`` = ‖d − ∇‖ / ‖∇‖ and ``cosine`` are those of the first step, ``losses`` are (printed, by the gradient).
    """
    optimizer, norm, (x, y) = fnn.optim.sgd(rate), jnp.linalg.norm, batch

    def step(pair: tuple, _: None) -> tuple:
        grads = NETWORK.value_and_grad(pair[1], {}, batch)[1]
        updates = optimizer.update(grads, optimizer.init(pair[1]), pair[1])[0]
        moved = printed.updated_first(pair[0], x, y, rate), fnn.optim.apply_updates(pair[1], updates)
        before, after = ([each["dense_0"]["kernel"] for each in either] for either in (pair, moved))
        return moved, [(w - new).ravel() / rate for w, new in zip(before, after, strict=True)]

    trained, directions = jax.lax.scan(step, (params, params), length=steps)
    # The two are at the same weights only before the first step.
    d, g = (each[0] for each in directions)
    losses = jnp.stack([NETWORK(each, {}, batch)[0] for each in trained])
    return {"off": norm(d - g) / norm(g), "cosine": d @ g / norm(d) / norm(g), "losses": losses}


def reach(formula: Callable[[Array], Array], exact: Callable[[Array], Array]) -> dict[str, float]:
    """The largest logit of either sign up to which a formula is right in float32, and the first NaN or infinity."""
    z = np.stack([LOGITS, -LOGITS])
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        found, true = np.asarray(formula(z)).astype(np.float64), exact(z.astype(np.float64))
        finite = np.isfinite(found).all(0)
        right = finite & (np.abs(found - true) <= RIGHT * np.maximum(np.abs(true), 1)).all(0)
    bad = {"right up to": ~right, "finite up to": ~finite}
    # The last one before the first that fails; the first of all, 0, never does, or there is no reach.
    return {name: float(LOGITS[each.argmax() - 1]) if each.any() else float(LOGITS[-1]) for name, each in bad.items()}


def two_logits(z: Array) -> jax.Array:
    return jnp.stack([jnp.asarray(z), jnp.zeros(z.shape, jnp.float32)], -1)


def each_loss(loss: Any, prediction: jax.Array, label: Any) -> jax.Array:
    """The loss of every logit alone; fnn's losses are means."""
    return jax.vmap(jax.vmap(lambda one: loss(one[None], jnp.asarray([label]))))(prediction)


FORMULAS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Any]]] = {
    "softmax": (expit, lambda z: fnn.Softmax().apply({}, {}, two_logits(z))[0][..., 0]),
    "sigmoid": (expit, lambda z: fnn.Sigmoid()(jnp.asarray(z))),
    "cross-entropy": (lambda z: np.logaddexp(0, z), lambda z: each_loss(fnn.CrossEntropy(), two_logits(z), 1)),
    "binary cross-entropy": (
        lambda z: np.logaddexp(0, -z),
        lambda z: each_loss(fnn.BinaryCrossEntropy(), jnp.asarray(z), np.float32(1)),
    ),
}
"""The exact values in float64, and those of fnn, of the printed formulas."""


def reaches() -> dict[str, dict[str, Any]]:
    """By name: the formula, and the ``reach`` of it as printed and in fnn."""
    return {
        name: {"formula": formula, "printed": reach(literal, exact), "fnn": reach(own, exact)}
        for (formula, literal), (name, (exact, own)) in zip(printed.FORMULAS.items(), FORMULAS.items(), strict=True)
    }


def adagrad_steps(g: Array) -> dict[str, dict[str, float]]:
    """First steps over η: how many entries are infinite, and the largest of the others (0 if there are none)."""
    own = fnn.optim.adagrad(1.0, initial_accumulator_value=0.0, eps=0.0)
    grads = jnp.asarray(g, jnp.float32)
    steps = {
        "printed": printed.adagrad_first_step(g, 0.0),
        "ε": printed.adagrad_first_step(g, 1e-8),
        "fnn": np.asarray(own.update(grads, own.init(grads))[0]),
    }
    # JSON has no infinity.
    finite = {name: np.where(np.isfinite(each), each, 0) for name, each in steps.items()}
    return {
        name: {"infinite": int(np.isinf(each).sum()), "largest": float(np.abs(finite[name]).max())}
        for name, each in steps.items()
    }


def softmax_sums(z: Array) -> dict[str, list[float]]:
    """The least and the largest sum of the probabilities."""
    sums = printed.softmax_sum(z), np.asarray(fnn.Softmax().apply({}, {}, jnp.asarray(z, jnp.float32))[0]).sum(1)
    return {name: [float(each.min()), float(each.max())] for name, each in zip(("printed", "fnn"), sums, strict=True)}


def updates_of_fnn(count: int, size: int) -> int:
    """How many updates an epoch makes."""
    run = fnn.make_train(LINEAR, fnn.optim.sgd(0.1), epochs=1, batch_size=size)
    return int(run(jax.random.key(0), (jnp.ones((count, 3)), jnp.ones((count, 1)))).opt_state[0].count)


def rounded(values: Any, digits: int = 4) -> list:
    """Values to so many digits, which is more than is judged or drawn."""
    return np.vectorize(lambda value: float(f"{value:.{digits - 1}e}"))(values).tolist()
