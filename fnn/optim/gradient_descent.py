"""Gradient descent, plain and with a velocity: heavy ball and Nesterov."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from fnn.guards.ranges import FRACTION, NOT_NEGATIVE
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise, running_mean
from fnn.optim.transform import Optimizer, chain, constructor


class ScaleByLearningRateState(NamedTuple):
    """State of ``scale_by_learning_rate``; hyperparams: ``learning_rate``."""

    count: jax.Array
    hyperparams: dict[str, Any]

    ranges = MappingProxyType({"learning_rate": NOT_NEGATIVE})


class AccumulateVelocityState(NamedTuple):
    """State of ``accumulate_velocity``; hyperparams: ``momentum``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    velocity: Any

    ranges = MappingProxyType({"momentum": FRACTION})


class AccumulateMeanState(NamedTuple):
    """State of ``ema_momentum``'s mean; hyperparams: ``beta``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    velocity: Any

    ranges = MappingProxyType({"beta": FRACTION})


@constructor
def scale_by_learning_rate(learning_rate: Hyperparameter) -> Optimizer:
    """The last transformation of every optimiser: turns a direction of ascent into a step of descent.

        u = −η g                                  η: learning_rate

    A schedule is called with the number of updates so far, 0 at the first. Raises ``ValueError`` for a negative rate,
    ``TypeError`` if not a number, scalar array or schedule.

    >>> import jax.numpy as jnp
    >>> transform = scale_by_learning_rate(0.5)
    >>> transform.update(jnp.array([2.0, -4.0]), transform.init(jnp.zeros(2)))[0]
    Array([-1.,  2.], dtype=float32)
    """
    given = Hyperparameters(ScaleByLearningRateState, learning_rate=learning_rate)

    def rule(values: dict, count: Any, g: Any) -> tuple[Any, ...]:
        del count
        return (-values["learning_rate"] * g,)

    return leafwise(given, rule)


@constructor
def accumulate_velocity(momentum: Hyperparameter, *, nesterov: bool = False) -> Optimizer:
    """Momentum: replaces the gradient g by a velocity v, from v = 0.

        v ← g + μ v                               μ: momentum
        u = v                                     heavy ball
        u = g + μ v                               Nesterov, with the new v

    Raises ``ValueError`` for a momentum outside [0, 1), ``TypeError`` if not a number.
    Sources: see ``sgd``.

    >>> import jax.numpy as jnp
    >>> transform = accumulate_velocity(0.5)
    >>> state = transform.init(jnp.zeros(()))
    >>> _, state = transform.update(jnp.array(4.0), state)
    >>> transform.update(jnp.array(1.0), state)[0]
    Array(3., dtype=float32)
    """
    given = Hyperparameters(AccumulateVelocityState, momentum=momentum)

    def rule(values: dict, count: Any, g: Any, v: Any) -> tuple[Any, ...]:
        del count
        v = g + values["momentum"] * v
        return (g + values["momentum"] * v if nesterov else v), v

    return leafwise(given, rule, velocity=0)


@constructor
def sgd(learning_rate: Hyperparameter, *, momentum: Hyperparameter | None = None, nesterov: bool = False) -> Optimizer:
    """Stochastic gradient descent: ``chain(accumulate_velocity(momentum), scale_by_learning_rate(learning_rate))``.

        w ← w − η g                               without momentum; g: gradient, η: learning_rate
        v ← g + μ v,  w ← w − η v                 with momentum μ (from v = 0)
        v ← g + μ v,  w ← w − η (g + μ v)         with nesterov=True

    The rate is outside the velocity, as in optax and PyTorch; with the rate inside (v ← μ v − η g) the paths agree only
    while η is constant. The Nesterov form evaluates the gradient at w itself, which plays the part of the point
    *after* the look-ahead of the original. Raises ``ValueError`` for a negative rate, a momentum outside [0, 1), or
    ``nesterov`` without momentum; ``TypeError`` if not a number, scalar array or schedule.

    Sources: Robbins and Monro, 1951; Polyak, 1964 (heavy ball); Sutskever et al., On the importance of initialization
    and momentum in deep learning, 2013, equations 1 to 4 (the look-ahead); Bengio et al., Advances in optimizing
    recurrent networks, 2013, section 3.5 (the form used here).

    >>> import jax.numpy as jnp
    >>> from fnn.optim import apply_updates
    >>> optimizer = sgd(0.25, momentum=0.5)
    >>> w = jnp.array(8.0)
    >>> opt_state = optimizer.init(w)
    >>> for _ in range(2):  # descend on w²/2, whose gradient is w: v = 8, w = 6, then v = 10, w = 3.5
    ...     updates, opt_state = optimizer.update(w, opt_state, w)
    ...     w = apply_updates(w, updates)
    >>> w
    Array(3.5, dtype=float32)
    """
    if momentum is None:
        if nesterov:
            raise ValueError("nesterov=True needs a momentum, for example sgd(0.1, momentum=0.9, nesterov=True)")
        return chain(scale_by_learning_rate(learning_rate))
    return chain(accumulate_velocity(momentum, nesterov=nesterov), scale_by_learning_rate(learning_rate))


@constructor
def momentum(learning_rate: Hyperparameter) -> Optimizer:
    """``sgd(learning_rate, momentum=0.9)``: heavy ball.

    >>> import jax.numpy as jnp
    >>> optimizer = momentum(0.5)
    >>> optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0]
    Array(-1., dtype=float32)
    """
    return sgd(learning_rate, momentum=0.9)


@constructor
def nesterov(learning_rate: Hyperparameter) -> Optimizer:
    """``sgd(learning_rate, momentum=0.9, nesterov=True)``.

    >>> import jax.numpy as jnp
    >>> optimizer = nesterov(0.5)
    >>> optimizer.update(jnp.array(2.0), optimizer.init(jnp.array(0.0)))[0]  # −0.5 (2 + 0.9 · 2)
    Array(-1.9, dtype=float32)
    """
    return sgd(learning_rate, momentum=0.9, nesterov=True)


@constructor
def ema_momentum(learning_rate: Hyperparameter, beta: Hyperparameter = 0.9) -> Optimizer:
    """Gradient descent along the running mean of the gradients.

        v ← β v + (1 − β) g                       from v = 0, without bias correction
        w ← w − η v                               β: beta, η: learning_rate

    At a constant rate it equals ``sgd(learning_rate * (1 − beta), momentum=beta)``. Errors: ``ValueError`` for a
    negative rate or beta outside [0, 1), ``TypeError`` if not a number, scalar array or schedule.

    >>> import jax.numpy as jnp
    >>> optimizer = ema_momentum(0.5, beta=0.75)
    >>> optimizer.update(jnp.array(8.0), optimizer.init(jnp.array(0.0)))[0]
    Array(-1., dtype=float32)
    """
    given = Hyperparameters(AccumulateMeanState, beta=beta)

    def rule(values: dict, count: Any, g: Any, v: Any) -> tuple[Any, ...]:
        del count
        v = running_mean(g, v, values["beta"])
        return v, v

    return chain(leafwise(given, rule, velocity=0), scale_by_learning_rate(learning_rate))
