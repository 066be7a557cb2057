"""Lion: the sign of a momentum."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import FRACTION
from fnn.optim.decay import decay_weights
from fnn.optim.gradient_descent import scale_by_learning_rate
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise, running_mean
from fnn.optim.transform import Optimizer, chain, constructor


class ScaleByLionState(NamedTuple):
    """State of ``lion``'s sign; hyperparams: ``b1``, ``b2``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    mu: Any

    ranges = MappingProxyType({"b1": FRACTION, "b2": FRACTION})


@constructor
def lion(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.99,
    *,
    weight_decay: Hyperparameter = 1e-3,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """Lion: steps of constant size, along the sign of a running mean.

        u = sign(b1 m + (1 − b1) g)
        m ← b2 m + (1 − b2) g                     from m = 0; its decay b2 differs from the b1 in u
        w ← w − η (u + λ w)                       η: learning_rate; λ: weight_decay, 0 outside ``paths``

    A good rate is 3 to 10 times smaller than Adam's, and a good decay larger by the same factor. By default the decay
    excludes biases and the scales of norms (``paths="*"`` decays everything, as optax does). Errors: ``ValueError`` for
    a hyper-parameter out of range, an ``update`` without params, and a glob that matches none of their paths;
    ``TypeError`` if not a number, scalar array or schedule.

    Source: Chen et al., Symbolic discovery of optimization algorithms, 2023, program 1.

    >>> optimizer = lion(0.5, weight_decay=0.0)
    >>> params = {"kernel": jnp.array([1.0, 1.0])}
    >>> optimizer.update({"kernel": jnp.array([8.0, -0.1])}, optimizer.init(params), params)[0]
    {'kernel': Array([-0.5,  0.5], dtype=float32)}
    """
    given = Hyperparameters(ScaleByLionState, b1=b1, b2=b2)

    def rule(values: dict, count: Any, g: Any, m: Any) -> tuple[Any, ...]:
        del count
        # A fraction of a number near the smallest rounds to 0, so the sign is taken of a multiple.
        lift = jnp.where(jnp.maximum(jnp.abs(g), jnp.abs(m)) < 1, 2.0**64, 1).astype(g.dtype)
        return jnp.sign(running_mean(lift * g, lift * m, values["b1"])), running_mean(g, m, values["b2"])

    return chain(
        leafwise(given, rule, mu=0),
        decay_weights(weight_decay, paths, name="weight_decay"),
        scale_by_learning_rate(learning_rate),
    )
