"""The networks of the experiment ``privacy``: digits of which some are labelled wrongly, and what losses give away."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

import fnn

TRAINED, BATCH, LONG_BATCH = 1280, 256, 64
"""Training digits, and those in a step: on average if it is private, and in the long run."""

Digits = tuple[jax.Array, jax.Array]


class Problem(NamedTuple):
    """What a seed trains on, and what is asked about it; with many seeds on the first axis.

    ``planted``: the training digits with wrong labels. ``others``: test digits, with wrong labels drawn the same way.
    """

    key: jax.Array
    params: Any
    labels: jax.Array
    planted: jax.Array
    others: jax.Array


def network(width: int) -> fnn.Objective:
    """One hidden layer of tanh units."""
    return fnn.Objective(fnn.Serial(fnn.Dense(width), fnn.Tanh(), fnn.Dense(10)), fnn.CrossEntropy())


def problem(objective: fnn.Objective, key: jax.Array, train: Digits, test: Digits, wrong: int) -> Problem:
    """The start of a seed, and ``wrong`` of the training digits with another label, any of the nine alike."""
    key, first, which, labels, others = jax.random.split(key, 5)
    planted = jax.random.permutation(which, len(train[1]))[:wrong]

    def other(key: jax.Array, right: jax.Array) -> jax.Array:
        return (right + jax.random.randint(key, right.shape, 1, 10)) % 10

    mixed = train[1].at[planted].set(other(labels, train[1][planted]))
    return Problem(key, objective.init(first, train[0][:1])[0], mixed, planted, other(others, test[1]))


def trained(
    objective: fnn.Objective,
    images: jax.Array,
    problems: Problem,
    rates: Any,
    *,
    epochs: int,
    batch_size: int,
    privacy: fnn.Privacy | None = None,
) -> Any:
    """The parameters (rates, seeds, …) after training; one program."""

    def one(problem: Problem, rate: jax.Array) -> Any:
        train = fnn.make_train(objective, fnn.optim.sgd(rate), epochs=epochs, batch_size=batch_size, privacy=privacy)
        return train(problem.key, (images, problem.labels), params=problem.params, state={}).params

    return jax.jit(jax.vmap(jax.vmap(one, (0, None)), (None, 0)))(problems, rates)


class Judge:
    """One program for all ways to train: accuracies, and the losses of digits that were trained on and of others."""

    def __init__(self, objective: fnn.Objective, train: Digits, validation: Digits, test: Digits, problems: Problem):
        def terms(logits: jax.Array, labels: jax.Array) -> jax.Array:
            return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)[:, 0]

        def one(params: Any, problem: Problem) -> dict[str, jax.Array]:
            logits, judged, held = (objective.model.apply(params, {}, each[0])[0] for each in (train, validation, test))
            inside = terms(logits, problem.labels)
            return {
                "loss": inside.mean(),
                "validation": jnp.mean(judged.argmax(-1) == validation[1]),
                "test": jnp.mean(held.argmax(-1) == test[1]),
                "planted": inside[problem.planted],
                "other": terms(held, problem.others),
            }

        self.program = jax.jit(jax.vmap(jax.vmap(one), (0, None)))
        self.problems = problems

    def __call__(self, params: Any, *, by: str) -> dict[str, Any]:
        """At the rate with the highest mean validation accuracy, or the lowest mean training loss: a list by seed."""
        found = jax.tree.map(np.asarray, self.program(params, self.problems))
        means = np.nan_to_num(found[by].astype(np.float64), nan=np.inf if by == "loss" else 0).mean(1)
        best = int(means.argmin() if by == "loss" else means.argmax())
        pairs = zip(found["planted"][best], found["other"][best], strict=True)
        return {
            "rate": best,
            "accuracy": found["test"][best].tolist(),
            "loss": found["loss"][best].tolist(),
            "told": [told_apart(*pair) for pair in pairs],
        }


def told_apart(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The share of pairs, one inside and one outside, in which the one inside has the smaller loss; ties count half.

    That is the area under the curve of the test that takes a loss below a threshold for one of the training set.

    >>> told_apart([0.1, 0.2], [0.2, 0.3])
    0.875
    """
    ranks, count = rankdata(np.concatenate([outside, inside])), len(outside)
    return float((ranks[:count].sum() - count * (count + 1) / 2) / (count * len(inside)))
