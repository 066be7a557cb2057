"""The models of the experiment on the amount of training data."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data

BATCH, RATE = 32, 0.01
"""Digits in a step of the network, and the first learning rate of Adam."""

DECAYS, COSTS = (1e-4, 1e-3, 1e-2), (1.0, 10.0, 100.0)
"""The strengths of L2 of the network, and the values of C of the others."""

objective = fnn.Objective(fnn.Serial(fnn.Dense(64), fnn.Relu(), fnn.Dense(10)), fnn.CrossEntropy())


class Split(NamedTuple):
    """All digits in a random order: those to train on, to validate, and to test, each as images and labels."""

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def splits(seeds: Sequence[int], most: int) -> Split:
    """Splits on the first axis; the amount to train on is the first so many of ``most`` digits."""
    digits = data.load_digits()
    x = np.concatenate([part.images for part in digits]).reshape(-1, 64)
    labels = np.concatenate([part.labels for part in digits])
    orders = np.stack([np.random.default_rng(seed).permutation(len(labels)) for seed in seeds])
    test, validation, train = np.split(orders, [data.TEST, data.TEST + data.VALIDATION], 1)
    return Split(*((x[rows], labels[rows]) for rows in (train[:, :most], validation, test)))


def batches(seed: int, amounts: Sequence[int], steps: int) -> np.ndarray:
    """The digits of every step (amounts, steps, batch): one pass over the amount, shuffled, after the other."""
    random, count = np.random.default_rng(seed), steps * BATCH
    passes = [[random.permutation(n) for _ in range(-(-count // n))] for n in amounts]
    return np.stack([np.concatenate(each)[:count].reshape(steps, BATCH) for each in passes])


def wrong(model: fnn.Layer, params: Any, part: tuple) -> jax.Array:
    """The share of digits whose class is not found; the part may have weights."""
    x, labels, *weights = part
    return jnp.average(model.apply(params, {}, x)[0].argmax(-1) != labels, weights=weights[0] if weights else None)


def networks(seeds: Sequence[int], split: Split, amounts: Sequence[int], steps: int) -> np.ndarray:
    """Errors of networks (strengths, amounts, splits, 3) on what they were trained on, on validation and test."""
    rows = np.stack([batches(seed, amounts, steps) for seed in seeds], 1)
    params, _ = jax.vmap(lambda key: objective.init(key, split.train[0][0]))(jax.vmap(jax.random.key)(np.array(seeds)))

    def run(decay: Any, amount: Any, rows: Any, params: Any, split: Split) -> jax.Array:
        penalised = fnn.Objective(objective.model, objective.loss, (fnn.L2(decay),))
        optimizer = fnn.optim.adam(fnn.optim.cosine(RATE, steps))

        def step(carry: tuple, rows: jax.Array) -> tuple[tuple, None]:
            params, opt_state = carry
            batch = jax.tree.map(lambda leaf: leaf[rows], split.train)
            _, grads = penalised.value_and_grad(params, {}, batch)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (fnn.optim.apply_updates(params, updates), opt_state), None

        (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), rows)
        seen = (jnp.arange(len(split.train[1])) < amount).astype(np.float32)
        return jnp.stack([wrong(objective.model, params, part) for part in ((*split.train, seen), *split[1:])])

    over_splits = jax.vmap(run, in_axes=(None, None, 0, 0, 0))
    over_amounts = jax.vmap(over_splits, in_axes=(None, 0, 0, None, None))
    program = jax.jit(jax.vmap(over_amounts, in_axes=(0, None, None, None, None)))
    return np.asarray(program(np.array(DECAYS, np.float32), np.array(amounts, np.float32), rows, params, split))


class Fitted(NamedTuple):
    """Logistic regressions (costs, amounts, splits): errors on validation and test, gradient norms, and objectives."""

    errors: np.ndarray
    norms: np.ndarray
    values: np.ndarray


def logistic(split: Split, amounts: Sequence[int], steps: int) -> Fitted:
    """Logistic regressions, by L-BFGS until the objective falls no longer."""
    # All amounts share an array of samples, and so a program; small ones have a smaller array of their own.
    small = [n for n in amounts if n <= max(amounts) / 8]
    groups = [each for each in (small, amounts[len(small) :]) if each]
    fitted = [
        _logistic(Split((split.train[0][:, : max(g)], split.train[1][:, : max(g)]), *split[1:]), g, steps)
        for g in groups
    ]
    return Fitted(*(np.concatenate(each, 1) for each in zip(*fitted, strict=True)))


def _logistic(split: Split, amounts: Sequence[int], steps: int) -> Fitted:
    def run(each: tuple, split: Split) -> tuple:
        cost, amount, i = each
        (x, labels), *held_out = jax.tree.map(lambda leaf: leaf[i], split)
        convex = logistic_objective(cost * amount)
        stopping = fnn.EarlyStopping(5, 1e-7, monitor="loss")
        options = {"epochs": steps, "batch_size": len(labels), "shuffle": False, "early_stopping": stopping}
        samples = x, labels, (jnp.arange(len(labels)) < amount).astype(np.float32)
        params = fnn.make_train(convex, fnn.optim.lbfgs(), **options)(jax.random.key(0), samples).params
        (value, _), grads = convex.value_and_grad(params, {}, samples)
        norm = jnp.sqrt(sum((jnp.vdot(leaf, leaf) for leaf in jax.tree.leaves(grads)), jnp.zeros(())))
        return jnp.stack([wrong(convex.model, params, part) for part in held_out]), norm, value

    # Under lax.map every run ends when it has converged; under vmap, with the last one.
    count = len(split.test[1])
    grid = np.meshgrid(np.array(COSTS, np.float32), np.array(amounts, np.float32), np.arange(count), indexing="ij")
    found = jax.jit(lambda grid, split: jax.lax.map(lambda each: run(each, split), grid))(
        tuple(each.ravel() for each in grid), split
    )
    return Fitted(*(np.asarray(each).reshape(*grid[0].shape, *each.shape[1:]) for each in found))


def logistic_objective(strength: Any) -> fnn.Objective:
    """Softmax regression with scikit-learn's C; ``strength`` is C N."""
    model = fnn.Dense(10, kernel_init=fnn.initializers.Zeros())
    return fnn.Objective(model, fnn.CrossEntropy(), (fnn.L2(1 / strength, paths="kernel"),))


def minimum(x: np.ndarray, labels: np.ndarray, cost: float) -> float:
    """The least value of the same objective, by scikit-learn in float64."""
    from scipy.special import log_softmax
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    x = x.astype(np.float64)
    # Threads would wait for each other most of the time.
    with threadpool_limits(1):
        machine = LogisticRegression(C=cost, tol=1e-8, max_iter=10_000).fit(x, labels)
    logits = x @ machine.coef_.T + machine.intercept_
    places = np.searchsorted(machine.classes_, labels)
    cross_entropy = -log_softmax(logits, 1)[np.arange(len(labels)), places].mean()
    return float(cross_entropy + np.square(machine.coef_).sum() / (2 * cost * len(labels)))


def machines(split: Split, amounts: Sequence[int], kernel: str) -> np.ndarray:
    """Errors of scikit-learn's support vector machines (costs, amounts, splits, 2) on validation and test."""
    from sklearn.svm import SVC
    from threadpoolctl import threadpool_limits

    def errors(cost: float, amount: int, i: int) -> list[float]:
        x, labels = (each[i, :amount] for each in split.train)
        machine = SVC(C=cost, kernel=kernel).fit(x, labels)
        return [float(np.mean(machine.predict(part[0][i]) != part[1][i])) for part in split[1:]]

    count = len(split.test[1])
    with threadpool_limits(1):
        return np.array([[[errors(c, n, i) for i in range(count)] for n in amounts] for c in COSTS])
