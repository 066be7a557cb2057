"""The networks of the experiment ``feedback``: trained by each way of passing deltas back, at every rate and seed."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn

BACKPROPAGATION, FIXED = "backpropagation", "fixed hidden layers"
RULES = {
    "feedback alignment": lambda seed: fnn.FeedbackAlignment(seed=seed),
    "direct feedback alignment": lambda seed: fnn.DirectFeedbackAlignment(seed=seed),
    "sign symmetry": lambda seed: fnn.SignSymmetry(),  # it draws nothing
}
WAYS = (BACKPROPAGATION, *RULES, FIXED)

BATCH = 32
MEASURED = 512
"""The training digits by whose gradients the angles are measured: the first, whose order is random."""


def network(width: int, layers: int) -> fnn.Objective:
    """Hidden layers of tanh units, and a head; trained by backpropagation unless it is given rules."""
    hidden = [layer for _ in range(layers) for layer in (fnn.Dense(width), fnn.Tanh())]
    return fnn.Objective(fnn.Serial(*hidden, head=fnn.Dense(10)), fnn.CrossEntropy())


def names(layers: int) -> list[str]:
    """Of the hidden layers, from first to last."""
    return [f"dense_{i}" for i in range(layers)]


def ruled(plain: fnn.Objective, way: str, layers: int, seed: Any) -> fnn.Objective:
    """The objective with the rule at every layer whose input is hidden: all but the first. The seed may be traced."""
    above = [*names(layers)[1:], "head"] if way in RULES else []
    return dataclasses.replace(plain, rules={name: RULES[way](seed) for name in above})


def optimizer(way: str, rate: Any) -> fnn.optim.Optimizer:
    """Plain descent; with fixed hidden layers that of the head alone."""
    descent = fnn.optim.sgd(rate)
    return fnn.optim.groups({"head/*": descent, "*": None}) if way == FIXED else descent


def angle(one: Any, other: Any) -> jax.Array:
    """The angle between two trees of arrays, taken as vectors, in degrees."""
    a, b = (jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]) for tree in (one, other))
    cosine = (a @ b) / (jnp.linalg.norm(a) * jnp.linalg.norm(b))
    return jnp.degrees(jnp.arccos(jnp.clip(cosine, -1, 1)))


def trained(
    way: str, plain: fnn.Objective, layers: int, starts: Any, rates: Any, parts: Any, *, stages: int, epochs: int
) -> dict[str, np.ndarray]:
    """Everything that is measured, by rate and seed, at the start and after every stage; one program.

    ``validation``, ``test``: accuracies (rates, seeds, 1 + stages); ``angles``: in degrees, with the hidden layers on
    one more axis. ``starts``: ``(seeds, parameters)``, with the seeds on the first axis. ``parts``: the training,
    validation and test digits, ``(images, labels)`` each.
    """
    train_part, *judges = parts
    few = tuple(part[:MEASURED] for part in train_part)

    def one(start: Any, rate: jax.Array) -> dict[str, jax.Array]:
        seed, first = start
        objective = ruled(plain, way, layers, seed)
        # Plain descent keeps nothing from step to step, so that a run may go on with its parameters alone.
        train = fnn.make_train(objective, optimizer(way, rate), epochs=epochs, batch_size=BATCH)

        def measured(params: Any) -> dict[str, jax.Array]:
            (_, found), (_, true) = (each.value_and_grad(params, {}, few, train=True) for each in (objective, plain))
            validation, test = (
                jnp.mean(plain.model.apply(params, {}, x)[0].argmax(-1) == labels) for x, labels in judges
            )
            angles = jnp.stack([angle(found[name], true[name]) for name in names(layers)])
            return {"validation": validation, "test": test, "angles": angles}

        def stage(params: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
            return train(key, train_part, params=params, state={}).params, measured(params)

        # One stage more, because what is measured is the start of each: measuring at the end too would compile twice.
        return jax.lax.scan(stage, first, jax.random.split(jax.random.key(seed), stages + 1))[1]

    every = jax.jit(jax.vmap(jax.vmap(one, (0, None)), (None, 0)))
    return jax.tree.map(np.asarray, every(starts, rates))
